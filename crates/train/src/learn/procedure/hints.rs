//! First by a teacher's features half way, then by its answers.

use mp_nn::{Conv2d, Conv2dConfig, LinearConfig, Mode, Module, Store};
use tch::{Kind, Tensor};

use super::distillation::{Distillation, Teacher};
use super::{Found, Learner, Procedure, TrainBatch};
use crate::Error;
use crate::learn::correct;
use crate::optim::{self, Optimiser};
use crate::recipe::{HintsConfig, Recipe};

/// FitNets (Romero et al., arXiv 1412.6550): see [`HintsConfig`].
///
/// The hint's loss is `1/2 |r(g) - h|²`, summed over the hint's numbers and averaged over the images: `h` are the teacher's
/// features, `g` the network's own, and `r` a convolution with a ReLU whose kernel is as large as it must be to make the maps
/// of `g` those of `h` (a dense layer for vectors). Parameters behind `g` get no gradient from it and stay as they are.
pub struct Hints {
    distillation: Distillation,
    regressor: Regressor,
    hint: String,
    guided: String,
    /// Steps of learning from the hint alone.
    steps: u64,
    guides: bool,
}

/// What foretells the teacher's features, with what moves it.
struct Regressor {
    layer: Layer,
    store: Store,
    optimiser: Box<dyn Optimiser>,
}

enum Layer {
    Convolution(Conv2d),
    Dense(mp_nn::Linear),
}

impl Hints {
    /// For the first `config.epochs` epochs of `steps_per_epoch` steps each.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a position that a network does not have, or maps that no kernel makes those of the teacher.
    pub fn new(
        teacher: Teacher,
        config: &HintsConfig,
        learner: &Learner,
        recipe: &Recipe,
        steps_per_epoch: u64,
    ) -> Result<Self, Error> {
        let HintsConfig { hint, guided, epochs, .. } = config;
        let _guard = tch::no_grad_guard();
        let image = learner.blank_image();
        let features = |key, position: &str, output: mp_zoo::Output| {
            let found = output.taps.first().map(|(_, x)| x.size()[1..].to_vec());
            found.ok_or_else(|| Error::Invalid {
                key,
                value: format!("\"{position}\""),
                expected: "a position of a network of one path, as `stage2` or `stage2.1` in its routing or weights"
                    .to_owned(),
            })
        };
        let theirs = features("procedure.hint", hint, teacher.answer(&image, &[hint]))?;
        let own = features("procedure.guided", guided, learner.model().forward_tapping(&image, Mode::Eval, &[guided]))?;
        let steps = epochs * steps_per_epoch;
        Ok(Hints {
            distillation: Distillation::new(teacher, config.distillation(), steps),
            regressor: Regressor::new(&own, &theirs, learner.store().device(), recipe)?,
            hint: hint.clone(),
            guided: guided.clone(),
            steps,
            guides: true,
        })
    }
}

impl Regressor {
    /// From features of size `own` to those of size `hint`, without the batch.
    fn new(own: &[i64], hint: &[i64], device: tch::Device, recipe: &Recipe) -> Result<Self, Error> {
        let store = Store::new(device, recipe.train.seed);
        let place = &store.root() / "regressor";
        let layer = match (own, hint) {
            (&[from, height, width], &[to, rows, columns]) if height - rows == width - columns && height >= rows => {
                Layer::Convolution(Conv2dConfig::new(from, to, height - rows + 1).build(&place)?)
            }
            (&[from], &[to]) => Layer::Dense(LinearConfig::new(from, to).build(&place)?),
            _ => {
                return Err(Error::Invalid {
                    key: "procedure.guided",
                    value: format!("a position with features of {}", dimensions(own)),
                    expected: format!("features at least as high and wide as the hint's {}", dimensions(hint)),
                });
            }
        };
        let optimiser = optim::build(&recipe.optimiser, store.parameters());
        Ok(Regressor { layer, store, optimiser })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        match &self.layer {
            Layer::Convolution(conv) => conv.forward(x, Mode::Train).relu(),
            Layer::Dense(dense) => dense.forward(x, Mode::Train).relu(),
        }
    }
}

impl Procedure for Hints {
    fn begin_step(&mut self, step: u64, steps: u64) {
        self.guides = step < self.steps;
        self.distillation.begin_step(step, steps);
    }

    fn accumulate(&mut self, learner: &mut Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        if !self.guides {
            return self.distillation.accumulate(learner, batch);
        }
        let answer = self.distillation.teacher().answer(batch.images, &[&self.hint]);
        let output = learner.forward(batch.images, &[&self.guided]);
        let foretold = self.regressor.forward(&output.taps[0].1.to_kind(Kind::Float));
        let loss = hint_loss(&foretold, &answer.taps[0].1.to_kind(Kind::Float));
        learner.backward(loss.shallow_clone(), batch.share)?;
        let correct = correct(output.logits(), batch.targets.labels);
        Ok(Found { loss: loss.detach(), routing_loss: None, correct })
    }

    fn parameters(&self) -> Vec<Tensor> {
        let learning = self.guides.then(|| self.regressor.store.parameters());
        learning.into_iter().flatten().map(|entry| entry.tensor).collect()
    }

    fn end_step(&mut self, rate: f64) {
        if self.guides {
            self.regressor.optimiser.step(rate);
            for mut parameter in self.regressor.store.parameters() {
                parameter.tensor.zero_grad();
            }
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let weights = self.regressor.store.entries().into_iter().map(|entry| (entry.name, entry.tensor));
        let memory = self.regressor.optimiser.state();
        weights.chain(memory).map(|(name, tensor)| (format!("procedure/{name}"), tensor)).collect()
    }
}

/// `1/2 |r - h|²`, summed over the numbers of an image and averaged over the images.
fn hint_loss(foretold: &Tensor, hint: &Tensor) -> Tensor {
    (foretold - hint).square().sum(Kind::Float) / (2 * hint.size()[0]) as f64
}

fn dimensions(sizes: &[i64]) -> String {
    sizes.iter().map(i64::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn the_loss_is_half_the_squared_distance_of_an_image() {
        // Two images: (1, 2) against (0, 0), and (3, 0) against (0, 0): (5 + 9) / 2 / 2.
        let foretold = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 0.0]).view([2, 2]);
        let loss = hint_loss(&foretold, &Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)));
        assert_eq!(loss.double_value(&[]), 3.5);
    }

    #[test]
    fn the_kernel_makes_maps_of_the_hints_size() {
        let recipe = Recipe::default();
        let regressor = Regressor::new(&[6, 16, 16], &[4, 8, 8], Device::Cpu, &recipe).unwrap();
        // 16 - 8 + 1, without padding.
        assert_eq!(regressor.store.entries()[0].tensor.size(), [4, 6, 9, 9]);
        let x = Tensor::zeros([2, 6, 16, 16], (Kind::Float, Device::Cpu));
        assert_eq!(regressor.forward(&x).size(), [2, 4, 8, 8]);
        let message = Regressor::new(&[6, 4, 4], &[4, 8, 8], Device::Cpu, &recipe).err().unwrap().to_string();
        assert_eq!(
            message,
            "procedure.guided is a position with features of 6x4x4, expected features at least as high and wide as the \
             hint's 4x8x8"
        );
    }
}
