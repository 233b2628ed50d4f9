//! Routes that are not the network's own: what its accuracy falls by without them is what their dependence on the image is worth.

use mp_nn::Mode;
use mp_routing::{Decision, Normalisation, Trace};
use mp_zoo::{Model, Output};
use tch::{Kind, Tensor};

use crate::Error;
use crate::learn::{forward_forced, seed};
use crate::recipe::Precision;

/// Where the decisions of a network's routing layers come from while it is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Routes {
    /// From the network itself, image by image.
    #[default]
    Own,
    /// The mean of each layer's decisions over all images judged, for every image. The means are those of an ordinary pass: a
    /// later layer keeps its mean, although frozen layers before it would have changed what it decides.
    Frozen,
    /// Those of another image among all that are judged, drawn without returning.
    Shuffled {
        /// What decides which image gets whose.
        seed: u64,
    },
    /// All weights of a layer alike: 1/T where sources share themselves out among T targets, 1/S where targets are means of S
    /// sources, and one half where each weight is by itself.
    Uniform,
}

impl Routes {
    /// Their name: `own`, `frozen`, `shuffled`, `uniform`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Frozen => "frozen",
            Self::Shuffled { .. } => "shuffled",
            Self::Uniform => "uniform",
        }
    }
}

/// What a network decided on all images of a pass, in their order; it is small beside the images.
#[derive(Debug, Default)]
pub(super) struct Observed {
    images: i64,
    layers: Vec<ObservedLayer>,
}

#[derive(Debug)]
struct ObservedLayer {
    name: String,
    normalisation: Normalisation,
    items_per_image: i64,
    cost: Vec<u64>,
    /// `[B · items, S, T]` of each batch.
    weights: Vec<Tensor>,
    /// The same of what was chosen; empty where everything runs.
    chosen: Vec<Tensor>,
}

impl Observed {
    /// Keeps the decisions on the next `images` images.
    ///
    /// # Errors
    /// [`Error::Routes`] for a network that routes nothing.
    pub(super) fn add(&mut self, trace: &Trace, images: i64, model: &str, routes: Routes) -> Result<(), Error> {
        if trace.is_empty() {
            let problem = format!("`{model}` routes nothing, expected a routed model such as resnet20_x3_cc");
            return Err(Error::Routes { routes: routes.name(), problem });
        }
        if self.layers.is_empty() {
            let layer = |name: &str, decision: &Decision| ObservedLayer {
                name: name.to_owned(),
                normalisation: decision.normalisation,
                items_per_image: decision.items_per_image,
                cost: decision.cost.clone(),
                weights: Vec::new(),
                chosen: Vec::new(),
            };
            self.layers = trace.layers.iter().map(|traced| layer(&traced.name, &traced.decision)).collect();
        }
        for (layer, traced) in self.layers.iter_mut().zip(&trace.layers) {
            layer.weights.push(traced.decision.weights.shallow_clone());
            layer.chosen.extend(traced.decision.chosen.as_ref().map(Tensor::shallow_clone));
        }
        self.images += images;
        Ok(())
    }

    /// The decisions that each of the images gets under `routes`.
    ///
    /// # Errors
    /// [`Error::Routes`] where routes are shuffled and there is no other image.
    pub(super) fn under(&self, routes: Routes) -> Result<Forced, Error> {
        let rows = match routes {
            Routes::Own => (0..self.images).collect(),
            Routes::Frozen | Routes::Uniform => vec![0; self.images as usize],
            Routes::Shuffled { .. } if self.images < 2 => {
                let problem = "there is one image, expected two or more".to_owned();
                return Err(Error::Routes { routes: routes.name(), problem });
            }
            Routes::Shuffled { seed } => others(self.images, seed),
        };
        let layers = self.layers.iter().map(|layer| layer.under(routes)).collect();
        Ok(Forced { layers, rows, given: 0 })
    }
}

