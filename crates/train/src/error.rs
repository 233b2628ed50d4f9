//! The one error type of this crate.

use std::io;
use std::path::{Path, PathBuf};

use mp_data::Line;

use crate::split::ValidSplit;

/// What can go wrong between a recipe and a finished run; every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a recipe in the binary nor a file has this name.
    #[error("no recipe named \"{name}\" and no such file; recipes: {}; or give the path of a .toml file", known.join(", "))]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// The names of the embedded recipes.
        known: Vec<String>,
    },
    /// The text of a recipe is not TOML, or holds a key or a type that no recipe has.
    #[error("{origin}: {message}")]
    Recipe {
        /// Where the text stands: a file with line and column, or the `--set` argument.
        origin: String,
        /// What is wrong, with the valid keys where one is unknown.
        message: String,
    },
    /// A value of a recipe is out of its range.
    #[error("{key} is {value}, expected {expected}")]
    Invalid {
        /// The key, with its table: `train.epochs`.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// A new run was to be written where one already lies.
    #[error("{} already holds a run ({found}): name another folder with --out, or continue it with --resume", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The file that shows it.
        found: &'static str,
    },
    /// A folder that should hold a run does not.
    #[error("{} holds no run: {missing} is missing; expected the folder that `mp-train train` printed", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The first file that is missing.
        missing: &'static str,
    },
    /// A run cannot be continued as another one.
    #[error("{}: the run was started with {}: undo this to continue it, or start a new run with --out", path.display(), differences.join("; "))]
    Different {
        /// The run folder.
        path: PathBuf,
        /// Every difference: what the run was started with, and what there is now.
        differences: Vec<String>,
    },
    /// Another process writes the run.
    #[error("{}: {holder} is training there: wait until it has ended, or end it first", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process and its host.
        holder: String,
    },
    /// A run has come further than the checkpoint that it would go on from.
    #[error("{}: {found}, but {evidence}: {advice}", path.display())]
    SetBack {
        /// The run folder.
        path: PathBuf,
        /// The checkpoint that is there, if any.
        found: String,
        /// What shows that the run was further.
        evidence: String,
        /// How to go on.
        advice: String,
    },
    /// The last checkpoint of a run cannot be read, and another can.
    #[error("cannot continue {} from its last checkpoint; `--from best` goes on from the best one, of epoch {epoch}", path.display())]
    LastUnreadable {
        /// The run folder.
        path: PathBuf,
        /// The epochs that were complete at the other one.
        epoch: u64,
        /// What is wrong with the last.
        source: Box<Error>,
    },
    /// The data of a run is not where it was.
    #[error("the data of the run is no longer at {}: name the place where it is now with --data", path.display())]
    DataGone {
        /// Where it was.
        path: PathBuf,
    },
    /// A file of a run folder cannot be understood.
    #[error("{}: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: "write", "create".
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A checkpoint or weight file is of another model than the one asked for.
    #[error("{}: a checkpoint of `{found}`, expected one of `{expected}`", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The model that it is of.
        found: String,
        /// The model asked for.
        expected: String,
    },
    /// The tensors of a file are not those of a network, under whatever names.
    #[error("{}: weights of another model than `{model}`: by {names}, which come nearest, {mismatch}", path.display())]
    NoFit {
        /// The file.
        path: PathBuf,
        /// The model that was to have them.
        model: String,
        /// Whose names were tried.
        names: String,
        /// What is wrong by these.
        mismatch: Box<mp_nn::Mismatch>,
    },
    /// There are no rules of this name for the names of weights.
    #[error("there is no scheme of names `{name}`: {hint}")]
    UnknownScheme {
        /// The name that came.
        name: String,
        /// The nearest, or all.
        hint: String,
    },
    /// Public names were asked for where a network has none.
    #[error("`{model}` has no public names for its weights: {reason}")]
    NotPublic {
        /// The model.
        model: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A run has not come far enough.
    #[error("{} has no {missing} yet: its first epoch is not complete, continue it with --resume", path.display())]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// Averaged weights were asked for where none were kept.
    #[error("{}: no averaged weights: the run was trained without [train.ema]", path.display())]
    NoAverage {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A budget was asked for that was never met by these weights.
    #[error(
        "{}: no threshold for a budget of {budget} is kept with this checkpoint: `mp-train eval {} --checkpoint \
         {checkpoint}{averages} --budget {budget}` finds and keeps it", path.display(), path.display()
    )]
    NoBudget {
        /// The run folder.
        path: PathBuf,
        /// Which checkpoint.
        checkpoint: String,
        /// ` --ema` where it is about its averages.
        averages: &'static str,
        /// The budget.
        budget: f64,
    },
    /// Something to classify cannot be read, or is not of a form that the network takes.
    #[error("{}: {message}", Line(path))]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The held-out images of a run are no longer those that it did not learn from.
    #[error(
        "{}: the images held out for validation would not be those of the run: images were added, removed or renamed \
         since it was started, so that it has learnt from some of these; put them back, or evaluate with --split test",
        Line(data)
    )]
    OtherHoldout {
        /// The data set.
        data: String,
    },
    /// A network cannot be judged with these routes in place of its own.
    #[error("{routes} routes: {problem}")]
    Routes {
        /// Which.
        routes: &'static str,
        /// Why not, and what was expected.
        problem: String,
    },
    /// The images of two passes over a data set are not as many.
    #[error("the images changed while they were judged: {expected} at first, then {}", if *more { "more" } else { "fewer" })]
    OtherImages {
        /// How many the first pass found.
        expected: usize,
        /// Whether the second found more of them.
        more: bool,
    },
    /// What a command found cannot be written there.
    #[error("{}: {message}", Line(path))]
    Output {
        /// The file.
        path: PathBuf,
        /// What is there, and what to do.
        message: String,
    },
    /// There is nothing to train on, to evaluate on or to classify.
    #[error("{what}: no images, expected at least one")]
    NoImages {
        /// The data set, or whatever should have held them.
        what: String,
    },
    /// There is nothing to choose between.
    #[error("{data}: a single class, `{class}`: expected two or more, of which something can be learnt")]
    OneClass {
        /// The data set.
        data: String,
        /// Its class.
        class: String,
    },
    /// Nothing says by which images a model should be judged while it trains.
    #[error(
        "{data}: training images only, nothing to validate on: set some of them aside with data.holdout = 0.1 (a tenth), or add a folder or file of validation images (val)"
    )]
    NoValidation {
        /// The data set.
        data: String,
    },
    /// The test images of a data set that has none were asked for.
    #[error(
        "{data}: no test images, expected a split called test; the run was validated on its {valid} images: --split valid"
    )]
    NoTest {
        /// The data set.
        data: String,
        /// What there is instead.
        valid: ValidSplit,
    },
    /// The classes are not those that a network was trained on.
    #[error("{data}: other classes than the network was trained on: {difference}")]
    OtherClasses {
        /// The data set.
        data: String,
        /// Which.
        difference: String,
    },
    /// The data set is not the one that a network was trained on.
    #[error("{data}: images of {found}, expected the {expected} that the checkpoint was trained on")]
    OtherData {
        /// The data set.
        data: String,
        /// Its images and classes.
        found: String,
        /// Those of the checkpoint.
        expected: String,
    },
    /// The networks take square images.
    #[error(
        "{data}: images of {height}x{width}, expected as many rows as columns: set data.size to the side they should have"
    )]
    NotSquare {
        /// The data set.
        data: String,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The images differ in size, and nothing says to which size they should be brought.
    #[error("{data}: images {found}, expected one size: set data.size to the side they should have, such as 112")]
    NoSize {
        /// The data set.
        data: String,
        /// Two of the sizes.
        found: String,
    },
    /// A GPU that is not there.
    #[error("device {asked}, expected {found}")]
    NoDevice {
        /// The device that was asked for.
        asked: String,
        /// What there is.
        found: String,
    },
    /// A number format that this device does not have.
    #[error("train.precision is {precision}, expected {expected} on {device}")]
    Precision {
        /// The number format that was asked for.
        precision: &'static str,
        /// The device.
        device: String,
        /// Those that it has.
        expected: &'static str,
    },
    /// Training has left the finite numbers.
    #[error(
        "training diverged at step {step}: {found}; checkpoints are from before that: try a lower optimiser.lr, a longer schedule.warmup_epochs or train.clip_norm = 1.0"
    )]
    Diverged {
        /// The first step that shows it, counted from 1.
        step: u64,
        /// What is not finite.
        found: String,
    },
    /// It was asked to stop before it was done.
    #[error("interrupted")]
    Interrupted,
    /// The handlers of the signals that ask a run to stop could not be set.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// Processes that train together do not come, do not mean the same, or have lost one of them.
    #[error(transparent)]
    Processes(#[from] mp_parallel::Error),
    /// libtorch refused.
    #[error("cannot {action}: {reason}")]
    Torch {
        /// What was being done.
        action: &'static str,
        /// The first line of what libtorch said; the rest is a C++ trace.
        reason: String,
    },
    /// The data could not be opened or read.
    #[error(transparent)]
    Data(#[from] mp_data::Error),
    /// A layer could not be built, or a weight file not be read or written.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// A loss or a statistic asked for what a model's routes do not have.
    #[error(transparent)]
    Routing(#[from] mp_routing::Error),
    /// The model could not be built.
    #[error(transparent)]
    Model(#[from] mp_zoo::Error),
    /// The report's template does not fit its data: a fault of this crate.
    #[error("cannot render the report")]
    Report(#[from] minijinja::Error),
}

impl Error {
    /// Wraps an I/O error with what was being done to which path; for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A file of a run that could not be understood, for the reason that its parser gave.
    pub(crate) fn corrupt(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), message: reason.to_string() }
    }

    /// Wraps why a GPU did not do what was asked of it.
    pub(crate) fn gpu(action: &'static str, source: &mp_native::TorchError) -> Self {
        Self::Torch { action, reason: source.reason().to_owned() }
    }

    /// Wraps what libtorch said about what was being done.
    pub fn torch(action: &'static str, source: &tch::TchError) -> Self {
        Self::Torch { action, reason: source.to_string().lines().next().unwrap_or_default().to_owned() }
    }
}
