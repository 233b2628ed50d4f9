//! How the binary fails: one line on standard error, and an exit code that says whose fault it was.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use mp_data::Line;
use mp_train::{Error, interrupt};

/// The work itself failed.
const FAILED: u8 = 1;
/// The request, a file or the system did not allow it.
const REFUSED: u8 = 2;

/// Prints an error with its causes on one line and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    print(&format!("{error:#}"));
    match error.downcast_ref::<Error>() {
        Some(Error::Interrupted) => ExitCode::from(interrupt::exit_code()),
        Some(Error::Diverged { .. } | Error::Torch { .. } | Error::Report(_)) => ExitCode::from(FAILED),
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
    print(&format!("{message}; see `mp-train help`"));
    ExitCode::from(REFUSED)
}

/// A panic is a fault of ours; even so, nobody wants the C++ trace that libtorch puts into the message.
pub(crate) fn panics_on_one_line() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("unknown");
        let reason = text.lines().next().unwrap_or_default();
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
        print(&format!("internal error: {reason}{place}; RUST_BACKTRACE=1 shows where it came from"));
        std::process::exit(FAILED.into());
    }));
}

/// Prints one line on standard error; for what does not end the command.
pub(crate) fn print(message: &str) {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // Nobody is left to be told where this fails.
    let _ = writeln!(io::stderr(), "mp-train: error: {}", Line(&line));
}

/// The reader of standard output has seen enough, as in `mp-train models | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}
