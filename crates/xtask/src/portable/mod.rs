//! `cargo xtask portable`: one file that runs on a machine which has a PyTorch with CUDA, and nothing else of ours.
//!
//! The binary is built here against the libraries of that version of PyTorch, and finds them there. No GPU is needed to build it.

mod binary;
mod mirror;
mod options;
mod pytorch;
mod site;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache;
use crate::cargo::{self, Checkout};
use crate::failure::Failure;
use crate::suite;
use binary::Needs;
pub(crate) use options::Options;
use pytorch::Pytorch;
use site::Site;

/// The crates whose tests `--test` runs: what touches libtorch itself.
const TESTED: &str = "-p mp-native -p mp-nn -p mp-routing";

pub(crate) fn run(root: &Path, options: &Options) -> Result<(), Failure> {
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Err(Failure::setup("`cargo xtask portable` builds on x86-64 Linux, for x86-64 Linux with CUDA"));
    }
    let (site, pytorch) = find(options)?;
    if options.test && !site.can_run() {
        return Err(Failure::setup(
            "--test needs NVIDIA's libraries, expected nvidia/cudnn and others in the --site; without --site all are fetched",
        ));
    }
    if options.xz {
        require_xz()?;
    }
    let work = options.work.clone().map_or_else(|| default_work(root, &site, pytorch), Ok)?;
    let out = options.out.clone().unwrap_or_else(|| work.join("mp-train"));
    mirror::require_outside(root, &work)?;

    let source = work.join("src");
    mirror::refresh(root, &source, pytorch)?;
    let mirror = Checkout::with(&source, site.libtorch())?;
    let target = work.join("target");
    let in_mirror = |arguments: &str| {
        let mut command = mirror.cargo(arguments);
        command.env("CARGO_TARGET_DIR", &target);
        command
    };
    if options.test {
        let runner = suite::runner(&mirror);
        let mut tests = in_mirror(&format!("{runner} --locked {TESTED} --lib --tests"));
        suite::one_thread_each(&mut tests);
        cargo::step(&format!("tests against PyTorch {}", pytorch.version), tests)?;
    }
    // Linkers other than lld want to see the libraries of libtorch's libraries, which need not be here.
    let linking = "-C strip=symbols -C link-arg=-Wl,--allow-shlib-undefined";
    let build = in_mirror(&format!("rustc --release --locked -p mp-cli --bin mp-train -- {linking}"));
    cargo::step(&format!("build mp-train against PyTorch {} with CUDA", pytorch.version), build)?;

    let built = target.join("release").join("mp-train");
    let needs = Needs::of(&built)?;
    require_cuda(&needs)?;
    if site.can_run() {
        require_start(&built, &site)?;
    }
    copy(&built, &out)?;
    println!("\n{}", describe(&out, &needs, pytorch)?);
    if options.xz {
        println!("\n{}", compress(&out)?);
    }
    Ok(())
}

/// The libraries to build with, and which PyTorch they are of.
fn find(options: &Options) -> Result<(Site, &'static Pytorch), Failure> {
    let Some(folder) = &options.site else {
        let variable = |name: &str| std::env::var_os(name);
        let cache = cache::ours(std::env::consts::OS, variable("XDG_CACHE_HOME"), variable("HOME"))?;
        return Ok((Site::fetch(&cache, options.pytorch(), &options.python_tag)?, options.pytorch()));
    };
    let site = Site::open(folder)?;
    let version = site.version()?;
    let found = Pytorch::find(&version).ok_or_else(|| {
        Failure::setup(format!(
            "--site {} holds PyTorch {version}, expected {}: tch is known for these",
            folder.display(),
            Pytorch::names()
        ))
    })?;
    match options.torch {
        Some(asked) if asked != found => Err(Failure::setup(format!(
            "--site {} holds PyTorch {version}, expected --torch {}",
            folder.display(),
            asked.short
        ))),
        _ => Ok((site, found)),
    }
}

/// Beside what Cargo builds from the clone itself.
fn default_work(root: &Path, site: &Site, pytorch: &Pytorch) -> Result<PathBuf, Failure> {
    let target = Checkout::with(root, site.libtorch())?.target_folder()?;
    Ok(target.join(format!("portable-{}", pytorch.short)))
}

/// Without this library by name, libtorch starts without CUDA and says nothing.
fn require_cuda(needs: &Needs) -> Result<(), Failure> {
    if needs.libraries.iter().any(|library| library == "libtorch_cuda.so") {
        return Ok(());
    }
    Err(Failure::step(format!(
        "the binary does not ask for libtorch_cuda.so, expected it among {}",
        needs.libraries.join(", ")
    )))
}