impl ObservedLayer {
    fn under(&self, routes: Routes) -> ForcedLayer {
        let of_images = |parts: &[Tensor]| {
            let whole = Tensor::cat(parts, 0);
            let size = whole.size();
            whole.view([-1, self.items_per_image, size[1], size[2]])
        };
        let weights = of_images(&self.weights);
        let weights = match routes {
            Routes::Own | Routes::Shuffled { .. } => weights,
            // In float64, so that the mean of many equal decisions is that decision.
            Routes::Frozen => {
                weights.to_kind(Kind::Double).mean_dim([0_i64].as_slice(), true, None).to_kind(self.weights[0].kind())
            }
            Routes::Uniform => {
                let size = weights.size();
                let even = match self.normalisation {
                    Normalisation::Targets => 1.0 / size[3] as f64,
                    Normalisation::Sources => 1.0 / size[2] as f64,
                    Normalisation::Sigmoid => 0.5,
                };
                weights.narrow(0, 0, 1).full_like(even)
            }
        };
        // Means of decisions choose nothing: everything runs.
        let is_of_images = matches!(routes, Routes::Own | Routes::Shuffled { .. });
        let chosen = (is_of_images && !self.chosen.is_empty()).then(|| of_images(&self.chosen));
        ForcedLayer {
            name: self.name.clone(),
            normalisation: self.normalisation,
            items_per_image: self.items_per_image,
            cost: self.cost.clone(),
            weights,
            chosen,
        }
    }
}

/// Decisions to be given to the images of a pass, in their order.
#[derive(Debug)]
pub(super) struct Forced {
    layers: Vec<ForcedLayer>,
    /// Which row of the layers each image gets.
    rows: Vec<i64>,
    given: usize,
}

#[derive(Debug)]
struct ForcedLayer {
    name: String,
    normalisation: Normalisation,
    items_per_image: i64,
    cost: Vec<u64>,
    /// `[rows, items, S, T]`.
    weights: Tensor,
    /// The same.
    chosen: Option<Tensor>,
}

impl Forced {
    /// Applies the network to the next images with the decisions that they get.
    ///
    /// # Errors
    /// [`Error::OtherImages`] for more images than there are decisions for; a network that the decisions are not of.
    pub(super) fn apply(&mut self, model: &Model, images: &Tensor, precision: Precision) -> Result<Output, Error> {
        let trace = self.next(images.size()[0] as usize)?;
        forward_forced(model, images, Mode::Eval, precision, trace)
    }

    /// Fails where some of the images did not come.
    ///
    /// # Errors
    /// [`Error::OtherImages`].
    pub(super) fn finish(&self) -> Result<(), Error> {
        let expected = self.rows.len();
        if self.given < expected { Err(Error::OtherImages { expected, more: false }) } else { Ok(()) }
    }

    fn next(&mut self, count: usize) -> Result<Trace, Error> {
        let Some(rows) = self.rows.get(self.given..self.given + count) else {
            return Err(Error::OtherImages { expected: self.rows.len(), more: true });
        };
        self.given += count;
        let rows = Tensor::from_slice(rows);
        let mut trace = Trace::new();
        for layer in &self.layers {
            let rows = rows.to_device(layer.weights.device());
            let items = |of_rows: &Tensor| of_rows.index_select(0, &rows).flatten(0, 1);
            let mut decision = Decision::soft(items(&layer.weights), None, layer.normalisation);
            decision.chosen = layer.chosen.as_ref().map(items);
            decision.items_per_image = layer.items_per_image;
            decision.cost = layer.cost.clone();
            trace.push(&layer.name, decision);
        }
        Ok(trace)
    }
}

/// A permutation of `0..count` that leaves none in its place, all cycles of one length being equally likely: Sattolo,
/// "An algorithm to generate a random cyclic permutation" (Information Processing Letters, 1986).
fn others(count: i64, seed: u64) -> Vec<i64> {
    let mut order: Vec<i64> = (0..count).collect();
    for last in (1..order.len()).rev() {
        let drawn = seed::of_step(seed, last as u64) as usize % last;
        order.swap(last, drawn);
    }
    order
}

#[cfg(test)]
mod tests {
    use mp_nn::Device;

    use super::*;

    /// One layer from one source to two targets: image 1 takes the first of them, image 2 both alike.
    fn two_images() -> Observed {
        let mut observed = Observed::default();
        for weights in [[1.0_f32, 0.0], [0.5, 0.5]] {
            let mut trace = Trace::new();
            let weights = Tensor::from_slice(&weights).view([1, 1, 2]);
            trace.push("stage2", Decision::soft(weights, None, Normalisation::Targets));
            observed.add(&trace, 1, "m", Routes::Frozen).unwrap();
        }
        observed
    }

