use mp_native::ParameterList;
use mp_nn::Entry;
use tch::Tensor;

/// The gradients of parameters, as a whole.
pub struct Gradients {
    parameters: Vec<Entry>,
    list: ParameterList,
}

impl Gradients {
    /// Those of `parameters`.
    pub fn of(parameters: Vec<Entry>) -> Self {
        let mut list = ParameterList::new();
        for entry in &parameters {
            list.push(&entry.tensor, false, &[]);
        }
        Self { parameters, list }
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
            None => self.clip_composed(max_norm),
        }
    }

    fn clip_composed(&self, max_norm: f64) -> Tensor {
        let _guard = tch::no_grad_guard();
        let all = self.parameters.iter().map(|entry| entry.tensor.grad());
        let gradients: Vec<Tensor> = all.filter(Tensor::defined).collect();
        let norms: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
        let norm = Tensor::stack(&norms, 0).norm();
        let factor = (max_norm / (&norm + 1e-6)).clamp_max(1.0);
        for mut gradient in gradients {
            let _ = gradient.g_mul_(&factor);
        }
        norm
    }
}
