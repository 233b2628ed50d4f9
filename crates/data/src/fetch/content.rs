//! Whether files hold what the manifest says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::cannot;
use crate::decode::Codec;
use crate::manifest::{Content, Manifest};

/// Folders that images may lie below those of their classes: Tiny ImageNet has `train/n01443537/images/`.
const DEPTH: usize = 3;

/// Checks the data set in the folder, or in its subfolder that holds the first file; the error is what was found instead.
pub(super) fn check(folder: &Path, manifest: &Manifest) -> Result<(), String> {
    let inner = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let holds = |folder: &PathBuf| match (&manifest.tree, manifest.files.first()) {
        (Some(tree), _) => folder.join(&tree.train).is_dir(),
        (None, Some(file)) => locate(folder, &file.name).is_some(),
        (None, None) => true,
    };
    let folder = std::iter::once(folder.to_owned()).chain(inner).find(holds).unwrap_or_else(|| folder.to_owned());
    if let Some(tree) = &manifest.tree {
        check_images(&folder.join(&tree.train), manifest.train)?;
        return check_images(&folder.join(&tree.test), manifest.test);
    }
    manifest.files.iter().try_for_each(|file| check_one(&folder, file))
}

/// Counts the images below a folder.
fn check_images(folder: &Path, expected: usize) -> Result<(), String> {
    match count_images(folder, DEPTH).map_err(cannot("read", folder))? {
        found if found == expected => Ok(()),
        found => Err(format!("{} with {found} images instead of {expected}", folder.display())),
    }
}

/// The images below a folder; links to other folders are not followed.
fn count_images(folder: &Path, depth: usize) -> io::Result<usize> {
    let mut count = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += if depth == 0 { 0 } else { count_images(&entry.path(), depth - 1)? };
        } else {
            count += usize::from(Codec::is_named(&entry.file_name()));
        }
    }
    Ok(count)
}

/// The path of a file, plain or compressed.
pub(super) fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn check_one(folder: &Path, wanted: &Content) -> Result<(), String> {
    let path = locate(folder, &wanted.name).ok_or_else(|| format!("no {} in {}", wanted.name, folder.display()))?;
    let md5 = wanted.sha256.is_none() && wanted.md5.is_some();
    let digest = if md5 { content_digest::<Md5> } else { content_digest::<Sha256> };
    let (bytes, sum) = digest(&path, wanted.bytes + 1).map_err(cannot("read", &path))?;
    if bytes != wanted.bytes {
        let least = if bytes > wanted.bytes { "at least " } else { "" };
        return Err(format!("{} with {least}{bytes} bytes of content instead of {}", path.display(), wanted.bytes));
    }
    let (kind, expected) = if md5 { ("md5", &wanted.md5) } else { ("sha256", &wanted.sha256) };
    match expected {
        Some(expected) if *expected != sum => {
            Err(format!("{} with {kind} {sum} instead of {expected}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Size and sum of the first `most` bytes of a file's content, unpacked if it is compressed.
fn content_digest<D: Digest>(path: &Path, most: u64) -> io::Result<(u64, String)> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        digest::<D>(MultiGzDecoder::new(file).take(most))
    } else {
        digest::<D>(file.take(most))
    }
}

/// Size and SHA-256 of everything that can be read, the latter in lower-case hexadecimal.
pub(super) fn sha256(bytes: impl Read) -> io::Result<(u64, String)> {
    digest::<Sha256>(bytes)
}

fn digest<D: Digest>(mut bytes: impl Read) -> io::Result<(u64, String)> {
    let mut hasher = D::new();
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
