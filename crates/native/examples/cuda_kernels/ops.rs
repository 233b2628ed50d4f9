//! The operations, as functions of their inputs: ours, and libtorch's of the same numbers.

use mp_native::{GateLayers, GateNormalisation, NormState};
use tch::{Device, Kind, Tensor};

/// From inputs to outputs.
pub(crate) type Op = Box<dyn Fn(&[Tensor]) -> Vec<Tensor>>;

/// An operation on inputs of its own.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Leaves on the GPU, whose gradients are wanted.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) ours: Op,
    pub(crate) theirs: Op,
}

/// Random numbers in the layout of the maps of a network.
pub(crate) fn map(shape: &[i64], kind: Kind, device: Device) -> Tensor {
    let x = Tensor::randn(shape, (Kind::Float, device)) * 1.5 + 0.4;
    let x = x.to_kind(kind);
    match shape {
        [b, c, h, w] => {
            let mut last = Tensor::empty([*b, *h, *w, *c], (kind, device)).permute([0, 3, 1, 2]);
            last.copy_(&x);
            last
        }
        _ => x,
    }
}

/// How a norm is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) residual: bool,
    pub(crate) relu: bool,
    pub(crate) training: bool,
    /// Whether each call starts with the same running values.
    pub(crate) repeats: bool,
}

impl Norm {
    fn running(self, values: &Tensor) -> Tensor {
        if self.repeats { values.copy() } else { values.shallow_clone() }
    }

    /// Inputs are x, weight, bias and the residual; outputs y and the running values.
    pub(crate) fn case(self, shape: [i64; 4], kind: Kind, device: Device) -> Case {
        let values = |low: f64| Tensor::rand([shape[1]], (Kind::Float, device)) + low;
        let mut inputs = vec![map(&shape, kind, device), values(0.5), values(-0.5)];
        if self.residual {
            inputs.push(map(&shape, kind, device));
        }
        let (mean, var) = (values(-0.5), values(0.5));
        let (other_mean, other_var) = (mean.copy(), var.copy());
        let called = format!(
            "norm{}{}{} {shape:?} {kind:?}",
            if self.residual { "+add" } else { "" },
            if self.relu { "+relu" } else { "" },
            if self.training { "" } else { " by running" },
        );
        Case {
            name: called,
            inputs,
            ours: Box::new(move |inputs| {
                let (mean, var) = (self.running(&mean), self.running(&var));
                let state = NormState {
                    weight: &inputs[1],
                    bias: &inputs[2],
                    running_mean: &mean,
                    running_var: &var,
                    momentum: 0.1,
                    eps: 1e-5,
                };
                let y = mp_native::batch_norm(&inputs[0], state, inputs.get(3), self.relu, self.training)
                    .unwrap_or_else(|error| panic!("{error}"));
                vec![y, mean, var]
            }),
            theirs: Box::new(move |inputs| {
                let like =
                    |values: &Tensor| self.running(&values.to_device(inputs[1].device()).to_kind(inputs[1].kind()));
                let (mean, var) = (like(&other_mean), like(&other_var));
                let (weight, bias) = (Some(&inputs[1]), Some(&inputs[2]));
                let mut y = inputs[0].batch_norm(weight, bias, Some(&mean), Some(&var), self.training, 0.1, 1e-5, true);
                if let Some(residual) = inputs.get(3) {
                    y = y.g_add_(residual);
                }
                vec![if self.relu { y.relu_() } else { y }, mean, var]
            }),
        }
    }
}

/// S sources and T targets.
#[derive(Clone, Copy)]
pub(crate) struct Paths {
    pub(crate) sources: usize,
    pub(crate) targets: usize,
}

impl Paths {
    fn inputs(self, shape: &[i64], kind: Kind, last: bool, device: Device) -> Vec<Tensor> {
        let mut inputs: Vec<Tensor> = (0..self.sources)
            .map(|_| if last { map(shape, kind, device) } else { map(shape, kind, device).contiguous() })
            .collect();
        inputs.push(Tensor::rand([shape[0], self.sources as i64, self.targets as i64], (Kind::Float, device)));
        inputs
    }

    fn name(self, of: &str, shape: &[i64], kind: Kind, last: bool) -> String {
        format!("{of} {}x{} {shape:?} {kind:?}{}", self.sources, self.targets, if last { "" } else { " by planes" })
    }

