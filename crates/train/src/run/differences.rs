//! What has changed between the start of a run and its continuation: what is refused, and what it means where it is not.

use crate::checkpoint::Header;
use crate::images::{Corpus, Identity, Origin, Part};
use crate::recipe::Difference;
use crate::{Error, Recipe};

/// What a key of the recipe may do in the middle of a run.
enum Rule {
    /// Change: the numbers are the same.
    Free,
    /// Change, which means something that is said.
    Said(&'static str),
}

/// Every key that may change; with any other, the run would be another one. `train.epochs` has rules of its own.
const RULES: &[(&str, Rule)] = &[
    // What the data holds is compared with the checkpoint, wherever it lies.
    ("data.name", Rule::Free),
    ("data.workers", Rule::Free),
    ("data.prefetch", Rule::Free),
    ("data.damaged", Rule::Said("holds for images that cannot be read from here on")),
    (
        "train.threads",
        Rule::Said(
            "sums are rounded in another order from here on, so the last digits are not those of an unbroken run",
        ),
    ),
    ("train.device", Rule::Said("another kind of device rounds otherwise from here on")),
    ("train.deterministic", Rule::Said("where it is false, a GPU may round otherwise in every run")),
    ("train.graphs", Rule::Free),
    // Measured once, before the first step; the checkpoint has what was chosen.
    ("train.tune_paths", Rule::Free),
    (
        "train.patience",
        Rule::Said("the run ends after so many epochs without a better one; 0 means never before its last"),
    ),
    ("train.log_every", Rule::Free),
    ("train.checkpoint_every", Rule::Free),
];

/// Whether another value of a recipe's key gives another run: false for the place of the data, and for how the work is done and
/// reported.
pub fn changes_numbers(key: &str) -> bool {
    !RULES.iter().any(|(known, rule)| *known == key && matches!(rule, Rule::Free))
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What stands in the way of going on, each as "what the run was started with, not what there is now".
    pub(super) refused: Vec<String>,
    /// What going on means, where something may change.
    pub(super) notes: Vec<String>,
}

impl Changes {
    /// Compares the recipe that a run was started with to the one that is asked for. `reached` is where the run stands, with
    /// the number of steps of its epochs, where that is known.
    pub(super) fn of_recipes(stored: &Recipe, asked: &Recipe, reached: Option<(&Header, u64)>) -> Result<Self, Error> {
        let mut changes = Self::default();
        for difference in stored.differences(asked)? {
            let Difference { key, here, there } = &difference;
            if key == "train.epochs" {
                changes.of_length(stored, asked, reached);
                continue;
            }
            match RULES.iter().find(|(known, _)| known == key) {
                Some((_, Rule::Free)) => {}
                Some((_, Rule::Said(meaning))) => {
                    changes.notes.push(format!("{key} is {there}, was {here}: {meaning}"))
                }
                None => changes.refused.push(format!("{key} = {here}, not {there}")),
            }
        }
        Ok(changes)
    }

    /// A run may become longer, or shorter down to the epochs that are done.
    fn of_length(&mut self, stored: &Recipe, asked: &Recipe, reached: Option<(&Header, u64)>) {
        let (was, is) = (stored.train.epochs, asked.train.epochs);
        let Some((header, steps_per_epoch)) = reached else {
            self.notes.push(format!("train.epochs is {is}, was {was}"));
            return;
        };
        let begun = header.position.epoch + u64::from(header.position.step_in_epoch > 0);
        if is < begun {
            self.refused.push(format!("train.epochs = {was}, of which {begun} are done or begun, not {is}"));
            return;
        }
        let (patience, done) = (asked.train.patience, header.position.epoch);
        if is > was
            && patience > 0
            && let Some(best) = header.best.filter(|best| done.saturating_sub(best.epoch) >= patience)
        {
            self.refused.push(format!(
                "train.patience = {patience}, which ended it after epoch {done}, as epoch {} is the best: train.epochs = {is} \
                 adds none (set train.patience too, higher, or 0 for no such end)",
                best.epoch
            ));
            return;
        }
        let step = header.position.step;
        let rate = |recipe: &Recipe, step| recipe.rates(steps_per_epoch).rate(step);
        let (before, after) = (rate(stored, step), rate(asked, step));
        let course = match asked.schedule.course.when_longer(after) {
            Some(goes_on) => goes_on,
            None => {
                let (name, last) = (asked.schedule.course.name(), is * steps_per_epoch);
                format!(
                    "after step {step} the learning rate follows the {name} of {is} epochs: {after:.3e}, where that of {was} \
                     epochs has {before:.3e}; it ends at {} after step {last}",
                    rate(asked, last)
                )
            }
        };
        self.notes.push(format!("train.epochs is {is}, was {was}: {course}"));
    }

