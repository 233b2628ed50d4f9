//! Files that a user names for what a command found: none of them replaces what is not its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mp_files::{Draft, is_same};
use tempfile::{TempDir, TempPath};

use super::RunFolder;
use crate::Error;
use crate::atomic::Existing;

/// A place to write to, looked at before any work is done for it.
///
/// - A new file appears when it is whole. An existing one is replaced only by force, and then whole too.
/// - A link stands for what it points to.
/// - What is no file, such as a device or a pipe, is written through and stays what it is.
/// - A run folder and the inputs of the command are never written to.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    StandardOutput,
    /// A device or a pipe.
    Through,
    /// Where the file really lies.
    File(PathBuf, Existing),
}

impl OutputFile {
    /// Looks at `path`; `force` allows to replace a file that is there, unless it is one of the `inputs` or lies in one.
    ///
    /// # Errors
    /// [`Error::Output`] where nothing may be written; [`Error::Io`] where the folder is missing.
    pub fn new(path: &Path, force: bool, inputs: &[&Path]) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::Output { path: path.to_owned(), message });
        let found = |place| Ok(Self { path: path.to_owned(), place });
        if ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name)) {
            return found(Place::StandardOutput);
        }
        let exists = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return refuse("a folder, expected the name of a file to write".to_owned()),
            // Open files have a name there, whatever they are.
            Ok(there) if !there.is_file() || path.starts_with("/dev") || path.starts_with("/proc") => {
                return found(Place::Through);
            }
            Ok(_) => true,
            Err(_) if path.symlink_metadata().is_ok() => {
                return refuse("a link to nothing: remove it, or name the file itself".to_owned());
            }
            Err(_) => false,
        };
        let place = real_place(path, exists).map_err(Error::io("write", path))?;
        if let Some(run) = place.ancestors().skip(1).find(|folder| RunFolder::is_run(folder)) {
            let run = run.display();
            return refuse(format!(
                "in the run folder {run}, which only `mp-train train` writes: choose another place"
            ));
        }
        if let Some(input) = inputs.iter().find(|input| exists && is_part_of(&place, input)) {
            let what = if input.is_dir() {
                format!("a part of the input {}", input.display())
            } else {
                "the input itself".to_owned()
            };
            return refuse(format!("{what}: choose another name"));
        }
        if exists && !force {
            return refuse("there already: choose another name, or replace it with --force".to_owned());
        }
        found(Place::File(place, if exists { Existing::Replace } else { Existing::Keep }))
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is standard output, where nothing else may be written then.
    pub fn is_standard_output(&self) -> bool {
        matches!(self.place, Place::StandardOutput)
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// [`Error::Io`]; a file of that name is then as it was.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write_from(&mut &*bytes)
    }

    /// Writes all that `bytes` gives.
    ///
    /// # Errors
    /// [`Error::Io`]; a file of that name is then as it was.
    pub fn write_from(&self, bytes: &mut dyn io::Read) -> Result<(), Error> {
        match &self.place {
            Place::File(place, existing) => into_file(place, bytes, *existing),
            _ => self.through(bytes),
        }
        .map_err(Error::io("write", &self.path))
    }

    /// Has the file written by `make`, which is given a name that is free, and puts it in its place.
    ///
    /// # Errors
    /// Those of `make`; [`Error::Io`]. A file of that name is then as it was.
    pub fn write_by<T, E: From<Error>>(&self, make: impl FnOnce(&Path) -> Result<T, E>) -> Result<T, E> {
        let failed = || Error::io("write", &self.path);
        let (folder, name) = match &self.place {
            Place::File(place, _) => (place.parent().unwrap_or(Path::new("/")).to_owned(), place.file_name()),
            _ => (std::env::temp_dir(), self.path.file_name()),
        };
        let (beside, _lock) = beside(&folder).map_err(failed())?;
        let file = beside.path().join(name.unwrap_or_default());
        let made = make(&file)?;
        match &self.place {
            Place::File(place, Existing::Replace) => fs::rename(&file, place),
            Place::File(place, Existing::Keep) => {
                TempPath::try_from_path(&file).and_then(|file| Ok(file.persist_noclobber(place)?))
            }
            _ => fs::File::open(&file).and_then(|mut file| self.through(&mut file)),
        }
        .map_err(failed())?;
        Ok(made)
    }

    /// Writes into what is there, and leaves it what it is.
    fn through(&self, bytes: &mut dyn io::Read) -> io::Result<()> {
        match self.place {
            Place::StandardOutput => {
                let mut out = io::stdout().lock();
                io::copy(bytes, &mut out)?;
                out.flush()
            }
            _ => {
                let mut out = OpenOptions::new().write(true).open(&self.path)?;
                io::copy(bytes, &mut out)?;
                out.flush()
            }
        }
    }
}

/// How the names of folders begin in which files are made that then take their place.
const REPLACING: &str = ".replacing-";
/// A file in such a folder that is locked while it is in use.
const LOCK: &str = ".lock";

