//! The range of every number in a recipe: one table, which the check, the book and the tests read.
//!
//! A range holds whether the key is in use or not: a number that means nothing today is read by whoever changes the key
//! that ignores it. Kinds that have a key of one name share its range. No range takes NaN.

use std::fmt;

use toml::{Table, Value};

use crate::Error;

/// A key of a recipe that holds a number, or a list of numbers, with the range of each.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// The key with its tables: `train.epochs`.
    pub key: &'static str,
    range: Range,
    /// What is counted or measured: `epochs`, `pixels`; empty for a plain number.
    unit: &'static str,
    /// What 0 means, where it lies outside of the range.
    zero: &'static str,
    /// Whether the list is a least and a greatest value.
    ascending: bool,
}

/// Which numbers are taken. Both ends belong to a range, except where its name says otherwise.
#[derive(Debug, Clone, Copy)]
enum Range {
    Whole(i64, i64),
    Odd(i64, i64),
    /// A whole number up to this, or a share of the whole.
    CountOrShare(i64),
    Real(f64, f64),
    /// Above the first, which does not belong to it.
    Above(f64, f64),
    /// Below the second, which does not belong to it.
    Below(f64, f64),
}

use Range::{Above, Below, CountOrShare, Odd, Real, Whole};

/// What counts anything that grows with a run: far above any real run, and products of three of them stay below 2^63.
const MANY: i64 = 1_000_000;
/// Images or steps.
const VERY_MANY: i64 = 1_000_000_000;
/// Threads; where there are fewer cores, more of them start slower than they work.
const THREADS: i64 = 256;
/// The longest side of an image.
const SIDE: i64 = 4096;
/// float32, in which networks compute, ends at 3.4e38.
const HUGE: f64 = 1e30;