    /// Inputs are the sources and the weights, outputs the targets.
    pub(crate) fn mix(self, shape: &[i64], kind: Kind, last: bool, device: Device) -> Case {
        let sources = self.sources;
        Case {
            name: self.name("mix", shape, kind, last),
            inputs: self.inputs(shape, kind, last, device),
            ours: Box::new(move |inputs| {
                mp_native::mix(&inputs[..sources], &inputs[sources]).unwrap_or_else(|error| panic!("{error}"))
            }),
            theirs: Box::new(move |inputs| mixed(&inputs[..sources], &inputs[sources])),
        }
    }

    /// Inputs are the sources and the weights, outputs what the targets' convolutions read.
    pub(crate) fn gate_inputs(self, shape: &[i64], kind: Kind, last: bool, device: Device) -> Case {
        let (sources, channels) = (self.sources, shape[1]);
        Case {
            name: self.name("gate inputs", shape, kind, last),
            inputs: self.inputs(shape, kind, last, device),
            ours: Box::new(move |inputs| {
                mp_native::gate_inputs(&inputs[..sources], &inputs[sources]).unwrap_or_else(|error| panic!("{error}"))
            }),
            theirs: Box::new(move |inputs| {
                let x = Tensor::cat(&inputs[..sources], 1);
                let weights = inputs[sources].to_kind(x.kind());
                let mut size = x.size();
                size[2..].fill(1);
                (0..weights.size()[2])
                    .map(|j| {
                        let g = weights.select(2, j).unsqueeze(2).expand([-1, -1, channels], false);
                        &x * g.reshape(&size)
                    })
                    .collect()
            }),
        }
    }
    /// Inputs are the sources, then weight1, bias1, weight2 and bias2; outputs the targets where there is mixing, the weights and the
    /// logits.
    pub(crate) fn route(self, shape: &[i64], kind: Kind, last: bool, mixes: bool, device: Device) -> Case {
        const HIDDEN: i64 = 16;
        let (count, sources, targets) = (self.sources, self.sources as i64, self.targets as i64);
        let mut inputs = self.inputs(shape, kind, last, device);
        inputs.truncate(count);
        for size in
            [&[sources, HIDDEN, shape[1]][..], &[sources, HIDDEN], &[sources, targets, HIDDEN], &[sources, targets]]
        {
            inputs.push(Tensor::randn(size, (Kind::Float, device)) * 0.3);
        }
        Case {
            name: self.name(if mixes { "route" } else { "gate" }, shape, kind, last),
            inputs,
            ours: Box::new(move |inputs| {
                let layers = GateLayers {
                    weight1: &inputs[count],
                    bias1: &inputs[count + 1],
                    weight2: &inputs[count + 2],
                    bias2: &inputs[count + 3],
                    temperature: 0.7,
                    normalisation: GateNormalisation::Targets,
                };
                let (mut ys, gated) = if mixes {
                    mp_native::route(&inputs[..count], layers).unwrap_or_else(|error| panic!("{error}"))
                } else {
                    (vec![], mp_native::gate(&inputs[..count], layers).unwrap_or_else(|error| panic!("{error}")))
                };
                ys.extend([gated.weights, gated.logits]);
                ys
            }),
            theirs: Box::new(move |inputs| {
                let real = inputs[count].kind();
                let pooled: Vec<Tensor> = inputs[..count]
                    .iter()
                    .map(
                        |x| if x.dim() == 4 { x.mean_dim([2_i64, 3].as_slice(), false, real) } else { x.to_kind(real) },
                    )
                    .collect();
                let dense = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
                    bias.unsqueeze(1).baddbmm(x, &weight.transpose(1, 2), 1, 1)
                };
                let hidden = dense(&Tensor::stack(&pooled, 0), &inputs[count], &inputs[count + 1]).relu();
                let logits = dense(&hidden, &inputs[count + 2], &inputs[count + 3]).transpose(0, 1) / 0.7;
                let weights = logits.softmax(2, real);
                let mut ys = if mixes { mixed(&inputs[..count], &weights) } else { vec![] };
                ys.extend([weights, logits]);
                ys
            }),
        }
    }
}

/// `sum_i g_ij X_i`, in the sources' type.
fn mixed(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let weights = weights.to_kind(xs[0].kind());
    (0..weights.size()[2])
        .map(|j| {
            let factor = |i: usize| per_sample(&weights.select(2, j).select(1, i as i64), xs[i].dim());
            let mut y = &xs[0] * factor(0);
            for (i, x) in xs.iter().enumerate().skip(1) {
                y = y.addcmul_(x, &factor(i));
            }
            y
        })
        .collect()
}

/// `[B]` as `[B, 1, ..., 1]` of `dims` axes.
fn per_sample(g: &Tensor, dims: usize) -> Tensor {
    let mut shape = vec![1; dims];
    shape[0] = -1;
    g.reshape(shape)
}
