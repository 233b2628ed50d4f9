use mp_native::ParameterList;
use mp_nn::Entry;
use tch::Tensor;

/// The gradients of parameters, as a whole.
pub struct Gradients {
    list: ParameterList,
}

impl Gradients {
    /// Those of `parameters`.
    pub fn of(parameters: Vec<Entry>) -> Self {
        let mut list = ParameterList::new();
        for entry in &parameters {
            list.push(&entry.tensor, false, &[]);
        }
        Self { list }
    }

    /// Drops all gradients, so that the next backward pass makes new ones.
    ///
    /// None is set to zero: a parameter that a pass does not reach then stays as it is, without decay or momentum, and
    /// whether a run was resumed before that pass makes no difference.
    pub fn clear(&mut self) {
        self.list.drop_gradients();
    }

    /// Scales all gradients so that their joint Euclidean norm is at most `max_norm`; returns the norm before scaling.
    ///
    /// The norm is a scalar on the parameters' device: nothing waits for it. As in PyTorch, the factor is
    /// `min(1, max_norm / (norm + 1e-6))`.
    pub fn clip(&mut self, max_norm: f64) -> Tensor {
        match self.list.clip(max_norm) {
            Some(norm) => Tensor::from(norm),
            None => self.list.clip_left(max_norm).unwrap_or_else(|| Tensor::from(0.0)),
        }
    }

    /// Multiplies all gradients by `factor`, a float32 scalar where they are, and says whether all their numbers were finite; waits
    /// for the device.
    pub fn unscale(&mut self, factor: &Tensor) -> bool {
        self.list.unscale(factor)
    }

    /// Holds on to the gradients that are there.
    pub fn keep(&mut self) {
        self.list.keep_gradients();
    }

    /// Gives every parameter the gradient that was kept, in the same memory.
    pub fn restore(&mut self) {
        self.list.restore_gradients();
    }
}
