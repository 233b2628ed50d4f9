//! A residual block that each image can skip.

use mp_nn::{Mode, Params, Tensor};
use mp_routing::{BackEnd, Pass, SkipRule};

use super::residual::{Residual, ResidualConfig};
use super::skip_gate::{SkipGate, SkipGateConfig};
use crate::{Block, BlockConfig, Error, Shape};

/// A residual block that each image can skip.
#[derive(Clone, Debug, PartialEq)]
pub struct SkippableConfig {
    /// The block.
    pub residual: ResidualConfig,
    /// What it is decided by.
    pub gate: SkipGateConfig,
    /// How scores become decisions.
    pub rule: SkipRule,
    /// What an image that skips the block gets.
    pub form: SkipForm,
}

/// Where a skipped block leaves what goes around it, `S(X)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipForm {
    /// `relu(S(X) + z F(X))`: ConvNet-AIG.
    InsideRelu,
    /// `z relu(S(X) + F(X)) + (1 - z) S(X)`: SkipNet.
    AfterRelu,
}

impl SkippableConfig {
    /// Takes the residual block's parameters at `params` and the gate's at `gate`.
    fn assemble(&self, input: Shape, params: &Params) -> Result<Skippable, Error> {
        self.gate.check(input)?;
        let residual = self.residual.assemble(input, params, false)?;
        let gate = self.gate.build(input, &(params / "gate"))?;
        let cost = {
            let _no_grad = tch::no_grad_guard();
            let none = Tensor::zeros(input.batch(0), (params.kind(), params.device()));
            params.meter().measure(|| residual.branch(&none, Mode::Eval)).1
        };
        let name = params.path().to_owned();
        Ok(Skippable { residual, gate, rule: self.rule, form: self.form, cost, name })
    }
}

impl BlockConfig for SkippableConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        self.gate.check(input)?;
        self.residual.output(input)
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params)?))
    }

    fn decides(&self) -> bool {
        true
    }
}

/// A residual block of which each image decides whether it runs: `[B, in, H, W]` to `[B, out, H / stride, W / stride]`.
///
/// The decision is appended to the trace under the name of the block's parameters: the first target is the way around, the
/// second the block. The way around is always computed.
///
/// Training runs the block for all images, as the authors do: the straight-through gradient of a closed gate asks what the block
/// would have done, and the running statistics of its norms are those of all images. Evaluation, and training by the score
/// function (evaluation with sampled decisions and gradients), runs it for the images that chose it.
pub struct Skippable {
    residual: Residual,
    gate: SkipGate,
    rule: SkipRule,
    form: SkipForm,
    /// Multiply-adds of the block without the way around.
    cost: u64,
    name: String,
}

impl Block for Skippable {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let mode = pass.mode;
        let forced = pass.forced(&self.name, (x.size()[0], 1, 2));
        let mut decision = forced.unwrap_or_else(|| self.rule.decide(&self.gate.forward(x, mode), self.cost, pass));
        let chosen_only = !mode.is_train() && !decision.weights.requires_grad();
        let back_end = if chosen_only { pass.back_end } else { BackEnd::MaskAll };
        let plan = decision.dispatch(back_end);
        decision.cost = vec![0, self.cost];
        decision.executed = plan.counts();

        let around = self.residual.around(x, mode);
        let y = if back_end == BackEnd::Gather && decision.chosen.is_some() {
            // Weights of 0 and 1: nothing need be multiplied, and the addition is the convolution's.
            let here = plan.gather(1, x).zip(plan.gather(1, &around));
            let ran = here.map(|(x, around)| self.residual.beside(&x, &around, mode));
            let skipped = if self.form == SkipForm::InsideRelu { around.relu() } else { around };
            plan.replace(1, &skipped, ran)
        } else {
            match self.form {
                SkipForm::InsideRelu => {
                    decision.combine(&plan, &[None, Some(self.residual.branch(x, mode))], Some(&around)).relu()
                }
                SkipForm::AfterRelu => {
                    let ran = self.residual.beside(x, &around, mode);
                    decision.combine(&plan, &[Some(around), Some(ran)], None)
                }
            }
        };
        pass.trace.push(&self.name, decision);
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_nn::{Device, Kind, Store};
    use mp_routing::{Decision, Normalisation, Trace};

    fn config(form: SkipForm, stride: i64) -> SkippableConfig {
        let residual = ResidualConfig::basic(if stride == 1 { 4 } else { 6 }, stride);
        let (gate, rule) = match form {
            SkipForm::InsideRelu => (SkipGateConfig::Relevance { hidden: 16 }, SkipRule::Gumbel { temperature: 1.0 }),
            SkipForm::AfterRelu => (SkipGateConfig::TwoConvolutions, SkipRule::Threshold),
        };
        SkippableConfig { residual, gate, rule, form }
    }

