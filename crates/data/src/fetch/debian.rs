//! A Debian package's files, without installing it and without being root.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{cannot, content};
use crate::manifest::Content;

/// Downloads the package with the system's `apt-get`, which checks its signature, and takes the files out of `folder`.
pub(super) fn unpack(
    package: &str,
    folder: &Path,
    files: &[Content],
    downloads: &Path,
    ready: &Path,
) -> Result<(), String> {
    let work = tempfile::tempdir_in(downloads).map_err(cannot("create a folder in", downloads))?;
    let options = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"];
    run(Command::new("apt-get").args(options).args(["download", package]).current_dir(&work))?;
    let entries = work.path().read_dir().map_err(cannot("read", work.path()))?;
    let mut packages = entries.flatten().map(|entry| entry.path());
    let Some(deb) = packages.find(|path| path.extension().is_some_and(|extension| extension == "deb")) else {
        return Err("`apt-get download` left no package behind".to_owned());
    };
    let unpacked = work.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked))?;

    let folder = unpacked.join(folder);
    for file in files {
        let Some(path) = content::locate(&folder, &file.name) else {
            return Err(format!("the package holds no {}", file.name));
        };
        let name = path.file_name().unwrap_or_default();
        fs::rename(&path, ready.join(name)).map_err(cannot("rename", &path))?;
    }
    Ok(())
}

/// Runs a program to its end; the error is the last line of what it had to say.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("`{program}` is not installed"),
        _ => format!("cannot start `{program}`: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    Err(format!("`{program}` failed ({}): {last}", output.status))
}
