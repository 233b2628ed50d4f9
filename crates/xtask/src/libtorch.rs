//! Decides which libtorch the workspace is built with, and tells Cargo.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::failure::Failure;
use crate::fetch;
use crate::wheels::{Build, VERSION};

/// The libtorch in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Libtorch {
    /// `LIBTORCH_USE_PYTORCH` is set: `torch-sys` asks python3, and looks at nothing else.
    Python,
    /// `LIBTORCH` as the user set it.
    Own(PathBuf),
    /// Ours, in the user's cache.
    Cached(PathBuf),
    /// The one that a task works with whatever the environment says.
    Given(PathBuf),
}

impl fmt::Display for Libtorch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python => f.write_str("the PyTorch of python3 (LIBTORCH_USE_PYTORCH is set)"),
            Self::Own(folder) | Self::Cached(folder) | Self::Given(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// Finds libtorch, or fetches it and writes `.cargo/libtorch.toml`; a libtorch of the user's own is left to itself.
pub(crate) fn ensure(root: &Path) -> Result<Libtorch, Failure> {
    let variable = |name: &str| std::env::var_os(name);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let record = root.join(".cargo").join("libtorch.toml");
    let chosen = choose(
        variable("LIBTORCH_USE_PYTORCH").is_some(),
        variable("LIBTORCH"),
        recorded(&fs::read_to_string(&record).unwrap_or_default()),
        || cache::folder(os, variable("XDG_CACHE_HOME"), variable("HOME")),
    )?;
    match &chosen {
        Libtorch::Python | Libtorch::Given(_) => {}
        Libtorch::Own(folder) => check_own(folder, variable("LIBTORCH_LIB").map(PathBuf::from))?,
        Libtorch::Cached(folder) => {
            let build = Build::find(os, arch).filter(|_| !cfg!(target_env = "musl")).ok_or_else(|| {
                Failure::setup(format!(
                    "no libtorch {VERSION} is known for {arch} {os}: set LIBTORCH to the folder of one, \
                     or LIBTORCH_USE_PYTORCH=1 to use the PyTorch {VERSION} of your python3"
                ))
            })?;
            fetch::install(folder, build)?;
            write_record(&record, folder)?;
        }
    }
    Ok(chosen)
}

/// What the environment asks for. Cargo passes the `LIBTORCH` of `.cargo/libtorch.toml` to what it runs, us included:
/// a value that is the recorded one was not set by the user.
fn choose(
    use_pytorch: bool,
    libtorch: Option<OsString>,
    recorded: Option<String>,
    cached: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<Libtorch, Failure> {
    if use_pytorch {
        return Ok(Libtorch::Python);
    }
    match libtorch {
        Some(own) if own.is_empty() => {
            Err(Failure::setup("LIBTORCH is set but empty: unset it, or set it to a libtorch's folder"))
        }
        Some(own) if recorded.is_none_or(|recorded| own != *recorded) => Ok(Libtorch::Own(own.into())),
        _ => Ok(Libtorch::Cached(cached()?)),
    }
}

fn check_own(folder: &Path, lib: Option<PathBuf>) -> Result<(), Failure> {
    let lib = lib.unwrap_or_else(|| folder.to_path_buf()).join("lib");
    let name = format!("{}torch_cpu{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let (shared, archive) = (lib.join(&name), lib.join("libtorch_cpu.a"));
    if shared.is_file() || archive.is_file() {
        return Ok(());
    }
    Err(Failure::setup(format!(
        "LIBTORCH={} holds no libtorch: {} is missing; set LIBTORCH to a libtorch {VERSION}, or unset it to have one fetched",
        folder.display(),
        shared.display()
    )))
}

/// The folder that a `libtorch.toml` names. We wrote the file, so its form is known.
fn recorded(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("LIBTORCH = \""))?.strip_suffix('"')?;
    Some(value.replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn record_text(folder: &str) -> String {
    let value = folder.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "# Written by `cargo xtask`; a LIBTORCH or LIBTORCH_USE_PYTORCH in the environment wins over it.\n[env]\nLIBTORCH = \"{value}\"\n"
    )
}

fn write_record(path: &Path, folder: &Path) -> Result<(), Failure> {
    let Some(name) = folder.to_str() else {
        return Err(Failure::setup(format!(
            "the cache folder {} is not UTF-8, which Cargo's configuration cannot name: set XDG_CACHE_HOME",
            folder.display()
        )));
    };
    let text = record_text(name);
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let partial = path.with_extension("toml.partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(use_pytorch: bool, libtorch: Option<&str>, recorded: Option<&str>) -> Result<Libtorch, Failure> {
        choose(use_pytorch, libtorch.map(Into::into), recorded.map(Into::into), || Ok("/cache".into()))
    }

    #[test]
    fn the_users_choice_wins_over_ours() {
        assert_eq!(pick(false, None, None), Ok(Libtorch::Cached("/cache".into())));
        assert_eq!(pick(false, Some("/own"), None), Ok(Libtorch::Own("/own".into())));
        assert_eq!(pick(false, Some("/own"), Some("/cache")), Ok(Libtorch::Own("/own".into())));
        assert_eq!(pick(true, Some("/own"), Some("/cache")), Ok(Libtorch::Python));
    }

    #[test]
    fn a_libtorch_that_cargo_passed_on_from_the_record_is_ours() {
        assert_eq!(pick(false, Some("/cache"), Some("/cache")), Ok(Libtorch::Cached("/cache".into())));
        // The cache has moved since: the record's folder is followed no longer.
        assert_eq!(pick(false, Some("/old-cache"), Some("/old-cache")), Ok(Libtorch::Cached("/cache".into())));
    }

    #[test]
    fn an_empty_libtorch_is_refused() {
        assert_eq!(
            pick(false, Some(""), None),
            Err(Failure::setup("LIBTORCH is set but empty: unset it, or set it to a libtorch's folder"))
        );
    }

    #[test]
    fn an_own_libtorch_without_libraries_is_refused() {
        let failure = check_own(Path::new("/nowhere"), None).unwrap_err();
        assert!(failure.to_string().starts_with("LIBTORCH=/nowhere holds no libtorch: /nowhere/lib/"), "{failure}");
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn the_record_reads_back_what_was_written() {
        for folder in ["/home/a/.cache/multipath", r#"/odd "name" with \ in it"#] {
            assert_eq!(recorded(&record_text(folder)).as_deref(), Some(folder));
        }
        assert_eq!(recorded(""), None);
    }
}
