//! Training multi-path networks: from a recipe and a data set to a folder with checkpoints, metrics and a report.
//!
//! The principal types are [`Recipe`], which is everything that decides what a run computes; [`Corpus`], the images that a
//! recipe names; [`Learner`], a model with its loss and its optimiser; [`Trainer`], the loop; [`Checkpoint`], a state to go on
//! from; and [`Trained`], a network to be judged and applied. [`run::train`] puts them together:
//!
//! ```
//! use std::path::Path;
//! use std::sync::atomic::AtomicBool;
//!
//! use mp_train::run::{Start, train};
//! use mp_train::Recipe;
//!
//! let changes = ["model.name=base_cnn_w4_x2_cc", "data.limit=64", "train.batch_size=32", "train.epochs=1"];
//! let changes = changes.map(|change| change.parse().unwrap());
//! let recipe = Recipe::resolve(Some("digits"), &changes)?;
//! # let root = tempfile::tempdir().unwrap();
//! # let place = root.path().join("run");
//! // Where the run is written, and where downloaded data would be; nobody watches, and nobody stops it.
//! let (out, cache) = (&place, Path::new("data"));
//! let finished = train(&recipe, out, Start::New, cache, &mut (), &AtomicBool::new(false))?;
//! let summary = finished.summary.unwrap();
//! assert_eq!((summary.epochs_done, summary.steps, summary.finished), (1, 2, true));
//! # Ok::<(), mp_train::Error>(())
//! ```
//!
//! The example `own_loop` is a loop of one's own: `cargo run -p mp-train --example own_loop`. The command line of the
//! `mp-train` binary is the crate `mp-cli`.
//!
//! # Rooms
//!
//! Each imports only from those above it in this table.
//!
//! | module | what |
//! |---|---|
//! | [`machine`] | threads, processors, neighbours |
//! | [`processes`] | the processes that train one network together |
//! | [`metric`] | the figures by which a network is judged |
//! | [`optim`], [`schedule`] | how gradients move parameters, and how fast |
//! | [`weights`] | weights of files, and how a network starts from them |
//! | [`recipe`] | everything that decides what a run computes |
//! | [`images`] | the images of a run, and what identifies a network that was trained on them |
//! | [`learn`] | a model that learns |
//! | [`evaluate`] | how good a model is |
//! | [`checkpoint`] | where a run stands, as one file |
//! | [`folder`] | the files of a run |
//! | [`watch`] | events, metrics, the report |
//! | [`mod@bench`] | how long models take |
//! | [`apply`] | trained networks, judged and applied |
//! | [`run`] | one run, from a recipe to a folder |

pub mod apply;
pub mod atomic;
pub mod bench;
pub mod checkpoint;
mod choice;
mod error;
pub mod evaluate;
pub mod folder;
pub mod images;
pub mod learn;
pub mod machine;
pub mod metric;
pub mod optim;
pub mod processes;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod split;
pub mod watch;
pub mod weights;

pub use apply::Trained;
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use folder::{RunFolder, Summary};
pub use images::Corpus;
pub use learn::Learner;
pub use recipe::{Recipe, Spec};
pub use run::Trainer;
