//! Cross-prediction: every source predicts every target.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::shape::at_least_one;
use crate::{Decision, Error, MixerConfig, Pass, Router, RoutingShape, SharedRouter, mix};
use mp_nn::{Device, Init, Meter, Params, Role, WeightInit, numbers_of_one};

/// The order in which gates and predictions are applied; both give the same numbers from the same parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `Y_j = sum_i g_ij (W_ij * X_i + b_ij)`: S·T convolutions, whose outputs are kept and mixed.
    Direct,
    /// `Y_j = [W_1j .. W_Sj] * concat_i(g_ij X_i) + sum_i g_ij b_ij`: T convolutions, whose accumulators do the sum.
    Gated,
    /// Direct on the CPU, where the fused mixing makes it the faster one on all but the smallest maps (a training step of
    /// ResNet-20's layers takes 0.6 to 1.0 times as long as gated, with 8x8 maps 1.0 to 1.2); gated on other devices,
    /// where fewer and larger convolutions should be faster (not measured).
    #[default]
    Auto,
}

/// A cross-prediction of a layer; the default is gated.
#[derive(Clone, Debug)]
pub struct CrossPredictionConfig {
    /// Where the weights come from.
    pub mixer: SharedRouter,
    /// The form that runs.
    pub form: Form,
}

impl Default for CrossPredictionConfig {
    fn default() -> Self {
        CrossPredictionConfig { mixer: MixerConfig::default().into(), form: Form::default() }
    }
}

/// The convolution by which one source predicts one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels of every target.
    pub out_channels: i64,
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Step of the kernel.
    pub stride: i64,
    /// Zeros added on each side.
    pub padding: i64,
    /// Whether each prediction has a bias.
    pub bias: bool,
    /// How the weights start.
    pub init: WeightInit,
}

/// The dense layer by which one source predicts one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseShape {
    /// Features of every target.
    pub out_features: i64,
    /// Whether each prediction has a bias.
    pub bias: bool,
}

impl CrossPredictionConfig {
    /// Between maps. Takes the mixer's parameters (see [`RouterConfig::build`](crate::RouterConfig::build)) at `params`, and for each target `j` from 1
    /// `target{j}.weight` `[C', S · C, kernel, kernel]` and, where there is one, `target{j}.bias` `[S, C']`; the slice of
    /// each source starts as a convolution of its own. `name` is the layer's in the trace.
    ///
    /// # Errors
    /// Those of [`RouterConfig::build`](crate::RouterConfig::build); sizes below 1 or padding below 0.
    pub fn build(
        &self,
        params: &Params,
        name: &str,
        shape: RoutingShape,
        conv: ConvShape,
    ) -> Result<CrossPrediction, Error> {
        let layer = params.path();
        for (what, value) in [("out_channels", conv.out_channels), ("kernel", conv.kernel), ("stride", conv.stride)] {
            at_least_one(layer, what, value)?;
        }
        if conv.padding < 0 {
            return Err(Error::config(format!("padding of the routing layer `{layer}`"), "at least 0", conv.padding));
        }
        let area = conv.kernel * conv.kernel;
        let uniform = Init::kaiming_uniform(shape.channels * area);
        let start = conv.init.start(shape.channels * area, conv.out_channels * area);
        let weight = [conv.out_channels, shape.sources * shape.channels, conv.kernel, conv.kernel];
        let bias = conv.bias.then_some(uniform);
        let step = Step::Convolution { stride: conv.stride, padding: conv.padding };
        self.assemble(params, name, shape, &weight, start, bias, step)
    }

    /// Between dense layers: as [`CrossPredictionConfig::build`], with `target{j}.weight` `[C', S · C]`.
    ///
    /// # Errors
    /// Those of [`RouterConfig::build`](crate::RouterConfig::build); features below 1.
    pub fn build_dense(
        &self,
        params: &Params,
        name: &str,
        shape: RoutingShape,
        dense: DenseShape,
    ) -> Result<CrossPrediction, Error> {
        at_least_one(params.path(), "out_features", dense.out_features)?;
        let uniform = Init::kaiming_uniform(shape.channels);
        let bias = dense.bias.then(|| uniform.clone());
        let weight = [dense.out_features, shape.sources * shape.channels];
        self.assemble(params, name, shape, &weight, uniform, bias, Step::Dense)
    }

    #[expect(clippy::too_many_arguments, reason = "the two public constructors differ in just these")]
    fn assemble(
        &self,
        params: &Params,
        name: &str,
        shape: RoutingShape,
        weight: &[i64],
        start: Init,
        bias: Option<Init>,
        step: Step,
    ) -> Result<CrossPrediction, Error> {
        let mixer = self.mixer.build(params, shape)?;
        let targets = (1..=shape.targets)
            .map(|j| {
                let params = params / format!("target{j}").as_str();
                let bias_shape = [shape.sources, weight[0]];
                Ok(Target {
                    weight: params.parameter("weight", weight, start.clone(), Role::Weight)?,
                    bias: match &bias {
                        Some(init) => Some(params.parameter("bias", &bias_shape, init.clone(), Role::Bias)?),
                        None => None,
                    },
                })
            })
            .collect::<Result<_, mp_nn::Error>>()?;
        let form = match self.form {
            Form::Auto if params.device() == Device::Cpu => Form::Direct,
            Form::Auto => Form::Gated,
            chosen => chosen,
        };
        Ok(CrossPrediction {
            mixer,
            targets,
            step,
            form,
            channels: shape.channels,
            name: name.to_owned(),
            meter: params.meter().clone(),
        })
    }
}

