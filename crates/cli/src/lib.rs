//! The command line of `mp-train`: trains, evaluates, applies and times multi-path networks.
//!
//! The binary is [`main`] and nothing else, so that your own program can be the same command line:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     // What the program adds to the library is added here.
//!     mp_cli::main()
//! }
//! ```
//!
//! Results go to standard output, progress and errors to standard error. Exit codes: 0 done; 1 the work itself failed, as when
//! training diverges; 2 the request, a file or the system did not allow it; 128 + N stopped by signal N: 130 for Ctrl-C.

mod args;
mod commands;
mod failure;
mod output;
mod progress;
mod surroundings;

use std::process::ExitCode;

use clap::Parser;

/// Does what the arguments of this process ask for, and returns its exit code. To be called once, first of all: it decides how
/// the process panics, uses memory and counts threads.
pub fn main() -> ExitCode {
    failure::panics_on_one_line();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return failure::of_usage(&error),
    };
    if let Err(message) = surroundings::check() {
        return failure::of_surroundings(&message);
    }
    // Where the allocator does not take it, steps are slower and nothing else differs. It asks for much at a time, so only
    // now that there is known to be enough.
    let _ = mp_native::keep_freed_memory();
    match commands::run(args.command) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}
