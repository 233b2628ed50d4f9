//! Fetches libtorch into the user's cache: all of it, or nothing under its final name.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{self, State};
use crate::failure::Failure;
use crate::wheels::{Build, VERSION, Wheel};

/// Unpacks with Python, which has zip and sha256 at hand; pip needs it anyway.
const UNPACK: &str = include_str!("unpack.py");

/// Makes `folder` a complete libtorch, fetching it unless it is one already.
pub(crate) fn install(folder: &Path, build: &Build) -> Result<(), Failure> {
    if cache::inspect(folder, build) == State::Complete {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    let _lock = lock(&folder.with_added_extension("lock"))?;
    match cache::inspect(folder, build) {
        State::Complete => return Ok(()),
        State::Broken(why) => eprintln!("{} is broken ({why}): fetching it again", folder.display()),
        State::Absent => {}
    }
    require_pip(BY_HAND)?;
    remove_leftovers(parent, folder);
    require_space(parent, build.peak_bytes())?;

    let megabytes = build.download_bytes() / 1_000_000;
    eprintln!("fetching libtorch {VERSION} for {} ({megabytes} MB) into {}", build.platform, parent.display());
    let partial = Partial::new(folder)?;
    for wheel in build.wheels {
        unpack(&download(wheel, &partial)?, wheel, &partial)?;
    }
    for (name, text) in cache::text_files(build) {
        fs::write(partial.content().join(name), text).map_err(|error| unwritable(&partial.path, &error))?;
    }
    if let State::Broken(why) = cache::inspect(&partial.content(), build) {
        return Err(Failure::step(format!("libtorch as unpacked is not what was expected: {why}")));
    }
    partial.put_in_place(folder)
}

/// Held until dropped, or until the process ends in whatever way, so that two clones never fetch at once.
pub(crate) fn lock(path: &Path) -> Result<File, Failure> {
    let file = File::create(path).map_err(|error| unwritable(path, &error))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("another `cargo xtask` is fetching libtorch: waiting for it ({})", path.display());
        }
        Err(TryLockError::Error(error)) => return Err(unwritable(path, &error)),
    }
    file.lock().map_err(|error| unwritable(path, &error))?;
    Ok(file)
}

/// Checks that python3 has pip; `otherwise` says what to do without it.
pub(crate) fn require_pip(otherwise: &str) -> Result<(), Failure> {
    let python = Command::new("python3").args(["-m", "pip", "--version"]).output();
    match python {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(Failure::setup(format!(
            "python3 has no pip, which fetches libtorch: install it (Debian: python3-pip), or {otherwise}"
        ))),
        Err(_) => {
            Err(Failure::setup(format!("python3 was not found; its pip fetches libtorch: install it, or {otherwise}")))
        }
    }
}

const BY_HAND: &str =
    "set LIBTORCH to the folder of a libtorch 2.13.0, or LIBTORCH_USE_PYTORCH=1 if your python3 has PyTorch 2.13.0";

