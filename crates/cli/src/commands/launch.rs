//! `mp-train launch`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use mp_data::Line;
use mp_train::Error;
use mp_train::machine;
use mp_train::processes::{Ended, Failure, Launch};
use mp_train::run::interrupt;

use crate::args;
use crate::failure;

pub(crate) fn run(args: args::Launch) -> anyhow::Result<ExitCode> {
    let args::Launch { processes, devices, port, restarts, command } = args;
    if command.first().map(|word| word.as_os_str()) != Some(OsStr::new("train")) {
        let found = command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        bail!("launch runs `train`, not `{}`: mp-train launch --processes 2 -- train quickstart", Line(&found));
    }
    let count = processes.unwrap_or(devices.len());
    if !devices.is_empty() && devices.len() != count {
        bail!("--devices names {} GPUs for {count} processes, expected one for each", devices.len());
    }
    if restarts > 0 && !command.iter().any(|word| word == "--auto-resume") {
        bail!("--restarts goes on from the run's last checkpoint: add --auto-resume to the arguments of train");
    }
    let signals = interrupt::signals()?;
    let launch = Launch {
        program: std::env::current_exe().context("cannot find this program")?,
        arguments: command,
        processes: count,
        devices,
        port,
        restarts,
        // Processors that the user has chosen are not chosen again.
        binds: std::env::var_os("OMP_NUM_THREADS").is_none(),
        refusal: i32::from(failure::REFUSED),
    };
    let mut heard = |attempt: u64, failure: &Failure| {
        let line = format!("{}; starting again ({attempt} of {restarts})", describe(failure));
        let _ = writeln!(io::stderr(), "mp-train: {}", Line(&line));
    };
    match launch.run(&signals, &mut heard).map_err(Error::from)? {
        Ended::Done => Ok(ExitCode::SUCCESS),
        Ended::Stopped(code) => Ok(code_of(code)),
        Ended::Failed(Failure { spoken: Some(code), .. }) => Ok(code_of(code)),
        Ended::Failed(failure) => {
            failure::print(&describe(&failure));
            Ok(ExitCode::from(failure::FAILED))
        }
    }
}

fn describe(failure: &Failure) -> String {
    format!("rank {} on {} {}", failure.rank, machine::host(), failure.cause)
}

fn code_of(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(failure::FAILED))
}
