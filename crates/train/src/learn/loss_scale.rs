use tch::{Device, Kind, Tensor};

use crate::optim::Gradients;

/// The factor of the loss in float16, whose least number, 6e-8, is greater than many gradients: as PyTorch's `GradScaler`, it is
/// doubled after 2000 steps whose gradients were finite, and halved after one whose were not. Micikevicius et al., arXiv 1710.03740.
pub(super) struct LossScale {
    /// On the device, where a recorded pass reads it.
    scale: Tensor,
    /// Steps since it was changed last.
    streak: Tensor,
}

const FIRST: f64 = 65536.0;
const PATIENCE: i64 = 2000;

impl LossScale {
    pub(super) fn new(device: Device) -> Self {
        Self {
            scale: Tensor::full([0_i64; 0], FIRST, (Kind::Float, device)),
            streak: Tensor::zeros([0_i64; 0], (Kind::Int64, Device::Cpu)),
        }
    }

    /// What a checkpoint keeps; copying into the tensors restores it.
    pub(super) fn state(&self) -> [(String, Tensor); 2] {
        [
            ("loss_scale/scale".to_owned(), self.scale.shallow_clone()),
            ("loss_scale/streak".to_owned(), self.streak.shallow_clone()),
        ]
    }

    /// The factor; waits for the device.
    pub(super) fn value(&self) -> f64 {
        self.scale.double_value(&[])
    }

    /// What the backward pass starts from.
    pub(super) fn apply(&self, loss: &Tensor) -> Tensor {
        loss * &self.scale
    }

    /// Takes the factor off the gradients again, and says whether they are finite; waits for the device.
    pub(super) fn unscale(&mut self, gradients: &mut [Gradients]) -> bool {
        let _guard = tch::no_grad_guard();
        let factor = self.scale.reciprocal();
        // All of them, whatever the first says.
        let finite: Vec<bool> = gradients.iter_mut().map(|gradients| gradients.unscale(&factor)).collect();
        if finite.contains(&false) {
            let _ = self.scale.g_mul_scalar_(0.5);
            let _ = self.streak.zero_();
            return false;
        }
        let _ = self.streak.g_add_scalar_(1);
        if self.streak.int64_value(&[]) >= PATIENCE {
            let _ = self.scale.g_mul_scalar_(2.0);
            let _ = self.streak.zero_();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use mp_nn::{Init, Role, Store};

    use super::*;

    fn with_gradient(gradient: f64) -> (Store, Vec<Gradients>) {
        let store = Store::new(Device::Cpu, 0);
        let weight = store.root().parameter("weight", &[2], Init::Ones, Role::Weight).unwrap();
        (&weight * gradient).sum(Kind::Float).backward();
        let gradients = vec![Gradients::of(store.parameters())];
        (store, gradients)
    }

    #[test]
    fn finite_gradients_are_divided_by_the_scale() {
        let (store, mut gradients) = with_gradient(65536.0 * 3.0);
        let mut scale = LossScale::new(Device::Cpu);
        assert!(scale.unscale(&mut gradients));
        assert_eq!(store.parameters()[0].tensor.grad(), Tensor::from_slice(&[3.0_f32, 3.0]));
        assert_eq!(scale.streak.int64_value(&[]), 1);
    }

    #[test]
    fn a_gradient_that_overflows_halves_the_scale_and_ends_the_streak() {
        let mut scale = LossScale::new(Device::Cpu);
        assert!(scale.unscale(&mut with_gradient(1.0).1));
        assert!(!scale.unscale(&mut with_gradient(f64::INFINITY).1));
        assert_eq!((scale.scale.double_value(&[]), scale.streak.int64_value(&[])), (FIRST / 2.0, 0));
    }

    #[test]
    fn after_many_finite_steps_it_doubles() {
        let mut scale = LossScale::new(Device::Cpu);
        let _ = scale.streak.fill_(PATIENCE - 1);
        assert!(scale.unscale(&mut with_gradient(1.0).1));
        assert_eq!((scale.scale.double_value(&[]), scale.streak.int64_value(&[])), (FIRST * 2.0, 0));
    }
}
