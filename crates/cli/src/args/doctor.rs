//! The arguments of `mp-train doctor`.

use clap::Args as ClapArgs;

use super::{DataDir, OnDevice};

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train doctor
  mp-train doctor --data-dir /scratch/data
  mp-train doctor --device cuda
  mp-train doctor --json

Every device computes a small product, a convolution, its gradient and a mixture of paths, whose sums are known. Exit codes:
0 all is well, or only slower than it could be; 2 something is broken, or the device of --device is not there.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) on: OnDevice,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