/// Every numeric key of a recipe.
pub const NUMBERS: &[Number] = &[
    number("model.init_noise", Real(0.0, 1.0)),
    number("model.drop_path", Below(0.0, 1.0)),
    number("model.dropout", Below(0.0, 1.0)),
    number("model.drop_block", Below(0.0, 1.0)),
    number("model.routing.mixer.hidden", Whole(1, SIDE)).of("channels"),
    number("model.routing.mixer.temperature", Real(1e-6, 1e6)),
    number("model.routing.mixer.final_temperature", Real(1e-6, 1e6)).zero("no change"),
    number("model.routing.mixer.diagonal", Real(-1e6, 1e6)),
    number("data.holdout", CountOrShare(VERY_MANY)).of("images"),
    number("data.limit", Whole(0, VERY_MANY)).of("images"),
    number("data.size", Whole(0, SIDE)).of("pixels"),
    number("data.crop", Real(0.01, 1.0)).zero("the default"),
    number("data.mean", Real(-1000.0, 1000.0)),
    number("data.std", Real(1e-6, 1000.0)),
    number("data.shard_group", Whole(1, MANY)).of("files"),
    number("data.workers", Whole(0, THREADS)).of("threads"),
    number("data.prefetch", Whole(1, 1024)).of("batches"),
    number("data.augment.random_resized_crop.scale", Real(1e-4, 1.0)).ascending(),
    number("data.augment.random_resized_crop.ratio", Real(0.01, 100.0)).ascending(),
    number("data.augment.pad", Whole(0, SIDE)).of("pixels"),
    number("data.augment.rand_augment.ops", Whole(1, 16)).of("operations"),
    number("data.augment.rand_augment.magnitude", Whole(0, 30)),
    number("data.augment.aug_mix.severity", Whole(1, 10)),
    number("data.augment.aug_mix.width", Whole(1, 16)).of("chains"),
    number("data.augment.aug_mix.depth", Whole(0, 16)).of("operations"),
    number("data.augment.aug_mix.alpha", Real(0.01, 100.0)),
    number("data.augment.colour_jitter.brightness", Real(0.0, 100.0)),
    number("data.augment.colour_jitter.contrast", Real(0.0, 100.0)),
    number("data.augment.colour_jitter.saturation", Real(0.0, 100.0)),
    number("data.augment.colour_jitter.hue", Real(0.0, 0.5)),
    number("data.augment.colour_jitter.probability", Real(0.0, 1.0)),
    number("data.augment.greyscale.probability", Real(0.0, 1.0)),
    number("data.augment.gaussian_blur.kernel", Odd(1, 99)).of("pixels"),
    number("data.augment.gaussian_blur.sigma", Real(0.01, 100.0)).ascending(),
    number("data.augment.gaussian_blur.probability", Real(0.0, 1.0)),
    number("data.augment.cutout", Whole(0, SIDE)).of("pixels"),
    number("data.augment.random_erasing.probability", Real(0.0, 1.0)),
    number("data.augment.random_erasing.scale", Real(0.0, 1.0)).ascending(),
    number("data.augment.random_erasing.ratio", Real(0.01, 100.0)).ascending(),
    number("train.epochs", Whole(1, MANY)).of("epochs"),
    number("train.batch_size", Whole(1, MANY)).of("images"),
    number("train.accumulate", Whole(1, MANY)).of("batches"),
    number("train.seed", Whole(0, i64::MAX)),
    number("train.label_smoothing", Below(0.0, 1.0)),
    number("train.class_weights", Real(1e-6, 1e6)),
    number("train.path_loss", Real(0.0, HUGE)),
    number("procedure.epochs", Whole(0, MANY)).of("epochs"),
    number("procedure.reward", Real(0.0, HUGE)),
    number("procedure.temperature", Real(1e-3, 1e3)),
    number("procedure.weight", Real(0.0, HUGE)),
    number("procedure.final_weight", Real(0.0, HUGE)),
    number("train.patience", Whole(0, MANY)).of("epochs"),
    number("train.mixup", Real(0.001, 1000.0)).zero("off"),
    number("train.cutmix", Real(0.001, 1000.0)).zero("off"),
    number("train.mix_probability", Real(0.0, 1.0)),
    number("train.clip_norm", Real(0.0, HUGE)),
    number("train.ema.decay", Below(0.0, 1.0)),
    number("train.threads", Whole(0, THREADS)).of("threads"),
    number("train.log_every", Whole(1, VERY_MANY)).of("steps"),
    number("train.checkpoint_every", Whole(0, VERY_MANY)).of("steps"),
    number("optimiser.lr", Above(0.0, HUGE)),
    number("optimiser.max_norm", Real(1e-6, HUGE)).zero("no limit"),
    number("optimiser.weight_decay", Real(0.0, HUGE)),
    number("optimiser.momentum", Below(0.0, 1.0)),
    number("optimiser.betas", Below(0.0, 1.0)),
    number("optimiser.alpha", Below(0.0, 1.0)),
    number("optimiser.eps", Above(0.0, 1.0)),
    number("schedule.warmup_epochs", Real(0.0, MANY as f64)).of("epochs"),
    number("schedule.milestones", Real(0.0, MANY as f64)).of("epochs"),
    number("schedule.gamma", Above(0.0, 1e300)),
    number("schedule.min_lr", Real(0.0, HUGE)),
    number("schedule.power", Real(0.01, 100.0)),
    number("schedule.every", Real(0.001, MANY as f64)).of("epochs"),
    number("schedule.factor", Above(0.0, 1.0)),
    number("schedule.patience", Whole(0, MANY)).of("epochs"),
    number("schedule.threshold", Real(0.0, 1.0)),
    number("schedule.cooldown", Whole(0, MANY)).of("epochs"),
    number("schedule.pct_start", Real(0.0, 1.0)),
    number("schedule.div_factor", Real(1.0, HUGE)),
    number("schedule.final_div_factor", Real(1.0, HUGE)),
    number("schedule.first", Real(0.001, MANY as f64)).of("epochs"),
    number("schedule.stretch", Real(1.0, 100.0)),
    number("schedule.decay", Above(0.0, 1.0)),
    number("finetune.decay_by_depth", Above(0.0, 1.0)),
    number("routing_loss.importance", Real(0.0, HUGE)),
    number("routing_loss.load", Real(0.0, HUGE)),
    number("routing_loss.load_sigma", Above(0.0, HUGE)),
    number("routing_loss.balance", Real(0.0, HUGE)),
    number("routing_loss.z_loss", Real(0.0, HUGE)),
    number("routing_loss.entropy", Real(-HUGE, HUGE)),
    number("routing_loss.target_rate.weight", Real(0.0, HUGE)),
    number("routing_loss.information.weight", Real(0.0, HUGE)),
    number("routing_loss.information.floor", Real(0.0, 10.0)).of("nats"),
    number("routing_loss.target_rate.rate", Real(0.0, 1.0)),
];

const fn number(key: &'static str, range: Range) -> Number {
    Number { key, range, unit: "", zero: "", ascending: false }
}

