//! The table of courses, as recipes name them.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::{
    ConstantConfig, CosineConfig, Course, ExponentialConfig, OneCycleConfig, PlateauConfig, PolynomialConfig,
    RestartsConfig, Span, StepConfig,
};
use crate::Error;
use crate::choice::{self, Choice};

/// The settings of one course; each course has them in its own file.
pub(super) trait Settings {
    /// The course of a run.
    fn lay_out(&self, span: Span) -> Box<dyn Course>;

    /// Fails where settings do not fit each other or the learning rate.
    fn check(&self, lr: f64) -> Result<(), Error>;

    /// What becomes of the course where a run is made longer than it was, at this rate; none where it is laid out over the whole run, and so
    /// becomes another one.
    fn when_longer(&self, _rate: f64) -> Option<String> {
        None
    }
}

macro_rules! courses {
    ($($(#[$about:meta])* $course:ident($config:ty) = $name:literal,)*) => {
        /// The course of the learning rate after the warm-up, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum CourseConfig {
            $($(#[$about])* #[serde(rename = $name)] $course($config),)*
        }

        impl CourseConfig {
            /// The names of all courses, the default first.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$course(_) => $name,)*
                }
            }

            fn settings(&self) -> &dyn Settings {
                match self {
                    $(Self::$course(config) => config,)*
                }
            }
        }

        $(impl From<$config> for CourseConfig {
            fn from(config: $config) -> Self {
                Self::$course(config)
            }
        })*
    };
}

courses! {
    /// Half a cosine down to `min_lr`.
    Cosine(CosineConfig) = "cosine",
    /// Down by `gamma` at each milestone.
    Step(StepConfig) = "step",
    /// No change.
    Constant(ConstantConfig) = "constant",
    /// A power of what is left of the run.
    Polynomial(PolynomialConfig) = "polynomial",
    /// Down by `gamma` every few epochs.
    Exponential(ExponentialConfig) = "exponential",
    /// Down by `factor` where validation no longer gets better.
    Plateau(PlateauConfig) = "plateau",
    /// Up from a fraction of the rate, then down to nearly nothing.
    OneCycle(OneCycleConfig) = "one_cycle",
    /// Cosines one after the other.
    Restarts(RestartsConfig) = "cosine_restarts",
}

impl CourseConfig {
    pub(super) fn lay_out(&self, span: Span) -> Box<dyn Course> {
        self.settings().lay_out(span)
    }

    /// What becomes of the course where a run is made longer than it was, at this rate; none where it is laid out over the whole run.
    pub(crate) fn when_longer(&self, rate: f64) -> Option<String> {
        self.settings().when_longer(rate)
    }
}

impl Choice for CourseConfig {
    const NAMES: &'static [&'static str] = Self::NAMES;
    const ONCE_COMPLETE: &'static [&'static str] = &["name", "warmup_epochs", "milestones", "gamma", "min_lr"];
}

/// How the learning rate changes over the run: `[schedule]` of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct ScheduleConfig {
    /// The course after the warm-up.
    #[serde(flatten)]
    pub course: CourseConfig,
    /// Epochs, also parts of one, over which the rate climbs from 0.
    pub warmup_epochs: f64,
}

impl ScheduleConfig {
    /// The keys that all courses have.
    pub(crate) const COMMON: &'static [&'static str] = &["warmup_epochs"];

    /// Fails where settings do not fit each other, the learning rate or the length of the run.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self, lr: f64, epochs: u64) -> Result<(), Error> {
        let expected = format!("at most train.epochs, which is {epochs}");
        ensure(self.warmup_epochs <= epochs as f64, "schedule.warmup_epochs", self.warmup_epochs, &expected)?;
        self.course.settings().check(lr)
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { course: CosineConfig::default().into(), warmup_epochs: 0.0 }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Common {
    warmup_epochs: f64,
}

impl TryFrom<Table> for ScheduleConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let course = choice::read(&table, Self::COMMON)?;
        let Common { warmup_epochs } = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok(Self { course, warmup_epochs })
    }
}

/// Fails with what was expected of a key.
pub(super) fn ensure(
    valid: bool,
    key: &'static str,
    value: impl std::fmt::Display,
    expected: &str,
) -> Result<(), Error> {
    if valid {
        return Ok(());
    }
    Err(Error::Invalid { key, value: value.to_string(), expected: expected.to_owned() })
}

/// Fails where a course would end above its beginning.
pub(super) fn ensure_below(min_lr: f64, lr: f64) -> Result<(), Error> {
    ensure(min_lr <= lr, "schedule.min_lr", min_lr, &format!("at most optimiser.lr, {lr}"))
}
