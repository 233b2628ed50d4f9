//! What a person sees while a network trains, on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use mp_train::Error;
use mp_train::checkpoint::Position;
use mp_train::watch::{Epoch, Event, Interval, Observer};

/// A bar where standard error is a terminal, lines otherwise.
pub(crate) fn for_standard_error() -> Box<dyn Observer> {
    if io::stderr().is_terminal() { Box::new(Bar::new()) } else { Box::new(Lines::default()) }
}

/// How long the run is.
#[derive(Debug, Clone, Copy, Default)]
struct Length {
    epochs: u64,
    steps_per_epoch: u64,
}

/// A line per report.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    length: Length,
}

impl Observer for Lines {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Data(text) => line(text),
            Event::Start { position, epochs, steps_per_epoch } => {
                self.length = Length { epochs: *epochs, steps_per_epoch: *steps_per_epoch };
                if position.step > 0 {
                    line(&continued(*position));
                }
            }
            Event::Note { text, .. } => line(text),
            Event::Step(_) | Event::Saved(_) => {}
            Event::Interval(interval) => line(&describe_interval(interval, self.length)),
            Event::Epoch(epoch) => line(&describe_epoch(epoch, self.length)),
            Event::OutOfPatience { position, best } => line(&out_of_patience(*position, *best)),
            Event::Stopped(position) => line(&stopped(*position)),
        }
        Ok(())
    }
}

/// A bar for the epoch in progress; finished epochs stay above it as lines.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    length: Length,
}

impl Bar {
    /// A bar on standard error.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let template = "{prefix} {wide_bar} {pos}/{len} steps, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, length: Length::default() }
    }

    fn begin_epoch(&self, position: Position) {
        self.bar.reset();
        self.bar.set_length(self.length.steps_per_epoch);
        self.bar.set_position(position.step_in_epoch);
        self.bar.reset_eta();
        self.bar.set_prefix(format!("epoch {}/{}", position.epoch + 1, self.length.epochs));
        self.bar.set_message("");
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Bar {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Data(text) => self.bar.println(text),
            Event::Start { position, epochs, steps_per_epoch } => {
                self.length = Length { epochs: *epochs, steps_per_epoch: *steps_per_epoch };
                if position.step > 0 {
                    self.bar.println(continued(*position));
                }
                if position.epoch < *epochs {
                    self.begin_epoch(*position);
                }
            }
            Event::Note { text, .. } => self.bar.println(text),
            Event::Step(position) => {
                self.bar.set_position(position.step_in_epoch);
                if position.step_in_epoch == self.length.steps_per_epoch {
                    self.bar.set_message("validating");
                }
            }
            Event::Interval(interval) => {
                let message = format!("loss {:.4}  {:.0} images/s", interval.loss(), interval.images_per_second);
                self.bar.set_message(message);
            }
            Event::Epoch(epoch) => {
                self.bar.println(describe_epoch(epoch, self.length));
                if epoch.position.epoch < self.length.epochs {
                    self.begin_epoch(epoch.position);
                } else {
                    self.bar.finish_and_clear();
                }
            }
            Event::Saved(_) => {}
            Event::OutOfPatience { position, best } => self.bar.println(out_of_patience(*position, *best)),
            Event::Stopped(position) => self.bar.println(stopped(*position)),
        }
        Ok(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Writes to standard error; whoever closed the other end of the pipe did not want the run to end.
fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn continued(position: Position) -> String {
    format!("continued after step {}", position.step)
}

fn stopped(position: Position) -> String {
    format!("stopped after step {}", position.step)
}

fn out_of_patience(position: Position, best: u64) -> String {
    let Position { epoch, .. } = position;
    format!(
        "ended early after epoch {epoch}: none of the {} since epoch {best} was better (train.patience)",
        epoch - best
    )
}

fn describe_interval(interval: &Interval, length: Length) -> String {
    let Position { epoch, step_in_epoch, .. } = interval.position;
    format!(
        "epoch {}/{}  step {step_in_epoch}/{}  loss {:.4}  {:.0} images/s",
        epoch + 1,
        length.epochs,
        length.steps_per_epoch,
        interval.loss(),
        interval.images_per_second
    )
}

fn describe_epoch(epoch: &Epoch, length: Length) -> String {
    format!(
        "epoch {}/{}  train loss {:.4} accuracy {:.2}%  valid loss {:.4} accuracy {:.2}%{}{}  {:.0} s, {:.0} images/s{}",
        epoch.position.epoch,
        length.epochs,
        epoch.train_loss,
        100.0 * epoch.train_accuracy,
        epoch.valid.loss,
        100.0 * epoch.valid.accuracy(),
        match epoch.valid.skipped.images {
            0 => String::new(),
            skipped => format!(" on {} images, {skipped} damaged ones skipped", epoch.valid.images),
        },
        epoch.average.as_ref().map_or_else(String::new, |average| {
            format!("  ema loss {:.4} accuracy {:.2}%", average.loss, 100.0 * average.accuracy())
        }),
        epoch.train_seconds,
        epoch.images_per_second,
        if epoch.best { "  (best)" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_train::evaluate::Evaluation;

    const LENGTH: Length = Length { epochs: 3, steps_per_epoch: 391 };

    #[test]
    fn a_report_names_epoch_step_loss_and_speed() {
        let interval = Interval {
            position: Position { epoch: 1, step_in_epoch: 20, step: 411 },
            rate: 0.1,
            losses: vec![1.0, 1.5],
            accuracy: 0.5,
            routing_loss: None,
            images_per_second: 500.4,
        };
        assert_eq!(describe_interval(&interval, LENGTH), "epoch 2/3  step 20/391  loss 1.2500  500 images/s");
    }

    #[test]
    fn an_epoch_is_one_line() {
        let epoch = Epoch {
            position: Position { epoch: 2, step_in_epoch: 0, step: 782 },
            rate: 0.1,
            train_loss: 1.25,
            train_accuracy: 0.5,
            valid: Evaluation { images: 8, correct: 5, loss: 1.0, ..Evaluation::default() },
            average: None,
            best: true,
            train_seconds: 100.0,
            images_per_second: 500.0,
        };
        assert_eq!(
            describe_epoch(&epoch, LENGTH),
            "epoch 2/3  train loss 1.2500 accuracy 50.00%  valid loss 1.0000 accuracy 62.50%  100 s, 500 images/s  (best)"
        );
    }
}