impl Number {
    const fn of(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    const fn zero(self, zero: &'static str) -> Self {
        Self { zero, ..self }
    }

    const fn ascending(self) -> Self {
        Self { ascending: true, ..self }
    }

    /// Fails unless the value, or each number of a list, is in the range. What is no number is left to the reader of the
    /// recipe, who knows what it should be.
    fn check(&self, value: &Value) -> Result<(), Error> {
        let fits = match value {
            Value::Array(values) => values.iter().all(|value| self.takes(value)) && (!self.ascending || rises(values)),
            value => self.takes(value),
        };
        if fits {
            return Ok(());
        }
        Err(Error::Invalid { key: self.key, value: value.to_string(), expected: self.to_string() })
    }

    fn takes(&self, value: &Value) -> bool {
        let real = match *value {
            Value::Integer(whole) => whole as f64,
            Value::Float(real) => real,
            _ => return true,
        };
        if real == 0.0 && !self.zero.is_empty() {
            return true;
        }
        match (self.range, value) {
            (Whole(least, most), Value::Integer(whole)) => (least..=most).contains(whole),
            (Odd(least, most), Value::Integer(whole)) => (least..=most).contains(whole) && whole % 2 == 1,
            (CountOrShare(most), Value::Integer(whole)) => (0..=most).contains(whole),
            (CountOrShare(_), _) => (0.0..1.0).contains(&real),
            (Whole(..) | Odd(..), _) => false,
            (Real(least, most), _) => (least..=most).contains(&real),
            (Above(least, most), _) => real > least && real <= most,
            (Below(least, most), _) => (least..most).contains(&real),
        }
    }
}

/// The range in words: `a whole number of epochs, 1 to 1000000`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.range {
            Whole(..) | CountOrShare(_) => "a whole number",
            Odd(..) => "an odd number",
            Real(..) | Above(..) | Below(..) => "a number",
        };
        match (self.ascending, self.unit) {
            (true, _) => write!(f, "two numbers, the lower one first, each ")?,
            (false, "") => write!(f, "{kind}, ")?,
            (false, unit) => write!(f, "{kind} of {unit}, ")?,
        }
        match self.range {
            Whole(least, most) | Odd(least, most) => write!(f, "{least} to {most}")?,
            CountOrShare(most) => write!(f, "0 to {most}, or a share below 1 such as 0.1")?,
            Real(least, most) => write!(f, "{} to {}", short(least), short(most))?,
            Above(least, most) => write!(f, "above {} and at most {}", short(least), short(most))?,
            Below(least, most) => write!(f, "at least {} and below {}", short(least), short(most))?,
        }
        match self.zero {
            "" => Ok(()),
            meaning => write!(f, ", or 0 for {meaning}"),
        }
    }
}

/// Without the many zeros of very large and very small numbers.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 | 0.001..1e7 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

fn rises(values: &[Value]) -> bool {
    let numbers: Vec<f64> = values
        .iter()
        .filter_map(|value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)))
        .collect();
    numbers.is_sorted()
}

/// Fails at the first number of a recipe that is out of its range.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check(recipe: &Table) -> Result<(), Error> {
    NUMBERS.iter().try_for_each(|number| at(recipe, number.key).map_or(Ok(()), |value| number.check(value)))
}

/// As [`check`], for one key, which need not be one that holds a number.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check_one(recipe: &Table, key: &str) -> Result<(), Error> {
    let number = NUMBERS.iter().find(|number| number.key == key);
    number.and_then(|number| Some(number.check(at(recipe, key)?))).unwrap_or(Ok(()))
}

