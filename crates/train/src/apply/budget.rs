//! Trained networks that are held to a budget.

use mp_nn::Mode;
use tch::{Kind, Tensor};

use super::{Judge, Trained};
use crate::Error;
use crate::evaluate::{Met, meet};
use crate::images::to_device;
use crate::learn::forward;
use crate::split::Split;

/// So many held-out images are enough to know what images cost on average.
const IMAGES: usize = 1000;

impl Judge {
    /// Finds the threshold at which held-out images, a thousand at most of those that validated the run, cost no more than a
    /// budget, and sets it.
    ///
    /// # Errors
    /// As [`meet`]; a batch that cannot be read; [`Error::OtherHoldout`].
    pub fn hold_to(&mut self, budget: f64) -> Result<Met, Error> {
        let batches = self.some_images(Split::Valid, IMAGES)?;
        let images = batches.iter().map(|batch| batch.size()[0]).sum::<i64>() as u64;
        let Trained { identity, model, precision, .. } = &mut self.trained;
        let work = model.work();
        let met = meet(&identity.model, work, budget, images, &mut |threshold| {
            let _guard = tch::no_grad_guard();
            model.set_threshold(threshold);
            let mut sum = 0.0;
            for batch in &batches {
                let trace = forward(model, batch, Mode::Eval, *precision).trace;
                sum += trace.routed().map_or(0.0, |routed| routed.sum(Kind::Double).double_value(&[]));
            }
            Ok(sum / images.max(1) as f64)
        })?;
        model.set_threshold(met.threshold);
        Ok(met)
    }

    /// The first images of a split, in batches on the network's device.
    fn some_images(&self, split: Split, count: usize) -> Result<Vec<Tensor>, Error> {
        let device = self.trained.device();
        let loader = self.loader(split)?;
        let (mut batches, mut images) = (Vec::new(), 0);
        for batch in loader.epoch(0, 0) {
            if images >= count {
                break;
            }
            let (x, _) = to_device(&batch?, device)?;
            images += x.size()[0] as usize;
            batches.push(x);
        }
        Ok(batches)
    }
}
