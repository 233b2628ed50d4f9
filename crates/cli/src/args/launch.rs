//! The arguments of `mp-train launch`, and those by which processes of `mp-train train` wait for each other.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::count;

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train launch --processes 2 -- train quickstart
  mp-train launch --devices 0,1,2,3 -- train --model resnet18 --data my/folder
  mp-train launch --processes 2 --restarts 3 -- train digits --out runs/mine --auto-resume

Each process learns from an equal part of every batch: train.batch_size is that of all together. On GPUs each has one of
its own; on the CPU each is bound to as many cores. Ctrl-C and the other signals that save a run are passed on. When one
process fails, all end, with one line that says which and why.

Programs that start processes on several machines need no launch: mp-train train knows the variables of torchrun, srun
and Open MPI's mpirun.")]
pub(crate) struct Launch {
    /// How many processes [default: one for each of --devices]
    #[arg(long, value_name = "N", value_parser = count(1, 4096), required_unless_present = "devices")]
    pub(crate) processes: Option<usize>,
    /// The GPUs that they have, one each, by the numbers of nvidia-smi [default: all, from the first on]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) devices: Vec<String>,
    /// The port at which they meet; 0: one that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// How often they are started again, from the run's last checkpoint, after one has failed; train then needs --auto-resume
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) restarts: u64,
    /// What every process does: train, and its arguments
    #[arg(last = true, required = true, value_name = "train ...")]
    pub(crate) command: Vec<OsString>,
}

/// How long processes that train together wait for each other.
#[derive(ClapArgs)]
pub(crate) struct Waits {
    /// Seconds that processes started together wait for each other to come
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    /// Seconds that they wait for one of them that has come, before it counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Waits {
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