/// The value of a key with its tables, where there is one.
fn at<'t>(recipe: &'t Table, key: &str) -> Option<&'t Value> {
    let (tables, last) = key.rsplit_once('.')?;
    let table = tables.split('.').try_fold(recipe, |table, name| table.get(name)?.as_table())?;
    table.get(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::optim::RuleConfig;
    use crate::recipe::Recipe;
    use crate::recipe::tables::COMPLETE;
    use crate::schedule::CourseConfig;
    use mp_routing::MixerConfig;

    /// Recipes that have every key between them: all changes to images are on, and each kind of mixer, optimiser, schedule
    /// and procedure occurs.
    fn complete() -> Vec<Table> {
        let lists = "[data]\nmean = [0.5]\nstd = [0.5]\n[train]\nclass_weights = [1.0, 2.0]\n";
        let mixers =
            MixerConfig::KINDS.iter().map(|kind| format!("[model.routing]\nmixer = {{ kind = \"{kind}\" }}\n"));
        let optimisers = RuleConfig::NAMES.iter().map(|name| format!("[optimiser]\nname = \"{name}\"\n"));
        let schedules = CourseConfig::NAMES.iter().map(|name| match *name {
            "step" => "[schedule]\nname = \"step\"\nmilestones = [1.5]\n".to_owned(),
            name => format!("[schedule]\nname = \"{name}\"\n"),
        });
        let procedures =
            ["distillation", "hints", "score_function"].map(|name| format!("[procedure]\nname = \"{name}\"\n"));
        let kinds = mixers.chain(optimisers).chain(schedules).chain(procedures);
        let texts = kinds.map(|kind| format!("{lists}{kind}{}", *COMPLETE));
        texts.map(|text| Recipe::from_toml(&text, "").unwrap().to_table().unwrap()).collect()
    }

    /// The keys of all numbers and lists of numbers.
    fn numeric_keys(prefix: &str, table: &Table, keys: &mut BTreeSet<String>) {
        let is_number = |value: &Value| value.is_integer() || value.is_float();
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                Value::Table(table) => numeric_keys(&format!("{key}."), table, keys),
                Value::Array(values) if values.iter().any(is_number) => drop(keys.insert(key)),
                value if is_number(value) => drop(keys.insert(key)),
                _ => {}
            }
        }
    }

    fn set(table: &mut Table, key: &str, value: Value) {
        let (tables, last) = key.rsplit_once('.').unwrap();
        let table = tables.split('.').fold(table, |table, name| table[name].as_table_mut().unwrap());
        table.insert(last.to_owned(), value);
    }

    #[test]
    fn every_numeric_key_has_a_range_and_every_range_a_key() {
        let mut keys = BTreeSet::new();
        complete().iter().for_each(|table| numeric_keys("", table, &mut keys));
        let ranges: BTreeSet<String> = NUMBERS.iter().map(|number| number.key.to_owned()).collect();
        assert_eq!(keys, ranges);
        assert_eq!(ranges.len(), NUMBERS.len(), "a key stands in the table twice");
    }

    #[test]
    fn the_defaults_are_within_their_ranges() {
        complete().iter().for_each(|table| check(table).unwrap());
    }

    /// Wherever a number stands, in use or not, alone or in a list: NaN, an infinity, and what is too large or too small.
    #[test]
    fn no_key_takes_nan_or_infinity_or_a_number_beyond_its_range() {
        let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e301, -1e301].map(Value::Float);
        let whole = [i64::MAX, i64::MIN, -1].map(Value::Integer);
        for number in NUMBERS {
            let recipe = complete().into_iter().find(|table| at(table, number.key).is_some()).unwrap();
            let tried = match number.range {
                Whole(_, i64::MAX) => whole[1..].iter().chain(&wrong),
                Whole(..) | Odd(..) | CountOrShare(_) => whole.iter().chain(&wrong),
                _ => [].iter().chain(&wrong),
            };
            for value in tried {
                let value = match at(&recipe, number.key) {
                    Some(Value::Array(values)) => {
                        let mut values = values.clone();
                        *values.last_mut().unwrap() = value.clone();
                        Value::Array(values)
                    }
                    _ => value.clone(),
                };
                let mut recipe = recipe.clone();
                set(&mut recipe, number.key, value.clone());
                let message = check(&recipe).expect_err(number.key).to_string();
                assert_eq!(message, format!("{} is {value}, expected {number}", number.key));
            }
        }
    }

    #[test]
    fn ends_belong_to_a_range_or_do_not() {
        let takes = |range, value: f64| number("a.b", range).takes(&Value::Float(value));
        assert!(takes(Real(0.0, 1.0), 0.0) && takes(Real(0.0, 1.0), 1.0) && !takes(Real(0.0, 1.0), -0.1));
        assert!(!takes(Above(0.0, 1.0), 0.0) && takes(Above(0.0, 1.0), 1.0));
        assert!(takes(Below(0.0, 1.0), 0.0) && !takes(Below(0.0, 1.0), 1.0));
        assert!(number("a.b", Real(0.5, 1.0)).zero("off").takes(&Value::Float(0.0)));
        let odd = number("a.b", Odd(1, 9));
        assert!(odd.takes(&Value::Integer(9)) && !odd.takes(&Value::Integer(4)) && !odd.takes(&Value::Float(3.0)));
    }

    #[test]
    fn the_book_has_every_rule_and_course() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/recipes.md")).unwrap();
        for name in RuleConfig::NAMES.iter().chain(CourseConfig::NAMES) {
            assert!(page.contains(&format!("| `\"{name}\"` |")), "{name}");
        }
    }

    /// The book lists the ranges as they are here.
    #[test]
    fn the_book_has_the_same_ranges() {
        let rows: String = NUMBERS.iter().map(|number| format!("| `{}` | {number} |\n", number.key)).collect();
        let table = format!("| key | expected |\n|---|---|\n{rows}");
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/recipes.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table), "docs/src/recipes.md should have this table:\n{table}");
    }
}
