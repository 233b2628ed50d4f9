//! What goes through a network beside its tensors.

use std::cell::Cell;
use std::collections::VecDeque;

use mp_nn::{Mode, Tensor};

use crate::trace::TracedLayer;
use crate::{BackEnd, Decision, Error, Trace};

/// One forward pass: how the network is used, and what it has decided so far.
///
/// Every block gets it beside its tensor, so that a decision anywhere inside a network reaches the [`Trace`].
///
/// ```
/// use mp_nn::{Device, Kind, Store, Tensor};
/// use mp_routing::{CrossConnectionConfig, Pass, RoutingShape};
///
/// let store = Store::new(Device::Cpu, 0);
/// let cross = CrossConnectionConfig::default().build(&store.root(), "stage2", RoutingShape::square(2, 4))?;
/// let xs = [0, 1].map(|_| Tensor::randn([1, 4, 3, 3], (Kind::Float, Device::Cpu)));
/// let mut pass = Pass::eval();
/// let ys = cross.forward(&xs, &mut pass);
/// // The same routes, given instead of found, give the same targets.
/// let mut again = Pass::forcing(pass.mode, pass.trace);
/// assert!(cross.forward(&xs, &mut again)[0].allclose(&ys[0], 1e-6, 1e-6, false));
/// again.finish()?;
/// # Ok::<(), mp_routing::Error>(())
/// ```
#[derive(Debug)]
pub struct Pass {
    /// Whether the network trains or is evaluated.
    pub mode: Mode,
    /// Whether choices are drawn by their probabilities in evaluation too.
    pub sampled: bool,
    /// The probability above which evaluation runs a layer that may be skipped.
    pub threshold: f64,
    /// What is computed of what was chosen.
    pub back_end: BackEnd,
    /// What was decided so far.
    pub trace: Trace,
    /// The features that were asked for, in the order in which they came.
    pub taps: Vec<(String, Tensor)>,
    progress: f64,
    follows_progress: Cell<bool>,
    wanted: Vec<String>,
    forced: Option<VecDeque<TracedLayer>>,
    misfit: Option<String>,
}

impl Pass {
    /// The threshold of a layer that runs where it is more probable than not.
    pub const EVEN: f64 = 0.5;

    /// A pass in which every layer decides for itself.
    pub fn new(mode: Mode) -> Self {
        Pass {
            mode,
            sampled: false,
            threshold: Pass::EVEN,
            back_end: BackEnd::default(),
            trace: Trace::new(),
            taps: Vec::new(),
            progress: 1.0,
            follows_progress: Cell::new(false),
            wanted: Vec::new(),
            forced: None,
            misfit: None,
        }
    }

    /// The same pass when the share `progress` of training is over, from 0 to 1.
    #[must_use]
    pub fn at_progress(mut self, progress: f64) -> Self {
        self.progress = progress;
        self
    }

    /// How far training is, from 0 to 1; 1 where nothing else was said. What is annealed asks for it.
    pub fn progress(&self) -> f64 {
        self.follows_progress.set(true);
        self.progress
    }

    /// Whether anything of the network asked how far training is.
    pub fn follows_progress(&self) -> bool {
        self.follows_progress.get()
    }

    /// A pass in training.
    pub fn train() -> Self {
        Pass::new(Mode::Train)
    }

    /// A pass in evaluation.
    pub fn eval() -> Self {
        Pass::new(Mode::Eval)
    }

    /// The same, drawing choices by their probabilities, in evaluation too.
    #[must_use]
    pub fn sampling(mut self) -> Self {
        self.sampled = true;
        self
    }

