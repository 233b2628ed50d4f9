//! Whether the kernels of a gate compute on a GPU what they should: they are compiled there, for that very GPU, and tried on a small
//! batch before they are trusted with any other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::route::computed;
use crate::{Autocast, GateLayers, GateNormalisation};

/// What is compiled, or takes another way through the kernels: device, type, sources, targets, channels, hidden features,
/// normalisation, and how maps lie.
type Key = (usize, i32, i64, i64, i64, i64, u8, Layout);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    Features,
    ChannelsLast,
    Planes,
}

static TRIED: Mutex<BTreeMap<Key, bool>> = Mutex::new(BTreeMap::new());

/// Whether gates like these are computed as they should be on the GPU of `x`, a source; on the CPU the tests say so. The first call for
/// gates of a size waits for the device.
pub(crate) fn is_right(x: &Tensor, layers: &GateLayers<'_>) -> bool {
    let (Device::Cuda(index), &[sources, targets, hidden]) = (x.device(), &layers.weight2.size()[..]) else {
        return true;
    };
    let size = x.size();
    let layout = match size[2..].iter().product::<i64>() {
        1 => Layout::Features,
        _ if x.stride()[1] == 1 => Layout::ChannelsLast,
        _ => Layout::Planes,
    };
    let key = (index, x.kind() as i32, sources, targets, size[1], hidden, layers.normalisation as u8, layout);
    let tried = || TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verdict) = tried().get(&key) {
        return *verdict;
    }
    let _float = Autocast::off(x.device());
    let trial = Trial { size, layout, kind: x.kind(), device: x.device(), sources, targets, hidden };
    let verdict = tch::with_grad(|| {
        [true, false].iter().all(|mixes| trial.agrees(layers.normalisation, |xs, layers| fused(xs, layers, *mixes)))
    });
    tried().insert(key, verdict);
    verdict
}

/// The fused operation: targets where it mixes, weights and logits.
fn fused(xs: &[Tensor], layers: GateLayers<'_>, mixes: bool) -> Option<Vec<Tensor>> {
    let (mut ys, gated) = computed(xs, layers, mixes).ok()?;
    ys.extend([gated.weights, gated.logits]);
    Some(ys)
}

const TEMPERATURE: f64 = 0.7;
const SAMPLES: i64 = 3;

/// A small batch and gates for it.
struct Trial {
    /// Of a source.
    size: Vec<i64>,
    layout: Layout,
    kind: Kind,
    device: Device,
    sources: i64,
    targets: i64,
    hidden: i64,
}

