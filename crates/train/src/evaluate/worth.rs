//! A network judged with other routes than its own.

use std::sync::atomic::AtomicBool;

use mp_data::Loader;
use mp_nn::Mode;
use mp_routing::figure;
use mp_zoo::Model;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::routes::{Observed, Routes};
use super::{Each, Evaluation, evaluate, judge};
use crate::Error;
use crate::learn::forward;
use crate::recipe::Precision;

/// A network, and the images that it is judged by.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The network.
    pub model: &'a Model,
    /// Its images.
    pub loader: &'a Loader,
    /// How many classes they have.
    pub classes: usize,
    /// The number format that it is applied in.
    pub precision: Precision,
    /// Where it is.
    pub device: Device,
}

/// The accuracy of a network under each of the [`Routes`]. What falls from its own to frozen and shuffled ones is what their
/// dependence on the image is worth; what falls further to uniform ones, what their means are worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RouteWorth {
    /// How many images were judged.
    pub images: u64,
    /// With the routes that the network takes itself.
    #[serde(with = "figure")]
    pub own: f64,
    /// With the mean of each layer's routes for every image.
    #[serde(with = "figure")]
    pub frozen: f64,
    /// With the routes of another image.
    #[serde(with = "figure")]
    pub shuffled: f64,
    /// With all weights of a layer alike.
    #[serde(with = "figure")]
    pub uniform: f64,
}

impl Subject<'_> {
    /// Evaluates the network with these routes. For all but its own, a first pass finds out what the network decides itself on
    /// each image, so that the answer does not depend on how the loader cuts the images into batches.
    ///
    /// # Errors
    /// As [`evaluate`]; [`Error::Routes`] for a network that routes nothing, and where routes are to be shuffled of one image.
    pub fn evaluate_with_routes(self, routes: Routes, each: Each<'_>) -> Result<Evaluation, Error> {
        if routes == Routes::Own {
            let Self { model, loader, classes, precision, device } = self;
            return evaluate(model, loader, classes, precision, device, &AtomicBool::new(false), each);
        }
        let (_, observed) = self.observe(routes)?;
        self.under(&observed, routes, each)
    }

    /// The accuracy under each of the routes; `seed` decides which image gets whose where they are shuffled.
    ///
    /// # Errors
    /// As [`Subject::evaluate_with_routes`].
    pub fn worth_of_routes(self, seed: u64) -> Result<RouteWorth, Error> {
        let shuffled = Routes::Shuffled { seed };
        let (own, observed) = self.observe(shuffled)?;
        let accuracy = |routes| Ok::<_, Error>(self.under(&observed, routes, None)?.accuracy());
        Ok(RouteWorth {
            images: own.images,
            own: own.accuracy(),
            frozen: accuracy(Routes::Frozen)?,
            shuffled: accuracy(shuffled)?,
            uniform: accuracy(Routes::Uniform)?,
        })
    }

    /// An ordinary pass, and what the network decided in it, for `routes`.
    fn observe(self, routes: Routes) -> Result<(Evaluation, Observed), Error> {
        let mut observed = Observed::default();
        let mut apply = |images: &Tensor| {
            let output = forward(self.model, images, Mode::Eval, self.precision);
            observed.add(&output.trace, images.size()[0], self.model.name(), routes)?;
            Ok(output)
        };
        let found =
            judge(self.model, self.loader, self.classes, self.device, &AtomicBool::new(false), &mut apply, None)?;
        Ok((found, observed))
    }

    fn under(self, observed: &Observed, routes: Routes, each: Each<'_>) -> Result<Evaluation, Error> {
        let mut forced = observed.under(routes)?;
        let mut apply = |images: &Tensor| forced.apply(self.model, images, self.precision);
        let found =
            judge(self.model, self.loader, self.classes, self.device, &AtomicBool::new(false), &mut apply, each)?;
        forced.finish()?;
        Ok(found)
    }
}