    /// Compares what the checkpoint knows of the images to those that are there. A header of format 1 knows classes and size
    /// only. Gives what was found with it, where it was compared.
    pub(super) fn of_images(
        header: &Header,
        corpus: &Corpus,
        recipe: &Recipe,
    ) -> Result<(Self, Option<Origin>), Error> {
        let mut changes = Self::default();
        changes.of_identity(&header.identity, &corpus.identity(recipe));
        let Some(origin) = header.origin() else {
            changes.notes.push(
                "the checkpoint is of an older version and does not say which images it was trained on: their classes and \
                 size were compared, nothing else"
                    .to_owned(),
            );
            return Ok((changes, None));
        };
        let here = Origin::of(recipe, corpus, origin.steps_per_epoch)?;
        let mut of_part = |name: &str, was: &Part, is: &Part| {
            let difference = if was.images != is.images {
                format!("{} {name} images, not {}", was.images, is.images)
            } else if was.fingerprint != is.fingerprint {
                format!("other {name} images: names, labels or sizes differ")
            } else {
                return;
            };
            // Nothing of the run depends on them.
            if name == "test" {
                changes.notes.push(format!("the run was started with {difference}"));
            } else {
                changes.refused.push(difference);
            }
        };
        of_part("training", &origin.train, &here.train);
        of_part("validation", &origin.valid, &here.valid);
        if (&origin.test, &here.test) != (&origin.valid, &here.valid) {
            of_part("test", &origin.test, &here.test);
        }
        Ok((changes, Some(here)))
    }

