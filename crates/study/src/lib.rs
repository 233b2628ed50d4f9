//! Studies: networks that are trained under one recipe with the same seeds, at matched costs, and what the runs show.
//!
//! A [`Study`] is read from a file. Its [networks](sizes::networks) are named or found by their cost, its [`Plan`] says what is
//! missing, [`execute`] runs that in processes of its own, and each finished run is a [`Record`] in the [`StudyFolder`]: a small
//! file, from which a study goes on on another machine. [`Findings`] are made of the records alone, and a [`report`] of the
//! findings.
//!
//! ```
//! use mp_study::statistics::Difference;
//!
//! // Points of accuracy by which one network is ahead of another, with four seeds.
//! let ahead = Difference::of(&[1.0, 2.0, 3.0, 2.0]).unwrap();
//! assert!(ahead.is_shown(), "its 95% interval leaves out 0");
//! ```

mod error;
mod execute;
mod findings;
mod folder;
mod plan;
mod record;
pub mod report;
pub mod sizes;
pub mod statistics;
mod study;

pub use error::{Error, NoMatch};
pub use execute::{Execution, Heard, Outcome, execute};
pub use findings::{EntrantFindings, Findings, RoutesFindings};
pub use folder::{Part, Sizes, StudyFolder, Times, id};
pub use plan::{Plan, Planned, Rate};
pub use record::{EpochRecord, Identity, Judgement, LayerRecord, Machine, Record, RoutesRecord};
pub use study::{Entrant, Match, MatchBy, Network, Rates, Study};