impl Trial {
    /// Whether outputs and gradients of `op` are those that tensor operations give in float64, but for roundings.
    fn agrees(
        &self,
        normalisation: GateNormalisation,
        op: impl Fn(&[Tensor], GateLayers<'_>) -> Option<Vec<Tensor>>,
    ) -> bool {
        let inputs = self.inputs();
        let doubles: Vec<Tensor> =
            inputs.iter().map(|x| x.detach().to_kind(Kind::Double).set_requires_grad(true)).collect();
        let sources = self.sources as usize;
        let [weight1, bias1, weight2, bias2] = &inputs[sources..] else { return false };
        let layers = GateLayers { weight1, bias1, weight2, bias2, temperature: TEMPERATURE, normalisation };
        let Some(found) = op(&inputs[..sources], layers) else { return false };
        let mut expected = self.composed(&doubles, normalisation);
        // Gates alone give no targets.
        expected.drain(..expected.len() - found.len());
        // The gradients of the layers are matrix products, whose factors may be rounded to TensorFloat-32.
        let tolerance = if self.kind == Kind::BFloat16 { 1e-2 } else { 3e-3 };
        let close = |(a, b): (&Tensor, &Tensor)| {
            let difference = (a.to_kind(Kind::Double) - b).norm().double_value(&[]);
            // A NaN is not close.
            difference <= tolerance * b.norm().double_value(&[]).max(1e-3)
        };
        let gradients = |outputs: &[Tensor], inputs: &[Tensor]| {
            let weighed = |(at, y): (usize, &Tensor)| {
                let weights = pattern(&y.size(), self.device, 5.0 + at as f64).to_kind(self.kind).to_kind(Kind::Double);
                (y.to_kind(Kind::Double) * weights).sum(Kind::Double)
            };
            let loss = outputs.iter().enumerate().map(weighed).reduce(|a, b| a + b);
            loss.map_or_else(Vec::new, |loss| Tensor::run_backward(&[loss], inputs, false, false))
        };
        found.iter().zip(&expected).all(close)
            && gradients(&found, &inputs).iter().zip(&gradients(&expected, &doubles)).all(close)
    }

    /// The sources, then weight1, bias1, weight2 and bias2, leaves all.
    fn inputs(&self) -> Vec<Tensor> {
        let mut size = self.size.clone();
        size[0] = SAMPLES;
        let map = |i: i64| {
            let x = pattern(&size, self.device, i as f64).to_kind(self.kind);
            match self.layout {
                Layout::ChannelsLast => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
                _ => x,
            }
        };
        let (s, t, hidden, channels) = (self.sources, self.targets, self.hidden, size[1]);
        let layers = [&[s, hidden, channels][..], &[s, hidden], &[s, t, hidden], &[s, t]];
        let layer = |(at, size): (usize, &&[i64])| pattern(size, self.device, 9.0 + at as f64).to_kind(Kind::Float);
        let inputs = (0..s).map(map).chain(layers.iter().enumerate().map(layer));
        inputs.map(|x| x.set_requires_grad(true)).collect()
    }

    /// Targets, weights and logits by the definition.
    fn composed(&self, inputs: &[Tensor], normalisation: GateNormalisation) -> Vec<Tensor> {
        let (xs, layers) = inputs.split_at(self.sources as usize);
        let means = |x: &Tensor| if x.dim() == 4 { x.mean_dim([2_i64, 3].as_slice(), false, None) } else { x.copy() };
        let dense = |x: &Tensor, at: usize| layers[at + 1].unsqueeze(1) + x.matmul(&layers[at].transpose(1, 2));
        let features = Tensor::stack(&xs.iter().map(means).collect::<Vec<_>>(), 0);
        let logits = dense(&dense(&features, 0).relu(), 2).transpose(0, 1) / TEMPERATURE;
        let weights = match normalisation {
            GateNormalisation::Targets => logits.softmax(2, None),
            GateNormalisation::Sources => logits.softmax(1, None),
            GateNormalisation::Sigmoid => logits.sigmoid(),
        };
        let mut ones = vec![1; self.size.len()];
        ones[0] = -1;
        let target = |j: i64| {
            let part = |(i, x): (usize, &Tensor)| x * weights.select(1, i as i64).select(1, j).reshape(&ones);
            xs.iter().enumerate().map(part).reduce(|a, b| a + b)
        };
        (0..self.targets).filter_map(target).chain([weights.shallow_clone(), logits.shallow_clone()]).collect()
    }
}

/// A fixed pattern within ±1 in float64: libtorch's generator belongs to the network.
fn pattern(size: &[i64], device: Device, phase: f64) -> Tensor {
    let count: i64 = size.iter().product();
    (Tensor::arange(count, (Kind::Double, device)) * 0.7 + phase).sin().reshape(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(size: &[i64], layout: Layout, kind: Kind) -> Trial {
        Trial { size: size.to_vec(), layout, kind, device: Device::Cpu, sources: 3, targets: 2, hidden: 5 }
    }

    #[test]
    fn what_computes_as_it_should_is_trusted() {
        for kind in [Kind::Float, Kind::BFloat16] {
            for (size, layout) in [
                (&[9, 8, 4, 3][..], Layout::ChannelsLast),
                (&[9, 8, 4, 3], Layout::Planes),
                (&[9, 8], Layout::Features),
            ] {
                for normalisation in
                    [GateNormalisation::Targets, GateNormalisation::Sources, GateNormalisation::Sigmoid]
                {
                    for mixes in [true, false] {
                        let trial = trial(size, layout, kind);
                        assert!(
                            trial.agrees(normalisation, |xs, layers| fused(xs, layers, mixes)),
                            "{size:?} {kind:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_is_refused() {
        let trial = trial(&[9, 8, 4, 3], Layout::ChannelsLast, Kind::Float);
        let off = |change: fn(usize, Tensor) -> Tensor| {
            trial.agrees(GateNormalisation::Targets, |xs, layers| {
                let outputs = fused(xs, layers, true)?;
                Some(outputs.into_iter().enumerate().map(|(at, y)| change(at, y)).collect())
            })
        };
        assert!(off(|_, y| y));
        assert!(!off(|at, y| if at == 1 { y * 1.01 } else { y }));
        assert!(!off(|_, y| y * f64::NAN));
        // Right outputs with a wrong gradient.
        assert!(!off(|at, y| if at == 0 { &y * 2.0 - y.detach() } else { y }));
        assert!(!trial.agrees(GateNormalisation::Targets, |_, _| None));
    }
}