    fn of_identity(&mut self, was: &Identity, is: &Identity) {
        if was.classes.len() != is.classes.len() {
            self.refused.push(format!("{} classes, not {}", was.classes.len(), is.classes.len()));
        }
        let names = was.classes.iter().zip(&is.classes).zip(1..).filter(|((was, is), _)| was != is);
        if let Some(((was, is), place)) = names.into_iter().next() {
            self.refused.push(format!("class {place} \"{was}\", not \"{is}\""));
        }
        if (was.size, was.channels) != (is.size, is.channels) {
            let show = |of: &Identity| format!("{0}x{0}x{1}", of.size, of.channels);
            self.refused.push(format!("images of {}, not {}", show(was), show(is)));
        }
    }

    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.refused.extend(other.refused);
        self.notes.extend(other.notes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Position;

    fn recipe(sets: &[&str]) -> Recipe {
        let sets: Vec<_> = sets.iter().map(|set| set.parse().unwrap()).collect();
        Recipe::resolve(Some("digits"), &sets).unwrap()
    }

    fn identity() -> Identity {
        let text = r#"{"model": "m", "routing": {}, "classes": ["cat", "dog", "eel"], "channels": 3, "size": 32, "mean": [], "std": []}"#;
        serde_json::from_str(text).unwrap()
    }

    /// After four epochs of ten steps.
    fn header() -> Header {
        let mut header = Header::new(identity());
        header.position = Position { epoch: 4, step_in_epoch: 0, step: 40 };
        header
    }

    fn changes(stored: &[&str], asked: &[&str]) -> Changes {
        Changes::of_recipes(&recipe(stored), &recipe(asked), Some((&header(), 10))).unwrap()
    }

    #[test]
    fn every_difference_is_named_at_once() {
        let asked = ["train.seed=9", "optimiser.lr=0.5", "data.holdout=10", "train.precision=bf16", "data.workers=7"];
        let found = changes(&[], &asked);
        let keys: Vec<&str> = found.refused.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(keys, ["data.holdout", "optimiser.lr", "train.precision", "train.seed"]);
        assert_eq!(found.refused[3], "train.seed = 1, not 9");
        assert!(found.notes.is_empty());
    }

    #[test]
    fn what_changes_no_number_is_free_and_what_may_is_said() {
        let free = ["data.workers=7", "data.prefetch=9", "train.log_every=3", "train.checkpoint_every=5"];
        assert_eq!(changes(&[], &free), Changes::default());
        assert_eq!(changes(&[], &["data.name=elsewhere"]), Changes::default());
        let said = changes(&["train.threads=1"], &["train.threads=2", "data.damaged=skip"]);
        assert!(said.refused.is_empty());
        assert!(said.notes[0].starts_with("data.damaged is \"skip\", was \"fail\": "), "{said:?}");
        assert!(said.notes[1].starts_with("train.threads is 2, was 1: sums are rounded in another order"), "{said:?}");
    }

    #[test]
    fn a_longer_run_says_what_the_rate_does() {
        let base = ["optimiser.lr=0.8", "schedule.warmup_epochs=0"];
        let longer = |more: &[&str], epochs: &str| {
            let stored = [&base[..], more, &["train.epochs=4"]].concat();
            let found = changes(&stored, &[&base[..], more, &[epochs]].concat());
            assert!(found.refused.is_empty(), "{found:?}");
            found.notes[0].clone()
        };
        // The cosine of 4 epochs is at its end; that of 8 is half-way down, at 0.4.
        let expected = "train.epochs is 8, was 4: after step 40 the learning rate follows the cosine of 8 epochs: 4.000e-1, \
                        where that of 4 epochs has 0.000e0; it ends at 0 after step 80";
        assert_eq!(longer(&[], "train.epochs=8"), expected);
        assert!(longer(&["schedule.name=constant"], "train.epochs=5").ends_with("the learning rate stays 8.000e-1"));
        let steps = ["schedule.name=step", "schedule.milestones=[2, 6]", "schedule.gamma=0.5"];
        assert!(longer(&steps, "train.epochs=9").ends_with("goes on at 4.000e-1"));
    }

    #[test]
    fn a_run_is_not_cut_below_what_is_done() {
        assert!(changes(&["train.epochs=8"], &["train.epochs=4"]).refused.is_empty());
        let found = changes(&["train.epochs=8"], &["train.epochs=3"]);
        assert_eq!(found.refused, ["train.epochs = 8, of which 4 are done or begun, not 3"]);
    }

    #[test]
    fn more_epochs_without_more_patience_are_refused() {
        let mut header = Header::new(identity());
        header.position = Position { epoch: 4, step_in_epoch: 0, step: 40 };
        header.best = Some(crate::checkpoint::Best { epoch: 2, correct: 1, images: 2, loss: None, score: None });
        let stored = recipe(&["train.epochs=10", "train.patience=2"]);
        let compared = |asked: &[&str]| Changes::of_recipes(&stored, &recipe(asked), Some((&header, 10))).unwrap();
        let found = compared(&["train.epochs=12", "train.patience=2"]);
        assert!(found.refused[0].starts_with("train.patience = 2, which ended it after epoch 4"), "{found:?}");
        for patience in ["train.patience=3", "train.patience=0"] {
            let found = compared(&["train.epochs=12", patience]);
            assert!(found.refused.is_empty() && found.notes.len() == 2, "{found:?}");
        }
    }

    #[test]
    fn classes_and_sizes_are_named() {
        let mut here = identity();
        (here.classes[1], here.size) = ("zebra".to_owned(), 28);
        let mut found = Changes::default();
        found.of_identity(&identity(), &here);
        assert_eq!(found.refused, ["class 2 \"dog\", not \"zebra\"", "images of 32x32x3, not 28x28x3"]);
        here.classes.pop();
        let mut found = Changes::default();
        found.of_identity(&identity(), &here);
        assert_eq!(found.refused[0], "3 classes, not 2");
    }
}
