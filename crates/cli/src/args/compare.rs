//! The arguments of `mp-train compare`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{DataDir, count};

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train compare mine/study.toml --plan
  mp-train compare mine/study.toml
  mp-train compare mine/study.toml --jobs 2 --threads 1 --hours 3
  mp-train compare mine/study.toml --devices 0,1,2,3 --threads 4
  mp-train compare mine/study.toml --only cc,widened
  mp-train compare mine/study.toml --report-only --insert docs/src/results.md

A study names a recipe, entrants and seeds:

  recipe = \"cifar10-resnet20\"
  set = { \"train.epochs\" = 30, \"data.holdout\" = 5000 }
  seeds = [1, 2, 3]
  reference = \"cc\"
  match = { to = \"cc\", by = \"parameters\", tolerance = 0.02 }
  rates = { factors = [0.33, 1.0, 3.0], epochs = 5 }

  [[entrant]]
  name = \"cc\"
  model = \"resnet20_x3_cc\"

  [[entrant]]
  name = \"widened\"
  family = \"resnet20\"

Each finished run is kept as one small file below runs/ in the study's folder, from which the study goes on, also on another
machine. It can be stopped and killed at any time: what was running is gone on with. The report is written beside them, of
whatever is there: results.md, results.csv, results.json, report.html and pictures.")]
pub(crate) struct Compare {
    /// The study, a .toml file
    #[arg(value_name = "STUDY.toml")]
    pub(crate) study: PathBuf,
    /// Folder of the finished runs and of the report [default: that of the study]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Folder of the runs that are going on, with their checkpoints [default: runs/studies/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// The data set's name or path, in place of the recipe's data.name
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Only these entrants
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Runs side by side [default: as many as there are processors, by --threads, or --devices]
    #[arg(long, value_name = "N", value_parser = count(1, 1024))]
    pub(crate) jobs: Option<usize>,
    /// The GPUs that runs have, in turn, by the numbers of nvidia-smi; as many runs side by side, unless --jobs says otherwise
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) devices: Vec<String>,
    /// Threads of each run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1, 256))]
    pub(crate) threads: usize,
    /// Begin nothing more after so many hours, and save what runs then
    #[arg(long, value_name = "H", value_parser = hours)]
    pub(crate) hours: Option<f64>,
    /// Only say what would run and, from a measured step, how long it would take
    #[arg(long, conflicts_with = "report_only")]
    pub(crate) plan: bool,
    /// Run nothing: write the report of what is there
    #[arg(long)]
    pub(crate) report_only: bool,
    /// Measure the milliseconds of all entrants' training steps anew, in turns, for the report; do so while nothing else runs
    #[arg(long)]
    pub(crate) time: bool,
    /// Also put the results into this page, between `<!-- study NAME -->` and `<!-- end of study NAME -->`
    #[arg(long, value_name = "FILE.md")]
    pub(crate) insert: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
}

fn hours(text: &str) -> Result<f64, String> {
    let found: f64 = text.parse().map_err(|_| "expected a number of hours, such as 2.5".to_owned())?;
    if found > 0.0 && found < 1e5 {
        Ok(found)
    } else {
        Err("expected a number of hours above 0, such as 2.5".to_owned())
    }
}