    /// The same, running layers that may be skipped where their probability is above this.
    #[must_use]
    pub fn above(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The same, computing what was chosen in this way.
    #[must_use]
    pub fn computed_by(mut self, back_end: BackEnd) -> Self {
        self.back_end = back_end;
        self
    }

    /// The same, keeping the features of the places that have these names.
    #[must_use]
    pub fn tapping(mut self, names: &[&str]) -> Self {
        self.wanted = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Whether any features were asked for.
    pub fn is_tapped(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Keeps the features `x` of the place `name`, if they were asked for.
    pub fn tap(&mut self, name: &str, x: &Tensor) {
        if self.wanted.iter().any(|wanted| wanted == name) {
            self.taps.push((name.to_owned(), x.shallow_clone()));
        }
    }

    /// A pass in which the layers take the decisions of a trace instead of their own: what the routes of other images,
    /// or mean routes, would give. [`Pass::finish`] says whether the trace was the network's.
    pub fn forcing(mode: Mode, trace: Trace) -> Self {
        Pass { forced: Some(trace.layers.into()), ..Pass::new(mode) }
    }

    /// The decision that the layer `name` is to take, where routes are forced. A layer for which the trace holds none of
    /// the expected size `[items, S, T]` decides for itself, and [`Pass::finish`] reports it.
    pub fn forced(&mut self, name: &str, size: (i64, i64, i64)) -> Option<Decision> {
        let next = self.forced.as_mut()?.pop_front();
        let (items, sources, targets) = size;
        let found = match next {
            Some(layer) if layer.name == name && layer.decision.size() == size => return Some(layer.decision),
            Some(TracedLayer { name, decision }) => {
                let (items, sources, targets) = decision.size();
                format!("the trace holds `{name}` [{items}, {sources}, {targets}]")
            }
            None => "the trace has ended".to_owned(),
        };
        let misfit = format!("expected `{name}` [{items}, {sources}, {targets}], but {found}");
        self.misfit.get_or_insert(misfit);
        None
    }

    /// The trace of the whole pass.
    ///
    /// # Errors
    /// [`Error::Forced`], if routes were forced that are not this network's, or not of this batch.
    pub fn finish(self) -> Result<Trace, Error> {
        let left = self.forced.iter().flatten().next();
        let left = left.map(|layer| format!("the network has no more layers for `{}`", layer.name));
        match self.misfit.or(left) {
            Some(problem) => Err(Error::Forced { problem }),
            None => Ok(self.trace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Normalisation;
    use mp_nn::{Device, Kind};

    fn trace(names: &[&str]) -> Trace {
        let mut trace = Trace::new();
        for name in names {
            let weights = Tensor::full([2, 1, 2], 0.5, (Kind::Float, Device::Cpu));
            trace.push(name, Decision::soft(weights, None, Normalisation::Targets));
        }
        trace
    }

    #[test]
    fn forced_decisions_come_in_order() {
        let mut pass = Pass::forcing(Mode::Eval, trace(&["a", "b"]));
        assert!(pass.forced("a", (2, 1, 2)).is_some() && pass.forced("b", (2, 1, 2)).is_some());
        assert!(pass.finish().is_ok());
        assert!(Pass::eval().forced("a", (2, 1, 2)).is_none(), "nothing is forced in an ordinary pass");
    }

    #[test]
    fn a_trace_that_does_not_fit_is_refused_in_one_line() {
        let message = |mut pass: Pass, asked: &[(&str, (i64, i64, i64))]| {
            for (name, size) in asked {
                let _ = pass.forced(name, *size);
            }
            pass.finish().unwrap_err().to_string()
        };
        let forcing = || Pass::forcing(Mode::Eval, trace(&["a"]));
        assert_eq!(
            message(forcing(), &[("b", (2, 1, 2))]),
            "the forced routes do not fit: expected `b` [2, 1, 2], but the trace holds `a` [2, 1, 2]"
        );
        assert_eq!(
            message(forcing(), &[("a", (3, 1, 2))]),
            "the forced routes do not fit: expected `a` [3, 1, 2], but the trace holds `a` [2, 1, 2]"
        );
        assert_eq!(
            message(forcing(), &[("a", (2, 1, 2)), ("b", (2, 1, 2))]),
            "the forced routes do not fit: expected `b` [2, 1, 2], but the trace has ended"
        );
        assert_eq!(message(forcing(), &[]), "the forced routes do not fit: the network has no more layers for `a`");
    }
}