/// Starts the binary with every symbol looked up: one that the libraries lack is told here, not on the other machine.
fn require_start(program: &Path, site: &Site) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.arg("--version").env("LD_LIBRARY_PATH", site.libraries()).env("LD_BIND_NOW", "1").stdin(Stdio::null());
    let output = command.output();
    let output = output.map_err(|error| Failure::step(format!("{} did not start: {error}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().last().unwrap_or("it gave no reason");
    Err(Failure::step(format!("the binary does not start with the libraries that it was built with: {why}")))
}

/// Under a name of its own first: a file is never half written.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let partial = to.with_added_extension("partial");
    let copied = fs::copy(from, &partial).and_then(|_| fs::rename(&partial, to));
    copied.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::setup(format!("cannot write {}: {error}; --out names another file", to.display()))
    })
}

fn describe(out: &Path, needs: &Needs, pytorch: &Pytorch) -> Result<String, Failure> {
    let name = Path::new(out.file_name().unwrap_or(out.as_os_str())).display();
    let version = pytorch.version;
    Ok(format!(
        "{} ({}), for x86-64 Linux with PyTorch {version}, glibc {} and libstdc++ {} or newer
It needs {}

There, with that PyTorch in its python3:
  export LD_LIBRARY_PATH=$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), \"lib\"))')
  ./{name} doctor",
        out.display(),
        size(out)?,
        needs.glibc,
        needs.glibcxx,
        needs.libraries.join(", "),
    ))
}

fn size(file: &Path) -> Result<String, Failure> {
    let data = fs::metadata(file).map_err(|error| Failure::step(format!("{}: {error}", file.display())))?;
    Ok(format!("{:.1} MB", data.len() as f64 / 1e6))
}

fn require_xz() -> Result<(), Failure> {
    match Command::new("xz").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::setup("xz was not found, which --xz compresses with: install it (Debian: xz-utils)")),
    }
}

/// Compresses a file into one beside it, and says how to get it back.
fn compress(file: &Path) -> Result<String, Failure> {
    let (packed, partial) = (file.with_added_extension("xz"), file.with_added_extension("xz.partial"));
    let outcome = fs::File::create(&partial).and_then(|to| {
        let mut command = Command::new("xz");
        command.args(["-9", "--stdout"]).arg(file).stdout(to);
        let status = command.status()?;
        if !status.success() {
            return Err(io::Error::other(format!("xz failed ({status})")));
        }
        fs::rename(&partial, &packed)
    });
    outcome.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::step(format!("cannot write {}: {error}", packed.display()))
    })?;
    let name = Path::new(packed.file_name().unwrap_or(packed.as_os_str())).display().to_string();
    Ok(format!("{} ({}): `unxz {name}` gives it back", packed.display(), size(&packed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(libraries: &[&str]) -> Needs {
        Needs {
            libraries: libraries.iter().map(|name| (*name).to_owned()).collect(),
            glibc: "2.34".to_owned(),
            glibcxx: "3.4.29".to_owned(),
        }
    }

    #[test]
    fn a_binary_without_cuda_is_a_failure() {
        assert_eq!(require_cuda(&needs(&["libtorch.so", "libtorch_cuda.so"])), Ok(()));
        let failure = require_cuda(&needs(&["libtorch.so", "libtorch_cpu.so"])).unwrap_err();
        let message = "the binary does not ask for libtorch_cuda.so, expected it among libtorch.so, libtorch_cpu.so";
        assert_eq!(failure, Failure::step(message));
    }

    #[test]
    fn what_is_printed_says_what_the_other_machine_must_have_and_how_to_start() {
        let folder = std::env::temp_dir().join(format!("multipath-out-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (from, out) = (folder.join("built"), folder.join("mp-gpu"));
        fs::write(&from, [0; 1_500_000]).expect("a file");
        copy(&from, &out).expect("a copy");
        let text = describe(&out, &needs(&["libtorch_cuda.so"]), &pytorch::KNOWN[0]).expect("a file");
        assert!(text.contains("mp-gpu (1.5 MB), for x86-64 Linux with PyTorch 2.11.0, glibc 2.34"), "{text}");
        assert!(text.ends_with("\n  ./mp-gpu doctor"), "{text}");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2);

        let failure = copy(&from, &folder.join("missing").join("mp-gpu")).unwrap_err();
        assert!(failure.to_string().ends_with("; --out names another file"), "{failure}");
        fs::remove_dir_all(&folder).expect("a folder of our own");
    }

    #[test]
    fn a_program_that_does_not_start_is_told_with_its_reason() {
        let site = std::env::temp_dir().join(format!("multipath-start-{}", std::process::id()));
        fs::create_dir_all(site.join("torch/lib")).expect("a folder");
        fs::write(site.join("torch/lib/libtorch_cuda.so"), "").expect("a file");
        let found = Site::open(&site).expect("a PyTorch with CUDA");
        assert_eq!(require_start(Path::new("true"), &found), Ok(()));
        let failure = require_start(Path::new("false"), &found).unwrap_err().to_string();
        assert!(failure.ends_with("that it was built with: it gave no reason"), "{failure}");
        fs::remove_dir_all(&site).expect("a folder of our own");
    }
}
