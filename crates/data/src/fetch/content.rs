//! Whether files hold what the manifest says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::cannot;
use crate::manifest::Content;

/// Checks every file in the folder, or in its subfolder that holds the first one; the error is what was found instead.
pub(super) fn check(folder: &Path, files: &[Content]) -> Result<(), String> {
    let inner = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let holds = |folder: &PathBuf| files.first().is_none_or(|file| locate(folder, &file.name).is_some());
    let folder = std::iter::once(folder.to_owned()).chain(inner).find(holds).unwrap_or_else(|| folder.to_owned());
    files.iter().try_for_each(|file| check_one(&folder, file))
}

/// The path of a file, plain or compressed.
pub(super) fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn check_one(folder: &Path, wanted: &Content) -> Result<(), String> {
    let path = locate(folder, &wanted.name).ok_or_else(|| format!("no {} in {}", wanted.name, folder.display()))?;
    let (bytes, sum) = digest(&path, wanted.bytes + 1).map_err(cannot("read", &path))?;
    if bytes != wanted.bytes {
        let least = if bytes > wanted.bytes { "at least " } else { "" };
        return Err(format!("{} with {least}{bytes} bytes of content instead of {}", path.display(), wanted.bytes));
    }
    match &wanted.sha256 {
        Some(expected) if *expected != sum => {
            Err(format!("{} with sha256 {sum} instead of {expected}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Size and SHA-256 of the first `most` bytes of a file's content, unpacked if it is compressed.
fn digest(path: &Path, most: u64) -> io::Result<(u64, String)> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        sha256(MultiGzDecoder::new(file).take(most))
    } else {
        sha256(file.take(most))
    }
}

/// Size and SHA-256 of everything that can be read, the latter in lower-case hexadecimal.
pub(super) fn sha256(mut bytes: impl Read) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match bytes.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                total += read as u64;
            }
        }
    }
    Ok((total, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
