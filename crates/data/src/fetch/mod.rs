//! Getting a known data set onto this machine.

mod archive;
mod content;
mod debian;
mod http;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ureq::Agent;

use self::archive::Wanted;
use crate::manifest::{Download, Manifest, Source};
use crate::open::places;
use crate::{Error, Format};

/// How far a fetch has come; reported often, so that a bar can be drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The source in use: an address, a package or a folder.
    pub source: &'a str,
    /// The file that is on its way, or `unpacking`.
    pub file: &'a str,
    /// Bytes of it that are here.
    pub done: u64,
    /// Bytes of it in all, where that is known.
    pub total: Option<u64>,
}

/// Makes a known data set available and returns the folder where it lies.
///
/// What is there already, in `cache_dir/NAME` or from a system package, is checked and used. Otherwise the manifest's sources
/// are tried in turn. Downloads go to `cache_dir/NAME.partial`, where a later call resumes them; the folder `NAME` appears only
/// once all files have the size and the SHA-256 that the manifest asks for. Two processes may fetch at the same time: one waits.
///
/// Downloads follow the proxy variables that `ureq` knows (`HTTPS_PROXY`, `NO_PROXY` and so on).
///
/// # Errors
/// [`Error::UnknownName`]; [`Error::BuiltIn`] for `digits`; [`Error::ByHand`] for what no program may download; [`Error::Unrecognised`] if `cache_dir/NAME` holds something else;
/// [`Error::Io`] if `cache_dir` cannot be written; [`Error::Fetch`], with every source and the reason why it failed.
pub fn fetch(name: &str, cache_dir: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, Error> {
    fetch_manifest(Manifest::find(name)?, cache_dir, &http::agent(), progress)
}

fn fetch_manifest(
    manifest: &Manifest,
    cache_dir: &Path,
    agent: &Agent,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, Error> {
    if manifest.format == Format::Digits {
        return Err(Error::BuiltIn { name: manifest.name.clone() });
    }
    let target = cache_dir.join(&manifest.name);
    let work = cache_dir.join(format!("{}.partial", manifest.name));
    if !is_occupied(&target) {
        let system = places(manifest, cache_dir).into_iter().find(|place| content::check(place, manifest).is_ok());
        if let Some(folder) = system {
            return Ok(folder);
        }
        if manifest.sources.is_empty() {
            let how = manifest.by_hand.as_deref().unwrap_or_default();
            let how = how.replace("{folder}", &target.display().to_string());
            return Err(Error::ByHand { name: manifest.name.clone(), how });
        }
    }

    fs::create_dir_all(cache_dir).map_err(Error::io("create", cache_dir))?;
    let _lock = lock(&cache_dir.join(format!(".{}.lock", manifest.name)))?;
    // Looked at only now: another process may have finished it in the meantime.
    if is_occupied(&target) {
        return match content::check(&target, manifest) {
            Ok(()) => Ok(target),
            Err(found) => Err(Error::Unrecognised {
                folder: target,
                expected: format!("the published files of `{}` (move this folder away to fetch them)", manifest.name),
                found,
            }),
        };
    }

    let (downloads, ready) = (work.join("downloads"), work.join("ready"));
    fs::create_dir_all(&downloads).map_err(Error::io("create", &downloads))?;
    let mut attempts = Vec::new();
    for source in &manifest.sources {
        let name = source.to_string();
        let mut attempt = Attempt { source: &name, manifest, downloads: &downloads, agent, progress };
        empty(&ready)?;
        match attempt.run(source, &ready).and_then(|()| content::check(&ready, manifest)) {
            Ok(()) => {
                fs::rename(&ready, &target).map_err(Error::io("rename the finished files to", &target))?;
                // The data set is complete: what is left of the work folder does no harm.
                let _ = fs::remove_dir_all(&work);
                return Ok(target);
            }
            Err(reason) => attempts.push(format!("{source}: {reason}")),
        }
    }
    // What has been downloaded stays for the next attempt; empty folders would only puzzle.
    let _ = fs::remove_dir_all(&ready);
    let _ = fs::remove_dir(&downloads).and_then(|()| fs::remove_dir(&work));
    Err(Error::Fetch {
        name: manifest.name.clone(),
        attempts: attempts.join("; "),
        wanted: match &manifest.tree {
            Some(tree) => format!("its folders {} and {}", tree.train, tree.test),
            None => manifest.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", "),
        },
        folder: target,
    })
}

/// One source being tried. Reasons for failure are plain text: they end up side by side in one message.
struct Attempt<'a> {
    source: &'a str,
    manifest: &'a Manifest,
    downloads: &'a Path,
    agent: &'a Agent,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Attempt<'_> {
    /// Fills `ready` with the data set's files.
    fn run(&mut self, source: &Source, ready: &Path) -> Result<(), String> {
        match source {
            // It was looked at before anything else.
            Source::Folder { .. } => Err("not there, or not the published files".to_owned()),
            Source::Debian { package, folder } => {
                (self.progress)(Progress { source: self.source, file: package, done: 0, total: None });
                debian::unpack(package, folder, &self.manifest.files, self.downloads, ready)
            }
            Source::Http { url, downloads } => {
                for download in downloads {
                    self.download(&format!("{url}/{}", download.name), download)?;
                }
                downloads.iter().try_for_each(|download| {
                    let path = self.downloads.join(&download.name);
                    fs::rename(&path, ready.join(&download.name)).map_err(cannot("rename", &path))
                })
            }
            Source::Archive { url, bytes, sha256, folder, limits } => {
                let name = url.rsplit('/').next().unwrap_or(url).to_owned();
                let path = self.downloads.join(&name);
                self.download(url, &Download { name, bytes: *bytes, sha256: sha256.clone() })?;
                let wanted = match &self.manifest.tree {
                    Some(_) => Wanted::Everything,
                    None => Wanted::Files(&self.manifest.files),
                };
                archive::unpack(&path, folder, wanted, *limits, ready, &mut |done| {
                    (self.progress)(Progress { source: self.source, file: "unpacking", done, total: None });
                })
            }
        }
    }

    fn download(&mut self, url: &str, wanted: &Download) -> Result<(), String> {
        let Self { source, progress, .. } = self;
        http::download(self.agent, url, wanted, &self.downloads.join(&wanted.name), &mut |done| {
            progress(Progress { source, file: &wanted.name, done, total: Some(wanted.bytes) });
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder { path } => write!(f, "folder {}", path.display()),
            Self::Debian { package, .. } => write!(f, "Debian package {package}"),
            Self::Http { url, .. } | Self::Archive { url, .. } => f.write_str(url),
        }
    }
}

/// Whether something is at this path; an empty folder is nothing.
fn is_occupied(path: &Path) -> bool {
    match path.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

/// Holds the lock of a data set until it is dropped.
fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    match file.lock() {
        // A file system without locks is no reason to refuse: checksums still guard the result.
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => Err(Error::io("lock", path)(error)),
        _ => Ok(file),
    }
}

/// Makes an empty folder, whatever was there before.
fn empty(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::io("remove", folder))?;
    }
    fs::create_dir(folder).map_err(Error::io("create", folder))
}

/// For `map_err`: `cannot ACTION PATH: why`.
fn cannot(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("cannot {action} {}: {error}", path.display())
}

#[cfg(test)]
mod tests;