/// A new folder in `folder`, and what locks it. Those that killed processes left there, which nobody locks, are removed.
fn beside(folder: &Path) -> io::Result<(TempDir, fs::File)> {
    for entry in fs::read_dir(folder)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(REPLACING) {
            continue;
        }
        // One without the file is just being made.
        let lock = OpenOptions::new().write(true).open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let made = tempfile::Builder::new().prefix(REPLACING).tempdir_in(folder)?;
    // Locked before it has its name: what has the name and no lock is left over.
    let lock = fs::File::create(made.path().join(".locking"))?;
    let _unsupported = lock.lock();
    fs::rename(made.path().join(".locking"), made.path().join(LOCK))?;
    Ok((made, lock))
}

fn into_file(place: &Path, bytes: &mut dyn io::Read, existing: Existing) -> io::Result<()> {
    let mut draft = Draft::beside(place)?;
    io::copy(bytes, &mut draft)?;
    draft.publish(existing)
}

/// The path without links; of a file that is not there yet, only its folder has to be.
fn real_place(path: &Path, exists: bool) -> io::Result<PathBuf> {
    if exists {
        return path.canonicalize();
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::IsADirectory, "no file name"))?;
    Ok(folder.canonicalize()?.join(name))
}

/// Whether an existing file is the input, by whatever name, or lies in it.
fn is_part_of(file: &Path, input: &Path) -> bool {
    let Ok(input) = input.canonicalize() else { return false };
    if input.is_dir() { file.starts_with(&input) } else { file == input || is_same(file, &input) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Recipe;

    fn refusal(path: &Path, force: bool, inputs: &[&Path]) -> String {
        OutputFile::new(path, force, inputs).unwrap_err().to_string()
    }

    #[test]
    fn an_existing_file_is_replaced_by_force_only_and_links_stand_for_their_target() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("b"));
        OutputFile::new(&file, false, &[]).unwrap().write(b"one").unwrap();
        symlink("a", &link).unwrap();
        for path in [&file, &link] {
            assert!(
                refusal(path, false, &[]).ends_with("there already: choose another name, or replace it with --force")
            );
        }
        OutputFile::new(&link, true, &[]).unwrap().write(b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::read_link(&link).unwrap()), (b"two".to_vec(), PathBuf::from("a")));
        fs::remove_file(&file).unwrap();
        assert!(refusal(&link, true, &[]).contains("a link to nothing"));
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let output = OutputFile::new(&path, true, &[]).unwrap();
        fs::write(&path, "mine").unwrap();
        output.write(b"yours").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn inputs_are_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (input, twin) = (folder.path().join("in/a"), folder.path().join("twin"));
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(&input, "in").unwrap();
        fs::hard_link(&input, &twin).unwrap();
        let inputs = [input.as_path()];
        assert!(refusal(&input, true, &inputs).ends_with("the input itself: choose another name"));
        assert!(refusal(&twin, true, &inputs).ends_with("the input itself: choose another name"));
        let inside = folder.path().join("in");
        assert!(refusal(&input, true, &[&inside]).contains("a part of the input"));
        // A new file beside others is nobody's.
        OutputFile::new(&inside.join("sheet"), false, &[&inside]).unwrap();
    }

    #[test]
    fn a_run_folder_is_never_written_to() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&root.path().join("run"), &Recipe::default()).unwrap();
        symlink(run.checkpoints(), root.path().join("away")).unwrap();
        for path in ["run/new.csv", "run/recipe.toml", "run/checkpoints/last.safetensors", "away/best.safetensors"] {
            let message = refusal(&root.path().join(path), true, &[]);
            assert!(message.contains("in the run folder") && message.contains("choose another place"), "{message}");
        }
        assert!(refusal(run.path(), true, &[]).contains("a folder, expected the name of a file"));
    }

    #[test]
    fn what_is_no_file_is_written_through() {
        let full = OutputFile::new(Path::new("/dev/full"), false, &[]).unwrap();
        for error in [
            full.write(b"x").unwrap_err(),
            full.write_by(|path| fs::write(path, "x").map_err(Error::io("write", path))).unwrap_err(),
        ] {
            let Error::Io { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
        OutputFile::new(Path::new("/dev/null"), false, &[]).unwrap().write(b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_file_made_by_somebody_else_replaces_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let output = OutputFile::new(&path, true, &[]).unwrap();
        let refused: Result<(), Error> = output.write_by(|path| {
            fs::write(path, "half").unwrap();
            Err(Error::Interrupted)
        });
        assert!(refused.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.write_by(|path| fs::write(path, "new").map_err(Error::io("write", path))).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_appears_while_another_is_made_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let output = OutputFile::new(&path, false, &[]).unwrap();
        let made: Result<(), Error> = output.write_by(|made| {
            fs::write(&path, "mine").unwrap();
            fs::write(made, "yours").map_err(Error::io("write", made))
        });
        assert!(made.unwrap_err().to_string().starts_with("cannot write"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (used, _lock) = beside(folder.path()).unwrap();
        let (left, lock) = beside(folder.path()).unwrap();
        // The lock of a process goes with it, its folder does not.
        let left = left.keep();
        drop(lock);
        fs::write(left.join("half"), "half").unwrap();
        let output = OutputFile::new(&folder.path().join("a"), false, &[]).unwrap();
        output.write_by(|path| fs::write(path, "whole").map_err(Error::io("write", path))).unwrap();
        assert!(!left.exists() && used.path().exists());
    }
}