/// `U_ij = W_ij * X_i + b_ij`, `Y_j = sum_i g_ij U_ij`; norm and activation come after it.
///
/// A gate is one scalar a sample, so it may act before or after the convolution: see [`Form`]. Tissera et al.,
/// arXiv 2107.02450.
#[derive(Debug)]
pub struct CrossPrediction {
    mixer: Box<dyn Router>,
    targets: Vec<Target>,
    step: Step,
    form: Form,
    channels: i64,
    name: String,
    meter: Meter,
}

#[derive(Debug)]
struct Target {
    /// The weights from all sources, side by side on the axis of the input channels.
    weight: Tensor,
    /// `[S, C']`.
    bias: Option<Tensor>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Convolution { stride: i64, padding: i64 },
    Dense,
}

impl Step {
    fn apply(self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        match self {
            Step::Convolution { stride, padding } => x.conv2d(weight, bias, [stride; 2], [padding; 2], [1; 2], 1),
            Step::Dense => x.linear(weight, bias),
        }
    }
}

impl CrossPrediction {
    /// S sources `[B, C, H, W]` to T targets `[B, C', H', W']`, or `[B, C]` to `[B, C']`, and the decision as it was
    /// [applied](crate::Router::applied), by which a residual shortcut can be mixed with the same weights. The decision itself
    /// is appended to the trace.
    ///
    /// # Panics
    /// If the sources are not those that the layer was built for.
    pub fn forward(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        let size = (xs[0].size()[0], xs.len() as i64, self.targets.len() as i64);
        let mut decision = pass.forced(&self.name, size).unwrap_or_else(|| self.mixer.route(xs, pass));
        pass.trace.push(&self.name, decision.shallow_clone());
        decision.weights = self.mixer.applied(&decision.weights);
        let ys = match self.form {
            Form::Direct => self.direct(xs, &decision.weights),
            Form::Gated | Form::Auto => self.gated(xs, &decision.weights),
        };
        (ys, decision)
    }

    /// The form that runs: [`Form::Direct`] or [`Form::Gated`].
    pub fn form(&self) -> Form {
        self.form
    }

    fn direct(&self, xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
        let one_target = |(j, target): (usize, &Target)| {
            let predictions: Vec<Tensor> = xs
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let i = i as i64;
                    let weight = target.weight.narrow(1, i * self.channels, self.channels);
                    let bias = target.bias.as_ref().map(|b| b.get(i));
                    self.step.apply(x, &weight, bias.as_ref())
                })
                .collect();
            let predicted = xs.len() as u64 * numbers_of_one(&predictions[0]);
            self.meter.add(predicted * self.products_from_one_source() + predicted);
            mix(&predictions, &weights.narrow(2, j as i64, 1)).swap_remove(0)
        };
        self.targets.iter().enumerate().map(one_target).collect()
    }

    fn gated(&self, xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
        let sources = xs.len() as u64;
        let inputs = gated_inputs(xs, weights);
        let weights = weights.to_kind(xs[0].kind());
        let one_target = |(j, (target, x)): (usize, (&Target, &Tensor))| {
            let mut y = self.step.apply(x, &target.weight, None);
            self.meter.add(numbers_of_one(&y) * self.products_from_one_source() * sources + numbers_of_one(x));
            if let Some(bias) = &target.bias {
                let g = weights.select(2, j as i64);
                let mixed = g.matmul(&bias.to_kind(g.kind())).to_kind(y.kind());
                self.meter.add(numbers_of_one(&mixed) * sources);
                let mut shape = y.size();
                shape[2..].fill(1);
                // In place: autograd keeps the input of the convolution, not its output.
                y = y.g_add_(&mixed.reshape(shape));
            }
            y
        };
        self.targets.iter().zip(&inputs).enumerate().map(one_target).collect()
    }

    /// Products for one number of `U_ij`.
    fn products_from_one_source(&self) -> u64 {
        let weight = self.targets[0].weight.size();
        (self.channels * weight[2..].iter().product::<i64>()) as u64
    }
}

/// `concat_i(g_ij X_i)` for each target j: S sources `[B, C, ...]` and weights `[B, S, T]` to T tensors `[B, S · C, ...]`.
fn gated_inputs(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let targets = weights.size()[2];
    if mp_native::can_mix(xs, targets as usize) {
        // Only weights of another shape are refused here: falling back would hide a fault of the caller.
        return mp_native::gate_inputs(xs, weights).unwrap_or_else(|error| panic!("{error}"));
    }
    // Other devices and element types.
    let channels = xs[0].size()[1];
    let x = Tensor::cat(xs, 1);
    let mut per_channel = x.size();
    per_channel[2..].fill(1);
    let weights = weights.to_kind(x.kind());
    let gated = |j| {
        let g = weights.select(2, j).unsqueeze(2).expand([-1, -1, channels], false);
        &x * g.reshape(&per_channel)
    };
    (0..targets).map(gated).collect()
}
