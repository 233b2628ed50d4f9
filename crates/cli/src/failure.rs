//! How the binary fails: one line on standard error, and an exit code that says whose fault it was.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;
use mp_data::Line;
use mp_train::Error;
use mp_train::run::interrupt;

use crate::args::Args;
use crate::output::shortened;

/// The work itself failed.
pub(crate) const FAILED: u8 = 1;
/// The request, a file or the system did not allow it.
pub(crate) const REFUSED: u8 = 2;

/// Prints an error with its causes on one line and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    print(&format!("{error:#}"));
    if let Some(mp_study::Error::Run { .. }) = error.downcast_ref() {
        return ExitCode::from(FAILED);
    }
    match error.downcast_ref::<Error>() {
        Some(Error::Interrupted) => ExitCode::from(interrupt::exit_code()),
        Some(Error::Diverged { .. } | Error::Torch { .. } | Error::Report(_)) => ExitCode::from(FAILED),
        Some(Error::Processes(error)) if !error.is_refusal() => ExitCode::from(FAILED),
        _ => ExitCode::from(REFUSED),
    }
}

/// Help and version as clap writes them; what it refuses, on one line.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let code = if error.use_stderr() { REFUSED } else { 0 };
        let _ = error.print();
        return ExitCode::from(code);
    }
    let text = error.render().to_string();
    let message = text.split("\n\nUsage:").next().and_then(|text| text.split("\n\nFor more").next());
    let message = message.unwrap_or_default().trim_start_matches("error: ");
    // Clap's hints stand on lines of their own.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    print(&format!("{message}; see `{}`", help_of(std::env::args_os().skip(1))));
    ExitCode::from(REFUSED)
}

/// What the process lacks, on one line.
pub(crate) fn of_surroundings(message: &str) -> ExitCode {
    print(message);
    ExitCode::from(REFUSED)
}

/// The command that explains those of the arguments that name a command: `mp-train help data fetch`.
fn help_of(arguments: impl Iterator<Item = OsString>) -> String {
    let mut command = Args::command();
    let mut help = "mp-train help".to_owned();
    for argument in arguments {
        let Some(inner) = command.find_subcommand(&argument).filter(|inner| inner.get_name() != "help").cloned() else {
            break;
        };
        help = format!("{help} {}", inner.get_name());
        command = inner;
    }
    help
}

/// A panic is a fault of ours; even so, nobody wants the C++ trace that libtorch puts into the message.
pub(crate) fn panics_on_one_line() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("unknown");
        let reason = text.lines().next().unwrap_or_default();
        if let Some(bytes) = memory_refused(text) {
            print(&format!(
                "not enough memory: libtorch asked for {bytes} bytes more: a smaller train.batch_size, data.size or model takes less"
            ));
            std::process::exit(REFUSED.into());
        }
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
        print(&format!("internal error: {reason}{place}; RUST_BACKTRACE=1 shows where it came from"));
        std::process::exit(FAILED.into());
    }));
}

/// How many bytes libtorch could not get, if that is what its message says.
fn memory_refused(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("DefaultCPUAllocator: can't allocate memory: you tried to allocate ")?;
    rest.split(' ').next()
}

/// Prints one line on standard error: the one place where messages of failure are written.
pub(crate) fn print(message: &str) {
    // Nobody is left to be told where this fails.
    let _ = writeln!(io::stderr(), "mp-train: error: {}", Line(&shortened(message.trim_end())));
}

/// The reader of standard output has seen enough, as in `mp-train models | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_that_of_the_command_in_question() {
        let help = |line: &str| help_of(line.split(' ').map(OsString::from));
        assert_eq!(help("train digits --sett a.b=1"), "mp-train help train");
        assert_eq!(help("data fetch"), "mp-train help data fetch");
        assert_eq!(help("data fetch data"), "mp-train help data fetch");
        assert_eq!(help("trian"), "mp-train help");
        assert_eq!(help("--nonesuch eval"), "mp-train help");
    }

    #[test]
    fn memory_that_libtorch_cannot_get_is_told_apart() {
        let message = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to \
                       allocate 40960000 bytes. Error code 12 (Cannot allocate memory)";
        assert_eq!(memory_refused(message), Some("40960000"));
        assert_eq!(memory_refused("index out of range"), None);
    }
}
