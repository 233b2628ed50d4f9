//! `cargo xtask test`: everything that CI runs, cheapest first, so that a failure shows early.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cargo::{self, Checkout};
use crate::failure::Failure;

pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let checkout = Checkout::open(root)?;
    let mut times = Vec::new();
    // The tests come last: what a runner of this prints at its end is then what they printed.
    for (name, commands) in steps(&checkout)? {
        let mut time = Duration::ZERO;
        for command in commands {
            time += cargo::step(&shown(&command), command).map_err(|failure| in_step(name, failure))?;
        }
        println!("-- {name}: {}", cargo::minutes(time));
        times.push(format!("{name} {}", cargo::minutes(time)));
    }
    println!("\nall passed in {}: {}", cargo::minutes(start.elapsed()), times.join(", "));
    Ok(())
}

type Step = (&'static str, Vec<Command>);

fn steps(checkout: &Checkout<'_>) -> Result<Vec<Step>, Failure> {
    let mut documentation = checkout.cargo("doc --workspace --no-deps");
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    let mut examples = vec![checkout.cargo("build --workspace --examples")];
    let built = checkout.target_folder()?.join("debug").join("examples");
    examples.extend(examples_of(&checkout.root.join("crates"))?.iter().map(|name| checkout.command(built.join(name))));
    Ok(vec![
        ("format", vec![checkout.cargo("fmt --all --check")]),
        ("lints", vec![checkout.cargo("clippy --workspace --all-targets -- -D warnings")]),
        ("documentation", vec![documentation]),
        ("benches", vec![checkout.cargo("test --workspace --bench *")]),
        ("examples", examples),
        ("doc tests", vec![checkout.cargo("test --workspace --doc")]),
        ("tests", vec![tests(checkout)]),
    ])
}

fn tests(checkout: &Checkout<'_>) -> Command {
    let mut command = checkout.cargo(&format!("{} --workspace --lib --bins --tests", runner(checkout)));
    one_thread_each(&mut command);
    command
}

/// Cargo's command that runs tests here: nextest where it is installed.
pub(crate) fn runner(checkout: &Checkout<'_>) -> &'static str {
    let mut nextest = checkout.cargo("nextest --version");
    let installed = nextest.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if installed { "nextest run" } else { "test" }
}

/// The tests run beside each other already: more threads in each would only wait for one another.
pub(crate) fn one_thread_each(tests: &mut Command) {
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        tests.env("OMP_NUM_THREADS", "1");
    }
}

/// The examples of all crates, by name. They are run as executables and not by `cargo run`, which would build the
/// dependencies of each crate again with the features that it alone asks for.
fn examples_of(crates: &Path) -> Result<Vec<String>, Failure> {
    let mut files: Vec<PathBuf> =
        entries(crates).iter().flat_map(|package| entries(&package.join("examples"))).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> = files.iter().filter_map(|path| path.file_stem()?.to_str()).map(String::from).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::step(format!("two crates have an example `{}`: rename one", pair[0]))),
        None => Ok(names),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn in_step(name: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Setup(message) => Failure::Setup(format!("{name}: {message}")),
        Failure::Step(message) => Failure::Step(format!("{name}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found_by_name_and_may_not_share_one() {
        let crates = std::env::temp_dir().join(format!("multipath-crates-{}", std::process::id()));
        for (package, file) in [("b", "train.rs"), ("a", "gate.rs"), ("a", "notes.md")] {
            let folder = crates.join(package).join("examples");
            fs::create_dir_all(&folder).expect(package);
            fs::write(folder.join(file), "").expect(file);
        }
        assert_eq!(examples_of(&crates), Ok(vec!["gate".to_owned(), "train".to_owned()]));
        fs::write(crates.join("b/examples/gate.rs"), "").expect("gate.rs");
        assert_eq!(examples_of(&crates), Err(Failure::step("two crates have an example `gate`: rename one")));
        fs::remove_dir_all(&crates).expect("a folder of our own");
    }

    #[test]
    fn a_command_is_shown_without_its_folder() {
        let mut command = Command::new("/toolchain/bin/cargo");
        command.args(["fmt", "--check"]);
        assert_eq!(shown(&command), "cargo fmt --check");
    }

    #[test]
    fn a_failure_names_its_step_and_keeps_its_code() {
        let failure = in_step("lints", Failure::step("cargo clippy failed"));
        assert_eq!(failure, Failure::step("lints: cargo clippy failed"));
    }
}
