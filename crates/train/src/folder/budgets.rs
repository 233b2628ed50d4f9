//! The budgets that the states of a run have met.

use serde::{Deserialize, Serialize};

use super::RunFolder;
use crate::Error;
use crate::checkpoint::Which;
use crate::evaluate::Met;

const BUDGETS: &str = "budgets.json";

/// A state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Its checkpoint, `best` or `last`.
    pub checkpoint: String,
    /// Whether it is the averages of its weights.
    pub ema: bool,
    /// Steps of the optimiser before it: a run that went on has other gates.
    pub steps: u64,
}

/// A budget that a state of a run has met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBudget {
    /// The state.
    #[serde(flatten)]
    pub state: RunState,
    /// The budget, and the threshold that meets it.
    #[serde(flatten)]
    pub met: Met,
}

impl RunState {
    /// The state after so many steps.
    pub fn new(which: Which, ema: bool, steps: u64) -> Self {
        RunState { checkpoint: which.word().to_owned(), ema, steps }
    }
}

impl RunFolder {
    /// The budgets that were met, as `budgets.json` has them.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`].
    pub fn budgets(&self) -> Result<Vec<KeptBudget>, Error> {
        Ok(self.read_json(BUDGETS)?.unwrap_or_default())
    }

    /// Keeps a budget that was met, in the place of the same one of an earlier state of the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`].
    pub fn keep_budget(&self, state: RunState, met: Met) -> Result<(), Error> {
        let mut kept = self.budgets()?;
        kept.retain(|old| {
            let same = old.state.checkpoint == state.checkpoint && old.state.ema == state.ema;
            !(same && old.met.budget == met.budget)
        });
        kept.push(KeptBudget { state, met });
        self.write_json(BUDGETS, &kept)
    }

    /// The threshold that is kept for a budget.
    ///
    /// # Errors
    /// [`Error::NoBudget`], where none is kept for this state; as [`RunFolder::budgets`].
    pub fn budget(&self, state: &RunState, budget: f64) -> Result<Met, Error> {
        let found = self.budgets()?.into_iter().find(|kept| kept.state == *state && kept.met.budget == budget);
        found.map(|kept| kept.met).ok_or_else(|| Error::NoBudget {
            path: self.path().to_owned(),
            checkpoint: state.checkpoint.clone(),
            averages: if state.ema { " --ema" } else { "" },
            budget,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    #[test]
    fn a_budget_is_kept_with_the_state_that_met_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &Recipe::resolve(Some("digits"), &[]).unwrap()).unwrap();
        let met = |budget, threshold| Met { budget, threshold, share: budget, images: 10 };
        let state = |steps| RunState::new(Which::Best, false, steps);
        folder.keep_budget(state(5), met(0.6, 0.5)).unwrap();
        folder.keep_budget(state(5), met(0.7, 0.4)).unwrap();
        assert_eq!(folder.budget(&state(5), 0.6).unwrap().threshold, 0.5);
        // The run went on: its gates are others, and the budget is solved again.
        let message = folder.budget(&state(9), 0.6).unwrap_err().to_string();
        let run = root.path().display();
        assert_eq!(
            message,
            format!(
                "{run}: no threshold for a budget of 0.6 is kept with this checkpoint: \
                 `mp-train eval {run} --checkpoint best --budget 0.6` finds and keeps it"
            )
        );
        folder.keep_budget(state(9), met(0.6, 0.8)).unwrap();
        assert_eq!(folder.budget(&state(9), 0.6).unwrap().threshold, 0.8);
        assert_eq!(folder.budgets().unwrap().len(), 2);
    }
}