/// The folder in which a libtorch is put together, beside its final place; removed unless it got there.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let path = folder.with_added_extension(format!("partial-{}", std::process::id()));
        let partial = Self { path };
        for path in [partial.content(), partial.downloads()] {
            fs::create_dir_all(&path).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(partial)
    }

    fn content(&self) -> PathBuf {
        self.path.join("libtorch")
    }

    fn downloads(&self) -> PathBuf {
        self.path.join("downloads")
    }

    fn put_in_place(&self, folder: &Path) -> Result<(), Failure> {
        if folder.exists() {
            fs::rename(folder, self.path.join("broken")).map_err(|error| unwritable(folder, &error))?;
        }
        fs::rename(self.content(), folder).map_err(|error| unwritable(folder, &error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what a killed run left. Only called under the lock, so no live run owns any of it.
fn remove_leftovers(parent: &Path, folder: &Path) {
    let prefix = folder.with_added_extension("partial-");
    let prefix = prefix.file_name().and_then(OsStr::to_str).unwrap_or_default();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Checked beforehand because pip answers a full disk with a stack trace.
pub(crate) fn require_space(parent: &Path, needed: u64) -> Result<(), Failure> {
    let output = Command::new("df").arg("-Pk").arg(parent).output();
    let free = output.ok().and_then(|output| free_bytes(&String::from_utf8_lossy(&output.stdout)));
    match free {
        Some(free) if free < needed => Err(Failure::setup(format!(
            "{} has {} MB free and fetching libtorch takes {} MB: make room, or set XDG_CACHE_HOME to another folder",
            parent.display(),
            free / 1_000_000,
            needed / 1_000_000
        ))),
        _ => Ok(()),
    }
}

/// Reads the table that POSIX prescribes for `df -Pk`: file system, KiB in all, used, available, capacity, mounted on.
fn free_bytes(table: &str) -> Option<u64> {
    let fields: Vec<&str> = table.lines().nth(1)?.split_whitespace().collect();
    let kibibytes: u64 = fields.get(3)?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn download(wheel: &Wheel, partial: &Partial) -> Result<PathBuf, Failure> {
    let into = partial.downloads().join(wheel.package);
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    let mut pip = Command::new("python3");
    // Naming version, ABI and platform makes the Python that runs pip irrelevant to what it picks.
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"])
        .args(["--abi", "cp312", "--abi", "none"])
        .args(wheel.platform_tags.iter().flat_map(|tag| ["--platform", tag]))
        .arg("--dest")
        .args([&into])
        .arg(&requirement);
    // pip writes the wheel to the temporary folder first; /tmp may be a small file system in memory.
    pip.env("TMPDIR", partial.downloads()).stdin(Stdio::null()).stdout(io::stderr());
    let status = pip.status().map_err(|error| Failure::setup(format!("python3 did not run: {error}")))?;
    let wheels: Vec<PathBuf> = fs::read_dir(&into).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    match wheels.as_slice() {
        [wheel] if status.success() => Ok(wheel.clone()),
        _ => Err(Failure::step(format!(
            "pip could not download {requirement} from the Python package index (pypi.org, or as pip is configured; its messages are above): \
             try again when the network and the disk allow, or {BY_HAND}"
        ))),
    }
}

fn unpack(file: &Path, wheel: &Wheel, partial: &Partial) -> Result<(), Failure> {
    let output = Command::new("python3")
        .args(["-I", "-c", UNPACK])
        .arg(file)
        .args([&wheel.bytes.to_string(), wheel.sha256])
        .arg(partial.content())
        .args([wheel.folder, wheel.headers.unwrap_or_default()])
        .args(wheel.libraries.iter().map(|library| library.name))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::setup(format!("python3 did not run: {error}")))?;
    let _ = fs::remove_file(file);
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().last().unwrap_or("python3 gave no reason");
    Err(Failure::step(format!("{} could not be unpacked, nothing was kept: {why}", wheel.package)))
}

/// What to say where the cache cannot be written to.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::setup(format!("cannot write {}: {error}; set XDG_CACHE_HOME to a folder with 2 GB free", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_df() {
        let table = "Filesystem     1024-blocks  Used Available Capacity Mounted on\ntmpfs               819200 19200    800000       3% /small\n";
        assert_eq!(free_bytes(table), Some(819_200_000));
        assert_eq!(free_bytes("df: /small: No such file or directory\n"), None);
    }

    #[test]
    fn only_one_run_holds_the_lock() {
        let path = std::env::temp_dir().join(format!("multipath-lock-{}", std::process::id()));
        let held = lock(&path).expect("nobody else holds it");
        let second = File::create(&path).expect("the same file");
        assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(second.try_lock().is_ok());
        fs::remove_file(&path).expect("a file of our own");
    }

    #[test]
    fn an_unfinished_libtorch_vanishes_and_a_finished_one_replaces_a_broken_one() {
        let parent = std::env::temp_dir().join(format!("multipath-fetch-{}", std::process::id()));
        let folder = parent.join("libtorch-2.13.0-cpu");
        fs::create_dir_all(&folder).expect("a broken libtorch");

        let unfinished = Partial::new(&folder).expect("a folder beside it");
        assert!(unfinished.content().starts_with(&parent));
        drop(unfinished);
        assert_eq!(fs::read_dir(&parent).expect("the parent").count(), 1);

        let finished = Partial::new(&folder).expect("a folder beside it");
        fs::write(finished.content().join("build-version"), "2.13.0").expect("a file");
        finished.put_in_place(&folder).expect("a rename");
        drop(finished);
        assert!(folder.join("build-version").is_file());
        assert_eq!(fs::read_dir(&parent).expect("the parent").count(), 1);
        fs::remove_dir_all(&parent).expect("a folder of our own");
    }

    #[test]
    fn only_leftovers_of_this_libtorch_are_removed() {
        let parent = std::env::temp_dir().join(format!("multipath-left-{}", std::process::id()));
        for name in ["libtorch-2.13.0-cpu.partial-7", "libtorch-2.12.0-cpu", "other.partial-7"] {
            fs::create_dir_all(parent.join(name)).expect(name);
        }
        remove_leftovers(&parent, &parent.join("libtorch-2.13.0-cpu"));
        assert!(!parent.join("libtorch-2.13.0-cpu.partial-7").exists());
        assert!(parent.join("libtorch-2.12.0-cpu").exists() && parent.join("other.partial-7").exists());
        fs::remove_dir_all(&parent).expect("a folder of our own");
    }
}
