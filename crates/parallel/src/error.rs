//! The one error type of this crate.

/// What can go wrong between processes; every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment says that this is one process of several, and not all of what that needs.
    #[error("{present} is set, but not {}: expected all of {all} from whatever starts the processes, or none of them", missing.join(", "))]
    HalfASet {
        /// A variable that is there.
        present: String,
        /// Those that are not.
        missing: Vec<String>,
        /// All of the set.
        all: String,
    },
    /// A variable of the environment has no meaning.
    #[error("{variable} is `{value}`, expected {expected}")]
    Variable {
        /// Its name.
        variable: String,
        /// What it holds.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// Rank 0 cannot listen where the others will look for it.
    #[error(
        "rank 0 cannot listen on port {port} of {host}: it is taken, or the address is not this machine's: choose another \
         port with --port or MASTER_PORT"
    )]
    PortTaken {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// Rank 0 is not where it should be.
    #[error(
        "rank {rank} found no rank 0 at {host}:{port} within {seconds} s: was it started, and can this machine reach it \
         (MASTER_ADDR, MASTER_PORT)?"
    )]
    NoMaster {
        /// Who looked for it.
        rank: usize,
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Processes that should have come did not.
    #[error(
        "{} of {world} did not come within {seconds} s: were all processes started, with the same MASTER_ADDR and MASTER_PORT?",
        ranks(missing)
    )]
    NeverCame {
        /// Their ranks.
        missing: Vec<usize>,
        /// How many there should be.
        world: usize,
        /// How long they were waited for.
        seconds: u64,
    },
    /// Processes do not mean the same.
    #[error("rank {rank} on {host} has another {what} than rank 0: {difference}")]
    Disagree {
        /// Who differs from rank 0.
        rank: usize,
        /// Its host.
        host: String,
        /// In what: "recipe", "version".
        what: String,
        /// What the two have.
        difference: String,
    },
    /// Another process has failed, so that this one cannot go on.
    #[error("rank {rank} on {host} {cause}")]
    Lost {
        /// Which.
        rank: usize,
        /// Its host.
        host: String,
        /// How it ended, or that nothing is heard from it.
        cause: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// libtorch refused.
    #[error("cannot {action}: {reason}")]
    Torch {
        /// What was being done.
        action: &'static str,
        /// The first line of what libtorch said.
        reason: String,
    },
}

impl Error {
    /// Whether another start would fail alike: whoever starts the processes has to change something first.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Lost { .. } | Self::Torch { .. })
    }
}

fn ranks(of: &[usize]) -> String {
    const NAMED: usize = 8;
    let named: Vec<String> = of.iter().take(NAMED).map(usize::to_string).collect();
    let more = if of.len() > NAMED { format!(" and {} more", of.len() - NAMED) } else { String::new() };
    format!("{} {}{more}", if of.len() == 1 { "rank" } else { "ranks" }, named.join(", "))
}
