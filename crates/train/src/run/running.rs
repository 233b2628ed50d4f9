//! Sums over steps, gathered on the device and read at intervals.

use tch::{Kind, Tensor};

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::learn::Found;
use crate::processes::Processes;

/// What the steps since the last report, and since the start of the epoch, add up to.
///
/// All sums are taken on the host in the order of the steps, so that neither the intervals nor a checkpoint between them
/// changes a bit of any mean.
#[derive(Debug, Default)]
pub(super) struct Running {
    unread: Vec<Unread>,
    /// The loss of each step since the last report.
    pub(super) losses: Vec<f64>,
    /// Sums since the last report.
    pub(super) interval: Sums,
    /// Sums since the start of the epoch.
    pub(super) epoch: Sums,
}

/// A batch whose scalars are still on the device.
#[derive(Debug)]
struct Unread {
    step: u64,
    images: f64,
    /// Images that its loss stands for: more than its own where other processes have less of the same batch's weight.
    counted: f64,
    /// Its part of the step.
    share: f64,
    found: Found,
}

/// Sums over images; float64, exact for counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// Images seen.
    pub(super) images: f64,
    /// Their losses.
    pub(super) loss: f64,
    /// Their routing losses.
    pub(super) routing_loss: f64,
    /// How many were classified right.
    pub(super) correct: f64,
}

impl Sums {
    /// The mean loss.
    pub(super) fn mean_loss(&self) -> f64 {
        self.loss / self.images
    }

    /// The mean routing loss.
    pub(super) fn mean_routing_loss(&self) -> f64 {
        self.routing_loss / self.images
    }

    /// The share classified right.
    pub(super) fn accuracy(&self) -> f64 {
        self.correct / self.images
    }

    fn add(&mut self, of_batch: &[f64]) {
        let [images, loss, routing_loss, correct] = [0, 1, 2, 3].map(|at| of_batch[at]);
        self.images += images;
        self.loss += loss;
        self.routing_loss += routing_loss;
        self.correct += correct;
    }
}

impl Running {
    /// Notes a batch of `images` images that is `share` of step `step`, counted from 1, and whose loss stands for `counted` images
    /// of all processes. Nothing is read from the device.
    pub(super) fn push(&mut self, step: u64, images: usize, counted: f64, share: f64, found: Found) {
        self.unread.push(Unread { step, images: images as f64, counted, share, found });
    }

    /// Reads what has been noted since the last time, and adds it up over all processes; waits for the device.
    ///
    /// # Errors
    /// [`Error::Diverged`] naming the first step whose loss is not finite.
    pub(super) fn read(&mut self, processes: &Processes) -> Result<(), Error> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let zero = Tensor::from(0.0_f32);
        let losses = column(self.unread.iter().map(|batch| &batch.found.loss))?;
        let routing = column(self.unread.iter().map(|batch| batch.found.routing_loss.as_ref().unwrap_or(&zero)))?;
        let correct = column(self.unread.iter().map(|batch| &batch.found.correct))?;

        // Of every batch the four sums, then its part of the loss of its step.
        let own = self.unread.iter().enumerate().flat_map(|(index, batch)| {
            let Unread { images, counted, share, .. } = *batch;
            let loss = losses[index];
            [images, counted * loss, images * routing[index], correct[index], share * loss]
        });
        let all = processes.sums(&own.collect::<Vec<f64>>())?;

