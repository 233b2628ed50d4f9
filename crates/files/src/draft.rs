//! A file on its way to its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::leftovers::name_of;
use crate::{Existing, is_at};

/// A file that is being written beside its place: `.NAME.writing` for `NAME`. Dropped, it disappears;
/// [`published`](Draft::publish), it has its name.
///
/// The draft is locked while it is written, so that a second process that writes the same file waits for its turn, and
/// what is not locked is known to be left over.
#[derive(Debug)]
pub struct Draft {
    /// Removed when it is dropped. Before the file: it must not be unlocked while it has a name.
    temporary: TempPath,
    file: File,
    path: PathBuf,
}

impl Draft {
    /// An empty draft of `path`. Another draft of the same file is waited for; one that a killed process left is removed.
    ///
    /// # Errors
    /// The system's, for instance where the folder is missing or may not be written.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::IsADirectory, "no file name"))?;
        let temporary = folder_of(path).join(name_of(name));
        loop {
            let mut options = OpenOptions::new();
            // The permissions are those of any new file: all, less the umask.
            match options.write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    lock(&file)?;
                    // Until it was locked, somebody could take it for left over.
                    if is_at(&file, &temporary) {
                        let temporary = TempPath::try_from_path(&temporary)?;
                        return Ok(Self { temporary, file, path: path.to_owned() });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => take_away(&temporary)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Brings the file to the disk and gives it its name; fails, where a file has it already and is to be kept.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::AlreadyExists`]; what had the name before is then as it was.
    pub fn publish(self, existing: Existing) -> io::Result<()> {
        self.file.sync_all()?;
        match existing {
            Existing::Replace => self.temporary.persist(&self.path)?,
            Existing::Keep => self.temporary.persist_noclobber(&self.path)?,
        }
        sync_folder(&folder_of(&self.path))
    }

    /// The file itself, for what [`Write`] and [`Seek`] do not do.
    pub fn as_file_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Waits for whoever writes the draft in this place, and removes what is left over.
fn take_away(temporary: &Path) -> io::Result<()> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    match temporary.symlink_metadata() {
        // Nothing of ours, and opening a pipe could wait for ever.
        Ok(found) if !found.is_file() => return fs::remove_file(temporary).or_else(gone),
        Ok(_) => {}
        Err(error) => return gone(error),
    }
    match OpenOptions::new().write(true).open(temporary) {
        Ok(file) => {
            lock(&file)?;
            // Its writer may have given it its name, or somebody else begun anew in its place.
            if is_at(&file, temporary) { fs::remove_file(temporary).or_else(gone) } else { Ok(()) }
        }
        Err(error) => gone(error),
    }
}

/// Waits for the lock. Where the file system has none, there is nothing to wait for.
fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Ok(()),
        }
    }
}

/// A rename survives a power cut only once its folder is on the disk. Where folders cannot be opened or brought there, the
/// file system does so by itself or not at all.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    let Ok(folder) = File::open(folder) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