    fn given(observed: &Observed, routes: Routes) -> Vec<f64> {
        let trace = observed.under(routes).unwrap().next(observed.images as usize).unwrap();
        assert_eq!(trace.layers[0].name, "stage2");
        Vec::try_from(trace.layers[0].decision.weights.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
    }

    #[test]
    fn two_images_get_their_mean_each_others_or_even_routes() {
        let observed = two_images();
        assert_eq!(given(&observed, Routes::Own), [1.0, 0.0, 0.5, 0.5]);
        assert_eq!(given(&observed, Routes::Frozen), [0.75, 0.25, 0.75, 0.25]);
        assert_eq!(given(&observed, Routes::Shuffled { seed: 5 }), [0.5, 0.5, 1.0, 0.0]);
        assert_eq!(given(&observed, Routes::Uniform), [0.5; 4]);
    }

    #[test]
    fn even_weights_are_those_of_the_normalisation() {
        for (normalisation, even) in
            [(Normalisation::Targets, 1.0 / 3.0), (Normalisation::Sources, 0.5), (Normalisation::Sigmoid, 0.5)]
        {
            let mut trace = Trace::new();
            let weights = Tensor::rand([4, 2, 3], (Kind::Double, Device::Cpu));
            trace.push("stage2", Decision::soft(weights, None, normalisation));
            let mut observed = Observed::default();
            observed.add(&trace, 4, "m", Routes::Uniform).unwrap();
            assert_eq!(given(&observed, Routes::Uniform), [even; 24]);
        }
    }

    #[test]
    fn the_items_of_an_image_stay_together() {
        // Two images of two items each, which choose the first or the second of two targets.
        let mut trace = Trace::new();
        let weights = Tensor::from_slice(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]).view([4, 1, 2]);
        let mut decision = Decision::soft(weights.shallow_clone(), None, Normalisation::Targets);
        decision.items_per_image = 2;
        decision.chosen = Some(weights.gt(0.0));
        trace.push("stage2", decision);
        let mut observed = Observed::default();
        observed.add(&trace, 2, "m", Routes::Frozen).unwrap();
        assert_eq!(given(&observed, Routes::Shuffled { seed: 0 }), [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(given(&observed, Routes::Frozen), [0.5, 0.5, 1.0, 0.0, 0.5, 0.5, 1.0, 0.0]);
        let chosen = |routes| observed.under(routes).unwrap().next(2).unwrap().layers.remove(0).decision.chosen;
        assert_eq!(chosen(Routes::Shuffled { seed: 0 }).unwrap().size(), [4, 1, 2]);
        assert!(chosen(Routes::Frozen).is_none());
    }

    #[test]
    fn no_image_keeps_its_own_and_each_is_given_once() {
        for count in [2, 3, 10, 257] {
            for seed in 0..5 {
                let order = others(count, seed);
                assert!((0..).zip(&order).all(|(at, other)| at != *other), "{order:?}");
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq(0..count));
                assert_eq!(order, others(count, seed));
            }
        }
        assert_ne!(others(257, 1), others(257, 2));
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        let mut observed = Observed::default();
        let message = |error: Error| error.to_string();
        assert_eq!(
            message(observed.add(&Trace::new(), 1, "resnet20", Routes::Frozen).unwrap_err()),
            "frozen routes: `resnet20` routes nothing, expected a routed model such as resnet20_x3_cc"
        );
        let mut trace = Trace::new();
        let weights = Tensor::ones([1, 1, 2], (Kind::Float, Device::Cpu));
        trace.push("stage2", Decision::soft(weights, None, Normalisation::Targets));
        observed.add(&trace, 1, "m", Routes::Frozen).unwrap();
        assert_eq!(
            message(observed.under(Routes::Shuffled { seed: 1 }).unwrap_err()),
            "shuffled routes: there is one image, expected two or more"
        );
        let mut forced = observed.under(Routes::Frozen).unwrap();
        let changed = "the images changed while they were judged: 1 at first, then";
        assert_eq!(message(forced.finish().unwrap_err()), format!("{changed} fewer"));
        assert_eq!(message(forced.next(2).unwrap_err()), format!("{changed} more"));
    }
}
