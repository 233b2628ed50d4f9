//! Runs commands in the clone as a user would by hand.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::libtorch::{self, Libtorch};

/// The clone and the libtorch that everything in it is built with.
pub(crate) struct Checkout<'a> {
    pub(crate) root: &'a Path,
    pub(crate) libtorch: Libtorch,
}

impl<'a> Checkout<'a> {
    /// The clone at `root`, once the machine has what a build needs.
    pub(crate) fn open(root: &'a Path) -> Result<Self, Failure> {
        require_compiler()?;
        Ok(Self { root, libtorch: libtorch::ensure(root)? })
    }

    /// The clone at `root`, built with the libtorch in `folder` whatever the environment says.
    pub(crate) fn with(root: &'a Path, folder: PathBuf) -> Result<Self, Failure> {
        require_compiler()?;
        Ok(Self { root, libtorch: Libtorch::Given(folder) })
    }

    /// A command in the root of the clone, in the environment that the user's shell would give it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root).stdin(Stdio::null());
        // Cargo described `xtask` to us in variables that it sets for its own build scripts too: passed on, some
        // dependencies would be built again each time that a plain `cargo build` and a task take turns.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_this_package) {
                command.env_remove(name);
            }
        }
        match &self.libtorch {
            Libtorch::Python | Libtorch::Own(_) => {}
            Libtorch::Cached(_) => {
                // It came from the `.cargo/libtorch.toml` of before: Cargo shall read the file as it is now.
                command.env_remove("LIBTORCH");
            }
            Libtorch::Given(folder) => {
                command.env("LIBTORCH", folder);
                for other in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_LIB", "LIBTORCH_INCLUDE"] {
                    command.env_remove(other);
                }
            }
        }
        command
    }

    /// `cargo` with `arguments`, separated by single spaces.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments.split(' '));
        command
    }

    /// The folder that Cargo builds into, whether by default, by variable or by configuration.
    pub(crate) fn target_folder(&self) -> Result<PathBuf, Failure> {
        let output = self.cargo("metadata --format-version 1 --no-deps --offline").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        target_directory(&text)
            .map(PathBuf::from)
            .ok_or_else(|| Failure::step("`cargo metadata` named no target folder"))
    }
}

/// Checked first: without one the build fails after minutes of other work, deep inside `torch-sys`.
fn require_compiler() -> Result<(), Failure> {
    if std::env::var_os("CXX").is_some() {
        return Ok(());
    }
    let found = Command::new("c++").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::setup(
            "no C++ compiler (c++): install one (Debian: g++, macOS: xcode-select --install), or set CXX",
        )),
    }
}

fn describes_this_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_")
        || matches!(variable, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_BIN_NAME")
}

fn target_directory(metadata: &str) -> Option<String> {
    let (_, rest) = metadata.split_once("\"target_directory\":\"")?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("\\\\", "\\"))
}

/// Announces a command, runs it with our terminal, and returns the time it took.
pub(crate) fn step(name: &str, mut command: Command) -> Result<Duration, Failure> {
    println!("\n== {name}");
    let start = Instant::now();
    let status = command
        .status()
        .map_err(|error| Failure::setup(format!("{name}: {} did not run: {error}", command.get_program().display())))?;
    if !status.success() {
        return Err(Failure::step(format!("{name} failed ({status})")));
    }
    Ok(start.elapsed())
}

/// Minutes and seconds, as `1:05`.
pub(crate) fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_read_from_metadata() {
        let metadata = r#"{"packages":[],"target_directory":"/somewhere/target","version":1}"#;
        assert_eq!(target_directory(metadata).as_deref(), Some("/somewhere/target"));
        assert_eq!(target_directory("{}"), None);
    }

    #[test]
    fn settings_of_the_users_survive_but_not_the_description_of_xtask() {
        assert!(describes_this_package("CARGO_PKG_NAME"));
        assert!(describes_this_package("CARGO_MANIFEST_DIR"));
        assert!(!describes_this_package("CARGO_TARGET_DIR"));
        assert!(!describes_this_package("CARGO_HOME"));
    }

    #[test]
    fn times_are_in_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_millis(64_600)), "1:05");
        assert_eq!(minutes(Duration::from_millis(3_599_700)), "60:00");
    }

    #[test]
    fn a_step_that_fails_is_named() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        assert_eq!(step("lints", command), Err(Failure::step("lints failed (exit status: 3)")));
        let failure = step("lints", Command::new("no-such-program")).unwrap_err();
        assert!(failure.to_string().starts_with("lints: no-such-program did not run:"), "{failure}");
    }
}
