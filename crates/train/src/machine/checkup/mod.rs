//! What this machine and its environment give to a run, and what about that is broken or slow.
//!
//! [`Checkup::new`] looks; [`findings()`] judges what was seen.

mod devices;
mod findings;
mod folders;
mod limits;
mod processor;

use std::path::Path;

use serde::Serialize;

pub use devices::{Found, Libtorch, devices, nvidia_driver};
pub use findings::{Finding, Severity, findings};
pub use folders::Folder;
pub use limits::Limits;
pub use processor::Processor;

use crate::machine;

/// The variables of the environment that decide where, how and how fast networks run.
const VARIABLES: [&str; 18] = [
    "ATEN_CPU_CAPABILITY",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "GOMP_CPU_AFFINITY",
    "GOMP_SPINCOUNT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MKL_NUM_THREADS",
    "MULTIPATH_DATA",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "ONEDNN_MAX_CPU_ISA",
    "PYTORCH_CUDA_ALLOC_CONF",
    "RAYON_NUM_THREADS",
    "TMPDIR",
    "XDG_CACHE_HOME",
];

/// A variable that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; what is not UTF-8 is replaced.
    pub value: String,
}

/// What was seen of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Checkup {
    /// The libtorch that is loaded.
    pub libtorch: Libtorch,
    /// The processor.
    pub processor: Processor,
    /// How much of the machine this process may use.
    pub limits: Limits,
    /// How many threads libtorch uses, unless a recipe or a flag says otherwise.
    pub threads: usize,
    /// The version of NVIDIA's driver, where one is loaded.
    pub nvidia_driver: Option<String>,
    /// What networks can run on.
    pub devices: Vec<Found>,
    /// Where this program writes.
    pub folders: Vec<Folder>,
    /// The variables that matter and are set.
    pub environment: Vec<Variable>,
}

impl Checkup {
    /// Looks at this machine, and at the folders that hold something: pairs of what and where. Every device computes a little;
    /// nothing is written.
    pub fn new(folders: &[(&str, &Path)]) -> Self {
        let set = |name: &&str| {
            let value = std::env::var_os(name)?.to_string_lossy().into_owned();
            Some(Variable { name: (*name).to_owned(), value })
        };
        Self {
            libtorch: Libtorch::here(),
            processor: Processor::here(),
            limits: Limits::here(),
            threads: machine::threads(),
            nvidia_driver: nvidia_driver(),
            devices: devices(),
            folders: folders.iter().map(|(holds, path)| Folder::look(holds, path)).collect(),
            environment: VARIABLES.iter().filter_map(set).collect(),
        }
    }

    /// The value of a variable that is set, be it to nothing.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|variable| variable.name == name).map(|variable| variable.value.as_str())
    }

    /// The GPUs that this process sees.
    pub fn gpus(&self) -> impl Iterator<Item = &Found> {
        self.devices.iter().filter(|found| found.device.starts_with("cuda"))
    }
}