        let mut latest = None;
        for (batch, sums) in self.unread.drain(..).zip(all.chunks_exact(5)) {
            let loss = sums[4];
            if !loss.is_finite() {
                return Err(Error::Diverged { step: batch.step, found: format!("the loss is {loss}") });
            }
            for of in [&mut self.interval, &mut self.epoch] {
                of.add(sums);
            }
            match self.losses.last_mut() {
                Some(of_step) if latest == Some(batch.step) => *of_step += loss,
                _ => self.losses.push(loss),
            }
            latest = Some(batch.step);
        }
        Ok(())
    }

    /// What a checkpoint keeps; everything must have been read.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let sums = |s: Sums| Tensor::from_slice(&[s.images, s.loss, s.routing_loss, s.correct]);
        vec![
            ("running/losses".to_owned(), Tensor::from_slice(&self.losses)),
            ("running/interval".to_owned(), sums(self.interval)),
            ("running/epoch".to_owned(), sums(self.epoch)),
        ]
    }

    /// The sums that a checkpoint kept.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where they are missing or of another form.
    pub(super) fn restore(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let numbers = |name: &str| -> Result<Vec<f64>, Error> {
            Vec::<f64>::try_from(checkpoint.state(name)?)
                .map_err(|error| Error::corrupt(checkpoint.path(), &format!("`{name}`: {error}")))
        };
        let sums = |name: &str| -> Result<Sums, Error> {
            let found = numbers(name)?;
            let [images, loss, routing_loss, correct] = found.as_slice() else {
                let message = format!("`{name}` has {} numbers, expected 4", found.len());
                return Err(Error::Corrupt { path: checkpoint.path().to_owned(), message });
            };
            Ok(Sums { images: *images, loss: *loss, routing_loss: *routing_loss, correct: *correct })
        };
        Ok(Self {
            unread: Vec::new(),
            losses: numbers("running/losses")?,
            interval: sums("running/interval")?,
            epoch: sums("running/epoch")?,
        })
    }
}

/// Many scalars with one wait for the device.
fn column<'a>(scalars: impl Iterator<Item = &'a Tensor>) -> Result<Vec<f64>, Error> {
    let scalars: Vec<Tensor> = scalars.map(|scalar| scalar.to_kind(Kind::Double)).collect();
    Vec::<f64>::try_from(Tensor::stack(&scalars, 0)).map_err(|error| Error::torch("read the losses", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(loss: f64, correct: i64) -> Found {
        Found { loss: Tensor::from(loss), routing_loss: None, correct: Tensor::from(correct) }
    }

    #[test]
    fn means_weigh_batches_by_their_images() {
        // Four images of loss 1 and one of loss 6: (4 + 6) / 5 = 2; three of the five right.
        let mut running = Running::default();
        running.push(1, 4, 4.0, 1.0, found(1.0, 3));
        running.push(2, 1, 1.0, 1.0, found(6.0, 0));
        running.read(&Processes::alone()).unwrap();
        assert_eq!(running.epoch.mean_loss(), 2.0);
        assert_eq!(running.epoch.accuracy(), 0.6);
        assert_eq!(running.losses, [1.0, 6.0]);
    }

    #[test]
    fn batches_of_one_step_make_one_loss() {
        // Shares 3/4 and 1/4 of losses 2 and 6: 1.5 + 1.5 = 3.
        let mut running = Running::default();
        running.push(7, 3, 3.0, 0.75, found(2.0, 0));
        running.push(7, 1, 1.0, 0.25, found(6.0, 0));
        running.push(8, 4, 4.0, 1.0, found(5.0, 0));
        running.read(&Processes::alone()).unwrap();
        assert_eq!(running.losses, [3.0, 5.0]);
    }

    #[test]
    fn the_first_loss_that_is_not_finite_is_named() {
        let mut running = Running::default();
        for (step, loss) in [(41, 1.0), (42, f64::INFINITY), (43, f64::NAN)] {
            running.push(step, 1, 1.0, 1.0, found(loss, 0));
        }
        assert!(running.read(&Processes::alone()).unwrap_err().to_string().contains("step 42: the loss is inf"));
    }

    #[test]
    fn an_interval_ends_and_the_epoch_goes_on() {
        let mut running = Running::default();
        running.push(1, 2, 2.0, 1.0, found(1.0, 0));
        running.read(&Processes::alone()).unwrap();
        running.interval = Sums::default();
        running.push(2, 2, 2.0, 1.0, found(3.0, 0));
        running.read(&Processes::alone()).unwrap();
        assert_eq!((running.interval.mean_loss(), running.epoch.mean_loss()), (3.0, 2.0));
    }
}
