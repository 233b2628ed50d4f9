//! Project tasks, run as `cargo xtask COMMAND` from anywhere in the clone.

mod bench;
mod cache;
mod cargo;
mod failure;
mod fetch;
mod libtorch;
mod portable;
mod quickstart;
mod suite;
mod wheels;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::Failure;

const HELP: &str = "\
cargo xtask COMMAND

  quickstart  fetch libtorch and Fashion-MNIST, train a small routed network, evaluate it (about ten minutes)
  test        all that CI runs: format, lints, documentation, benches, examples, doc tests, tests
  bench       time routed, unrouted and widened networks in turns, and write docs/src/performance.md;
              --check fails where a ratio is over its bound, --rounds N, --peers PYTHON compares with PyTorch
  libtorch    fetch libtorch if it is not there, and print its folder
  portable    build mp-train for a machine that has only PyTorch with CUDA (x86-64 Linux; no GPU is needed here):
              --torch 2.11|2.13, of that PyTorch (default 2.13); --work DIR, for what is built (default
              target/portable-2.13); --out FILE, the binary (default mp-train in it); --xz also compresses it;
              --test first runs the tests of mp-native, mp-nn and mp-routing against that PyTorch; --site DIR, an
              unpacked site-packages in place of 2.5 GB that are fetched; --python-tag TAG (cp312), of the wheel
  help        print this

libtorch goes once into $XDG_CACHE_HOME/multipath (or ~/.cache/multipath; on macOS ~/Library/Caches/multipath) and
serves every clone. To use one of your own, set LIBTORCH=/its/folder, or LIBTORCH_USE_PYTORCH=1 for the PyTorch of
your python3; then nothing is fetched.";

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Quickstart,
    Test,
    Bench(bench::Options),
    Libtorch,
    Portable(portable::Options),
    Help,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match parse(&arguments).and_then(|task| run(&task, &repository_root())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn parse(arguments: &[String]) -> Result<Task, Failure> {
    let commands = "quickstart, test, bench, libtorch, portable, help";
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::setup(format!("no command given: `cargo xtask` takes one of {commands}")));
    };
    let task = match name.as_str() {
        "quickstart" => Task::Quickstart,
        "test" => Task::Test,
        "bench" => return bench::Options::parse(rest).map(Task::Bench),
        "libtorch" => Task::Libtorch,
        "portable" => return portable::Options::parse(rest).map(Task::Portable),
        "help" | "-h" | "--help" => Task::Help,
        _ => return Err(Failure::setup(format!("unknown command `{name}`: `cargo xtask` takes one of {commands}"))),
    };
    match rest {
        [] => Ok(task),
        [extra, ..] => Err(Failure::setup(format!("`cargo xtask {name}` takes no arguments, found `{extra}`"))),
    }
}

fn run(task: &Task, root: &Path) -> Result<(), Failure> {
    match task {
        Task::Help => {
            println!("{HELP}");
            Ok(())
        }
        Task::Libtorch => {
            println!("{}", libtorch::ensure(root)?);
            Ok(())
        }
        Task::Quickstart => quickstart::run(root),
        Task::Test => suite::run(root),
        Task::Bench(options) => bench::run(root, options),
        Task::Portable(options) => portable::run(root, options),
    }
}

/// Cargo names the package's folder when it runs us; the one known at compile time serves a copied executable.
fn repository_root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.ancestors().nth(2).unwrap_or(&package).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Task, Failure> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn every_command_in_the_help_is_understood() {
        let commands = HELP.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        let listed = commands.filter_map(|line| line.split_whitespace().next());
        let tasks: Vec<Task> = listed.map(|name| parse_line(name).expect(name)).collect();
        let bench = Task::Bench(bench::Options::parse(&[]).expect("no options needed"));
        let portable = Task::Portable(portable::Options::parse(&[]).expect("no options needed"));
        assert_eq!(tasks, [Task::Quickstart, Task::Test, bench, Task::Libtorch, portable, Task::Help]);
    }

    #[test]
    fn bad_usage_is_one_line_and_exit_code_two() {
        for (line, message) in [
            ("", "no command given: `cargo xtask` takes one of quickstart, test, bench, libtorch, portable, help"),
            (
                "tset",
                "unknown command `tset`: `cargo xtask` takes one of quickstart, test, bench, libtorch, portable, help",
            ),
            ("test --all", "`cargo xtask test` takes no arguments, found `--all`"),
        ] {
            let failure = parse_line(line).unwrap_err();
            assert_eq!(failure, Failure::setup(message));
            assert_eq!(failure.exit_code(), 2);
        }
    }

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        assert!(repository_root().join("Cargo.lock").is_file());
    }
}
