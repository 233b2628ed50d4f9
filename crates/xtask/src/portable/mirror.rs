//! A copy of a clone that can be built for another libtorch, kept from one build to the next.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pytorch::Pytorch;
use crate::failure::Failure;

/// Makes `folder` hold the files of the clone at `root` that git tracks or does not ignore, adapted to a PyTorch, and nothing
/// else. A file that is the same already is left alone, so that Cargo does not build it again.
pub(super) fn refresh(root: &Path, folder: &Path, pytorch: &Pytorch) -> Result<(), Failure> {
    let wanted = listed(root)?;
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    // First, so that a file can take the place of a folder.
    remove_others(folder, Path::new(""), &wanted)?;
    for file in &wanted {
        let from = root.join(file);
        let bytes =
            fs::read(&from).map_err(|error| Failure::setup(format!("cannot read {}: {error}", from.display())))?;
        let to = folder.join(file);
        let bytes = pytorch.adapt(file, &bytes)?;
        if fs::read(&to).is_ok_and(|found| found == *bytes) {
            continue;
        }
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&to, bytes)).map_err(|error| unwritable(&to, &error))?;
    }
    Ok(())
}

/// Refuses a folder for what is built that would itself be copied.
pub(super) fn require_outside(root: &Path, work: &Path) -> Result<(), Failure> {
    let Ok(inner) = work.strip_prefix(root) else { return Ok(()) };
    let ignored =
        Command::new("git").args(["check-ignore", "--quiet"]).arg(inner.join("src")).current_dir(root).status();
    match ignored {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::setup(format!(
            "--work {} lies in the clone and git does not ignore it, expected a folder outside",
            work.display()
        ))),
    }
}

/// The files of a clone, relative to its root.
fn listed(root: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output =
        Command::new("git").args(arguments).current_dir(root).output().map_err(|error| {
            Failure::setup(format!("git, which lists the files of the clone, did not run: {error}"))
        })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().next().unwrap_or("git gave no reason");
        return Err(Failure::setup(format!("{} is not a clone whose files git lists: {why}", root.display())));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    // One that was deleted without telling git is listed all the same; a clone within the clone is a folder.
    let files = names.split('\0').filter(|name| root.join(name).is_file()).map(PathBuf::from);
    Ok(files.collect())
}

/// Removes what is in `folder` at `inner` and is neither wanted nor a folder of what is.
fn remove_others(folder: &Path, inner: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let here = folder.join(inner);
    let entries = fs::read_dir(&here).map_err(|error| unwritable(&here, &error))?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), inner.join(entry.file_name()));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let holds_wanted = wanted.range(name.clone()..).next().is_some_and(|next| next.starts_with(&name));
        let removed = match is_folder {
            true if holds_wanted && !wanted.contains(&name) => {
                remove_others(folder, &name, wanted)?;
                continue;
            }
            true => fs::remove_dir_all(&path),
            false if wanted.contains(&name) => continue,
            false => fs::remove_file(&path),
        };
        removed.map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::setup(format!("cannot write {}: {error}; --work names another folder", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::pytorch::KNOWN;

    /// A clone with one commit's worth of files, and a place for its mirror; removed when dropped.
    struct Clone(PathBuf);

    impl Clone {
        fn new(name: &str) -> Self {
            let clone = Self(std::env::temp_dir().join(format!("multipath-{name}-{}", std::process::id())));
            fs::create_dir_all(clone.root()).expect("a folder");
            clone.git(&["init", "--quiet"]);
            clone.write(".gitignore", "/target/\n");
            clone.write("src/a.rs", "a");
            clone.write("src/b.rs", "b");
            clone.git(&["add", "."]);
            clone
        }

        fn root(&self) -> PathBuf {
            self.0.join("root")
        }

        fn git(&self, arguments: &[&str]) {
            assert!(Command::new("git").args(arguments).current_dir(self.root()).status().expect("git").success());
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.root().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect(name);
            fs::write(path, text).expect(name);
        }

        fn mirrored(&self) -> PathBuf {
            let folder = self.0.join("mirror");
            refresh(&self.root(), &folder, &KNOWN[0]).expect("a mirror");
            folder
        }
    }

    impl Drop for Clone {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_git_does_not_ignore_is_copied_and_the_same_file_is_left_alone() {
        let clone = Clone::new("mirror");
        clone.write("src/new.rs", "not yet added");
        clone.write("target/debug/a", "ignored");
        let mirror = clone.mirrored();
        assert_eq!(fs::read_to_string(mirror.join("src/new.rs")).expect("untracked"), "not yet added");
        assert!(!mirror.join("target").exists());

        let modified = |name: &str| fs::metadata(mirror.join(name)).and_then(|data| data.modified()).expect(name);
        let before = (modified("src/a.rs"), modified("src/b.rs"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        clone.write("src/a.rs", "a");
        clone.write("src/b.rs", "changed");
        clone.mirrored();
        assert_eq!(modified("src/a.rs"), before.0);
        assert!(modified("src/b.rs") > before.1);
    }

    #[test]
    fn what_the_clone_has_no_longer_goes() {
        let clone = Clone::new("gone");
        clone.write("old/inner/c.rs", "c");
        let mirror = clone.mirrored();
        assert!(mirror.join("old/inner/c.rs").is_file());

        fs::remove_dir_all(clone.root().join("old")).expect("a folder");
        fs::remove_file(clone.root().join("src/b.rs")).expect("a file that git still lists");
        clone.write("old", "a file now");
        clone.mirrored();
        assert_eq!(fs::read_to_string(mirror.join("old")).expect("a file"), "a file now");
        assert!(!mirror.join("src/b.rs").exists() && mirror.join("src/a.rs").is_file());
    }

    #[test]
    fn a_folder_in_the_clone_is_refused_unless_git_ignores_it() {
        let clone = Clone::new("inside");
        let root = clone.root();
        assert_eq!(require_outside(&root, &clone.0.join("work")), Ok(()));
        assert_eq!(require_outside(&root, &root.join("target/portable")), Ok(()));
        let failure = require_outside(&root, &root.join("work")).unwrap_err().to_string();
        assert!(
            failure.ends_with("lies in the clone and git does not ignore it, expected a folder outside"),
            "{failure}"
        );
    }

    #[test]
    fn a_folder_that_is_no_clone_is_refused() {
        let folder = std::env::temp_dir().join(format!("multipath-noclone-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let failure = refresh(&folder, &folder.join("mirror"), &KNOWN[0]).unwrap_err().to_string();
        assert!(failure.contains("is not a clone whose files git lists: fatal:"), "{failure}");
        fs::remove_dir_all(&folder).expect("a folder of our own");
    }
}
