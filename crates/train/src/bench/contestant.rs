//! One model that takes its turns.

use std::time::Instant;

use mp_nn::Mode;
use mp_zoo::{InputSize, ModelName, ModelOptions};
use tch::{Device, Kind, Tensor};

use super::{Benchmark, Pass};
use crate::evaluate::meet;
use crate::learn::{Learner, forward};
use crate::recipe::{Precision, Recipe};
use crate::weights::Fit;
use crate::{Error, Spec, machine};

/// Passes of each model that are not timed: a step is recorded after some, and replayed once.
const WARM_UP: usize = 5;

/// A model, its optimiser and the one batch that it is given in every pass.
pub(super) struct Contestant {
    pub(super) learner: Learner,
    images: Tensor,
    labels: Tensor,
    pass: Pass,
    precision: Precision,
}

impl Contestant {
    /// The models of a benchmark in their order, each after its first passes; all get images of the first one's native
    /// size.
    pub(super) fn all(benchmark: &Benchmark, device: Device) -> Result<Vec<Self>, Error> {
        benchmark.check()?;
        machine::use_threads(benchmark.threads);
        let input = benchmark.models[0].name.parse::<ModelName>()?.family.native;
        let mut all = benchmark
            .models
            .iter()
            .map(|spec| Self::new(spec, benchmark, input, device))
            .collect::<Result<Vec<_>, _>>()?;
        for contestant in &mut all {
            for _ in 0..WARM_UP {
                contestant.milliseconds(1)?;
            }
        }
        Ok(all)
    }

    fn new(spec: &Spec, benchmark: &Benchmark, input: InputSize, device: Device) -> Result<Self, Error> {
        let Benchmark { pass, precision, batch, .. } = *benchmark;
        let mut recipe = Recipe::default();
        recipe.train.precision = precision;
        recipe.train.graphs = benchmark.graphs;
        let options = ModelOptions::routed(input, spec.routing.clone());
        let mut learner = Learner::new(&spec.name, &options, &recipe, device)?;
        if let Some(file) = &benchmark.weights {
            let fit = Fit::to_start(file, &spec.name, &options)?;
            learner.start_from(|store| fit.start(store, recipe.model.init_noise, recipe.train.seed))?;
        }
        let images = Tensor::randn([batch as i64, input.size, input.size, input.channels], (Kind::Float, device));
        let labels = Tensor::randint(input.classes, [batch as i64], (Kind::Int64, device));
        let mut contestant = Self { learner, images: images.permute([0, 3, 1, 2]), labels, pass, precision };
        if let Some(budget) = benchmark.budget {
            contestant.hold_to(&spec.name, budget)?;
        }
        Ok(contestant)
    }

    /// Multiply-adds of what an image chose on average, with what always runs; none where nothing is chosen, or in training, where
    /// choices are drawn anew in every pass.
    pub(super) fn routed(&self) -> Option<f64> {
        if self.pass == Pass::Train {
            return None;
        }
        let chosen = self.chosen()?;
        Some(self.learner.model().work().always as f64 + chosen)
    }

    /// The part of it that images decide.
    fn chosen(&self) -> Option<f64> {
        let _guard = tch::no_grad_guard();
        let trace = forward(self.learner.model(), &self.images, Mode::Eval, self.precision).trace;
        trace.routed().map(|routed| routed.mean(None).double_value(&[]))
    }

    /// Lets a model whose images skip layers skip so many that they are within a budget.
    fn hold_to(&mut self, name: &str, budget: f64) -> Result<(), Error> {
        let work = self.learner.model().work();
        if !work.skips {
            return Ok(());
        }
        let images = self.images.size()[0] as u64;
        let met = meet(name, work, budget, images, &mut |threshold| {
            self.learner.set_threshold(threshold);
            Ok(self.chosen().unwrap_or(0.0))
        })?;
        self.learner.set_threshold(met.threshold);
        Ok(())
    }

    /// Milliseconds of a pass, the mean of so many; reading a number at their end waits for the device.
    pub(super) fn milliseconds(&mut self, passes: usize) -> Result<f64, Error> {
        let start = Instant::now();
        let mut last = None;
        for _ in 0..passes {
            last = Some(self.run()?);
        }
        let _ = last.map(|number| number.double_value(&[]));
        Ok(start.elapsed().as_secs_f64() * 1e3 / passes as f64)
    }

    /// One pass, and a number that is there once it is done.
    fn run(&mut self) -> Result<Tensor, Error> {
        match self.pass {
            Pass::Train => {
                let found = self.learner.accumulate(&self.images, &self.labels, None, 1.0)?;
                // Small enough that random labels do no harm over many rounds.
                self.learner.step(1e-4);
                Ok(found.loss)
            }
            Pass::Forward => {
                let _guard = tch::no_grad_guard();
                let output = forward(self.learner.model(), &self.images, Mode::Eval, self.precision);
                Ok(output.logits().get(0).get(0))
            }
        }
    }
}
