//! An average of the weights over the run, which is often better than its last ones.

use mp_nn::{Entry, Store};
use tch::Tensor;

use crate::optim::counter;
use crate::recipe::EmaConfig;

/// Exponential moving averages of a model's weights and buffers (Polyak and Juditsky, 1992, as TensorFlow and timm have them).
///
/// After step `t`, counted from 0, each average moves by `1 - d` of its distance to the weight, with
/// `d = min(decay, (1 + t) / (10 + t))`: the average soon forgets where training began. Buffers that are no fractions, such as counts, are
/// copied.
pub(super) struct Ema {
    decay: f64,
    steps: Tensor,
    averages: Vec<Average>,
}

struct Average {
    entry: Entry,
    value: Tensor,
}

impl Ema {
    /// Averages that start at the weights of `store`.
    pub(super) fn of(store: &Store, config: &EmaConfig) -> Self {
        let _guard = tch::no_grad_guard();
        let average = |entry: Entry| Average { value: entry.tensor.detach().copy(), entry };
        Self { decay: config.decay, steps: counter(), averages: store.entries().into_iter().map(average).collect() }
    }

    /// Lets the averages start again from the weights as they are.
    pub(super) fn restart(&mut self) {
        let _guard = tch::no_grad_guard();
        for Average { entry, value } in &mut self.averages {
            value.copy_(&entry.tensor);
        }
    }

    /// Takes note of the weights after a step.
    pub(super) fn update(&mut self) {
        let _guard = tch::no_grad_guard();
        let steps = self.steps.int64_value(&[]) as f64;
        let decay = self.decay.min((1.0 + steps) / (10.0 + steps));
        for Average { entry, value } in &mut self.averages {
            match entry.tensor.is_floating_point() {
                true => drop(value.lerp_(&entry.tensor, 1.0 - decay)),
                false => value.copy_(&entry.tensor),
            }
        }
        let _ = self.steps.g_add_scalar_(1);
    }

    /// Puts the averages in the place of the weights, and the weights in theirs: a second time, all is as it was.
    pub(super) fn swap(&mut self) {
        let _guard = tch::no_grad_guard();
        for Average { entry, value } in &mut self.averages {
            let weight = entry.tensor.copy();
            entry.tensor.copy_(value);
            value.copy_(&weight);
        }
    }

    /// What a checkpoint keeps, by the names that it gives it: `ema/fc.weight`.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let averages = self.averages.iter();
        let averages = averages.map(|Average { entry, value }| (format!("ema/{}", entry.name), value.shallow_clone()));
        averages.chain([("ema/steps".to_owned(), self.steps.shallow_clone())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use mp_nn::{Device, Init, Kind, Role};

    use super::*;

    #[test]
    fn averages_follow_faster_at_first_and_give_way_to_the_weights_again() {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
        let mut weight = store.root().parameter("weight", &[1], Init::Values(vec![1.0]), Role::Weight).unwrap();
        let mut ema = Ema::of(&store, &EmaConfig { decay: 0.25 });
        let value = |tensor: &Tensor| tensor.double_value(&[0]);
        // Decays of 1/10, 2/11 and, where 3/12 and more would follow, 1/4.
        let mut expected = 1.0;
        for (weight_now, decay) in [(2.0, 0.1), (4.0, 2.0 / 11.0), (-3.0, 0.25), (8.0, 0.25)] {
            {
                let _guard = tch::no_grad_guard();
                let _ = weight.fill_(weight_now);
            }
            ema.update();
            expected = decay * expected + (1.0 - decay) * weight_now;
            let found = value(&ema.state()[0].1);
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
        let average = value(&ema.state()[0].1);
        ema.swap();
        assert_eq!((value(&weight), value(&ema.state()[0].1)), (average, 8.0));
        ema.swap();
        assert_eq!((value(&weight), value(&ema.state()[0].1)), (8.0, average));
    }
}
