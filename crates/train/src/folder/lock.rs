//! One writer for a run folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mp_files::is_at;

use crate::Error;
use crate::machine::host;

/// The file that is locked. Where a killed process has left it, what it says counts for nothing: it is not locked.
const LOCK: &str = ".lock";

/// How long a holder may take to write its name after it has the lock, or to let go after it has removed the file.
const PATIENCE: Duration = Duration::from_millis(20);

/// The right to write a run folder, until it is dropped or the process ends, in whatever way: the system releases it.
///
/// It holds between the machines that share a file system as far as that has locks (NFS, Lustre mounted with `flock`).
/// On a file system without any, everybody gets one.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Open for as long as it is to be locked.
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`, which must be there.
    ///
    /// # Errors
    /// [`Error::Locked`] naming the process that has it; [`Error::Io`].
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        for _ in 0..50 {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(&path).map_err(Error::io("lock", &path))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if !has_no_locks(&error) => {
                    return Err(Error::io("lock", &path)(error));
                }
                // Its holder may have removed it while it was being opened here.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) | Err(_) => {
                    let named = name_holder(&mut file).map_err(Error::io("lock", &path));
                    // Without a name, on a full disk, the lock is let go of again.
                    let lock = Self { path, _file: file };
                    return named.map(|()| lock);
                }
            }
            std::thread::sleep(PATIENCE);
            let mut holder = String::new();
            file.rewind().and_then(|()| file.read_to_string(&mut holder)).map_err(Error::io("read", &path))?;
            if !holder.trim().is_empty() && is_at(&file, &path) {
                return Err(Error::Locked { path: folder.to_owned(), holder: holder.trim().to_owned() });
            }
        }
        Err(Error::Locked { path: folder.to_owned(), holder: "another process".to_owned() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is unlocked. If this fails, the file names nobody that it is locked by.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes who has the lock, in place of who had it before.
fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {} on {}", std::process::id(), host())
}

/// Whether a file system has answered that it knows no locks.
fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_the_lock_and_the_next_may_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let expected = format!("process {} on {}", std::process::id(), host());
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&expected), "{message}");
        drop(first);
        assert!(!folder.path().join(LOCK).exists());
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_killed_process_wrote_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "process 4194304 on a machine with a very long name that is gone\n")
            .unwrap();
        let _lock = Lock::take(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(LOCK)).unwrap();
        assert_eq!(text, format!("process {} on {}\n", std::process::id(), host()));
    }

    #[test]
    fn of_many_who_ask_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let taken: Vec<Result<Lock, Error>> = std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                Lock::take(folder.path())
            };
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|lock| lock.is_ok()).count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let message = Lock::take(&folder.path().join("none")).unwrap_err().to_string();
        assert!(message.starts_with("cannot lock "), "{message}");
    }
}