    fn build(form: SkipForm, stride: i64) -> (Store, Skippable) {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 5);
        let block = config(form, stride).assemble(Shape::square(4, 8), &(&store.root() / "block")).unwrap();
        (store, block)
    }

    fn images(count: i64) -> Tensor {
        (Tensor::arange(count * 4 * 64, (Kind::Double, Device::Cpu)) * 0.7).sin().view([count, 4, 8, 8])
    }

    fn trace(runs: &[i64]) -> Trace {
        let chosen = Tensor::from_slice(runs).one_hot(2).unsqueeze(1).to_kind(Kind::Bool);
        let mut decision = Decision::soft(chosen.to_kind(Kind::Double), None, Normalisation::Targets);
        decision.chosen = Some(chosen);
        let mut trace = Trace::new();
        trace.push("block", decision);
        trace
    }

    /// With the decisions given: what comes out, and how many items the block was run for.
    fn forced(block: &Skippable, runs: &[i64], back_end: BackEnd) -> (Tensor, i64) {
        let _no_grad = tch::no_grad_guard();
        let mut pass = Pass::forcing(Mode::Eval, trace(runs)).computed_by(back_end);
        let y = block.forward(&images(runs.len() as i64), &mut pass);
        (y, pass.finish().unwrap().layers[0].decision.executed[1])
    }

    #[test]
    fn no_image_some_and_all_of_them_give_what_mask_all_gives() {
        for form in [SkipForm::InsideRelu, SkipForm::AfterRelu] {
            for stride in [1, 2] {
                let (_store, block) = build(form, stride);
                for (runs, count) in [(vec![0, 0, 0], 0), (vec![0, 1, 0], 1), (vec![1, 0, 1], 2), (vec![1, 1, 1], 3)] {
                    let (gathered, ran) = forced(&block, &runs, BackEnd::Gather);
                    let (masked, all) = forced(&block, &runs, BackEnd::MaskAll);
                    assert_eq!((ran, all), (count, 3));
                    assert!(gathered.allclose(&masked, 1e-9, 1e-9, false), "{form:?} {stride} {runs:?}");
                }
            }
        }
    }

    #[test]
    fn a_skipped_block_leaves_its_shortcut() {
        let x = images(2);
        let (_store, block) = build(SkipForm::InsideRelu, 1);
        assert!(forced(&block, &[0, 0], BackEnd::Gather).0.equal(&x.relu()));
        let (_store, block) = build(SkipForm::AfterRelu, 1);
        assert!(forced(&block, &[0, 0], BackEnd::Gather).0.equal(&x));
        let (_store, block) = build(SkipForm::AfterRelu, 2);
        assert!(forced(&block, &[0, 0], BackEnd::Gather).0.equal(&block.residual.around(&x, Mode::Eval)));
    }

    #[test]
    fn a_block_that_runs_is_the_residual_block() {
        for form in [SkipForm::InsideRelu, SkipForm::AfterRelu] {
            let (_store, block) = build(form, 2);
            let plain = block.residual.forward(&images(3), &mut Pass::eval());
            assert!(forced(&block, &[1, 1, 1], BackEnd::MaskAll).0.allclose(&plain, 1e-12, 1e-12, false));
        }
    }

    /// `d loss / d z = sum over the map of the gradient times F(X)`, for images whose gate is closed too.
    #[test]
    fn the_gate_learns_from_what_a_closed_block_would_have_done() {
        let (store, block) = build(SkipForm::InsideRelu, 1);
        let x = images(6);
        let mut pass = Pass::train();
        block.forward(&x, &mut pass).sum(Kind::Double).backward();
        let decision = &pass.trace.layers[0].decision;
        assert_eq!(decision.executed, [6, 6]);
        let gradient = |name: &str| store.parameters().into_iter().find(|p| p.name == name).unwrap().tensor.grad();
        assert!(gradient("block.gate.fc2.bias").abs().min().double_value(&[]) > 0.0);
    }

    #[test]
    fn the_cost_of_running_is_that_of_the_branch() {
        // Two 3x3 convolutions of 4 to 4 channels on 8x8 maps; with a stride of 2 of 4 to 6 and 6 to 6 on 4x4.
        for (stride, expected) in [(1, 2 * 4 * 4 * 9 * 64), (2, (4 * 6 + 6 * 6) * 9 * 16)] {
            assert_eq!(build(SkipForm::InsideRelu, stride).1.cost, expected);
        }
    }

    #[test]
    fn gates_have_the_published_numbers_of_parameters() {
        // 16 channels: 4,706 for gate I and half of it for gate II of SkipNet; 16 C + 16 + 32 + 34 for AIG's.
        for (gate, expected) in [
            (SkipGateConfig::TwoConvolutions, 4706),
            (SkipGateConfig::OneConvolution, 2370),
            (SkipGateConfig::Relevance { hidden: 16 }, 338),
        ] {
            let store = Store::for_counting();
            gate.build(Shape::square(16, 32), &store.root()).unwrap();
            assert_eq!(store.parameter_count(), expected);
        }
    }

    #[test]
    fn maps_that_the_gate_cannot_pool_are_refused() {
        let message = config(SkipForm::AfterRelu, 1).output(Shape::square(4, 1)).unwrap_err().to_string();
        assert!(message.contains("maps of at least 2x2, which its gate pools"), "{message}");
        assert!(config(SkipForm::InsideRelu, 1).output(Shape::square(4, 1)).is_ok());
    }
}
