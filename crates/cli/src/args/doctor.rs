//! The arguments of `mp-train doctor`.

use clap::Args as ClapArgs;

use super::DataDir;

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train doctor
  mp-train doctor --data-dir /scratch/data
  mp-train doctor --json

Every device computes a small product, a convolution, its gradient and a mixture of paths, whose sums are known. Exit codes:
0 all is well, or only slower than it could be; 2 something is broken.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
