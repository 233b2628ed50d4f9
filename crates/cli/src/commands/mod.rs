//! One file per command: each turns its arguments into one call of the library and shows what came back.

mod bench;
mod compare;
mod data;
mod doctor;
mod eval;
mod launch;
mod matching;
mod models;
mod predict;
mod routes;
mod train;
mod weights;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use mp_data::{Format, Manifest};
use mp_train::machine::{self, DeviceChoice, neighbours};
use mp_train::weights::WeightFile;
use mp_train::{Error, RunFolder, Trained};

use crate::args::{self, DataDir, State};

/// What a command ends with: most with nothing to add.
trait Outcome {
    fn code(self) -> ExitCode;
}

impl Outcome for () {
    fn code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Outcome for ExitCode {
    fn code(self) -> ExitCode {
        self
    }
}

macro_rules! commands {
    ($($(#[$about:meta])* $command:ident($args:ty): $run:expr;)*) => {
        #[derive(Subcommand)]
        pub(crate) enum Command {
            $($(#[$about])* $command($args),)*
        }

        pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
            machine::use_threads(0);
            let _watch = neighbours::Watch::begin();
            match command {
                $(Command::$command(args) => {
                    let run: fn($args) -> anyhow::Result<_> = $run;
                    run(args).map(Outcome::code)
                })*
            }
        }
    };
}

// The first line of each is its line in `mp-train help`.
commands! {
    /// Train a network and write a run folder
    Train(args::Train): train::run;
    /// Train on several processes of this machine, on its CPUs or GPUs
    Launch(args::Launch): launch::run;
    /// Evaluate a run, or weights, on validation or test images
    Eval(args::Eval): eval::run;
    /// Classify images, or compute the logits of a tensor
    Predict(args::Predict): predict::run;
    /// List models with their parameters and multiply-adds
    Models(args::Models): |args| models::run(&args);
    /// Show how a run routes its images
    Routes(args::Routes): |args| routes::run(&args);
    /// Write the weights of a run, or those that a model starts from
    Weights(args::Weights): |args| weights::run(&args);
    /// Time models, interleaved in one run
    Bench(args::Bench): bench::run;
    /// Train several networks under one recipe with several seeds, and report how they compare
    Compare(args::Compare): |args| compare::run(&args);
    /// Fetch, inspect and pack data sets
    #[command(subcommand)]
    Data(args::Data): data::run;
    /// Say what this machine gives, and what about it is broken or slow
    Doctor(args::Doctor): doctor::run;
}

/// A file of weights, under the names of a scheme where one is named.
fn weight_file(file: &Path, scheme: Option<&str>) -> Result<WeightFile, Error> {
    WeightFile::under(file, scheme.unwrap_or_default())
}

/// A network of a run: with its weights, or their averages.
fn trained(folder: &RunFolder, state: State, ema: bool, device: DeviceChoice) -> Result<Trained, Error> {
    let device = device.device()?;
    match ema {
        true => Trained::average_of_run(folder, state.into(), device),
        false => Trained::of_run(folder, state.into(), device),
    }
}

impl DataDir {
    /// The folder of downloaded data sets.
    ///
    /// # Errors
    /// Where neither the command line nor the environment names one.
    fn resolve(self) -> anyhow::Result<PathBuf> {
        self.find().context("no folder for data sets: give --data-dir, or set MULTIPATH_DATA or HOME")
    }

    /// As [`DataDir::resolve`], for the data set `name`: one that is embedded or named by its path needs no such folder.
    fn resolve_for(self, name: &str) -> anyhow::Result<PathBuf> {
        match self.find() {
            // Never looked into.
            None if !Manifest::find(name).is_ok_and(|known| known.format != Format::Digits) => Ok(PathBuf::new()),
            Some(folder) => Ok(folder),
            None => bail!("no folder for the data set `{name}`: give --data-dir, or set MULTIPATH_DATA or HOME"),
        }
    }

    fn find(self) -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || {
            let user = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
            let user = user.or_else(|| variable("HOME").map(|home| home.join(".cache")));
            user.map(|cache| cache.join("multipath").join("data"))
        };
        self.data_dir.or_else(|| variable("MULTIPATH_DATA")).or_else(cache)
    }
}
