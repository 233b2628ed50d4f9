//! The folder of the user's cache that holds libtorch, and whether what lies there can be used.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::wheels::{Build, VERSION};

/// What the folder of a libtorch looks like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Complete,
    /// With what is wrong about it.
    Broken(String),
}

/// Where libtorch goes, given the environment's `XDG_CACHE_HOME` and `HOME`.
pub(crate) fn folder(os: &str, xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, Failure> {
    Ok(ours(os, xdg_cache_home, home)?.join(format!("libtorch-{VERSION}-cpu")))
}

/// The folder of everything that we keep in the user's cache.
pub(crate) fn ours(os: &str, xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, Failure> {
    let home = home.map(PathBuf::from).filter(|path| path.is_absolute());
    // The XDG specification says to ignore a relative path.
    let xdg = xdg_cache_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = if os == "macos" { "Library/Caches" } else { ".cache" };
    let caches = xdg.or_else(|| home.map(|home| home.join(in_home))).ok_or_else(|| {
        Failure::setup(
            "no place for libtorch: set HOME or XDG_CACHE_HOME to an absolute path, or LIBTORCH to a libtorch",
        )
    })?;
    Ok(caches.join("multipath"))
}

/// Judges a folder by the sizes of its libraries and by the few files that a build reads first.
pub(crate) fn inspect(folder: &Path, build: &Build) -> State {
    if !folder.exists() {
        return State::Absent;
    }
    defect(folder, build).map_or(State::Complete, State::Broken)
}

fn defect(folder: &Path, build: &Build) -> Option<String> {
    for library in build.libraries() {
        let name = format!("lib/{}", library.name);
        match fs::metadata(folder.join(&name)) {
            Ok(found) if found.len() == library.bytes => {}
            Ok(found) => return Some(format!("{name} has {} bytes, expected {}", found.len(), library.bytes)),
            Err(error) => return Some(format!("{name}: {error}")),
        }
    }
    for (name, text) in text_files(build) {
        if fs::read_to_string(folder.join(name)).ok().as_deref().map(str::trim_end) != Some(text.trim_end()) {
            return Some(format!("{name} does not read `{}`", text.trim_end()));
        }
    }
    let header = "include/torch/csrc/api/include/torch/torch.h";
    (!folder.join(header).is_file()).then(|| format!("{header} is missing"))
}

/// The files that are in no wheel: (path, contents).
pub(crate) fn text_files(build: &Build) -> Vec<(&'static str, String)> {
    let mut files = vec![("build-version", format!("{VERSION}\n"))];
    files.extend(build.linker_script.map(|script| ("lib/libtorch.so", script.to_owned())));
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::{Library, Wheel};

    static SMALL: Build = Build {
        platform: "test",
        linker_script: Some("INPUT(libtorch_cpu.so)\n"),
        wheels: &[Wheel {
            package: "torch",
            version: VERSION,
            platform_tags: &[],
            bytes: 0,
            sha256: "",
            folder: "torch/lib",
            libraries: &[Library { name: "libtorch_cpu.so", bytes: 4 }],
            headers: Some("torch/include"),
        }],
    };

    /// A folder that `SMALL` calls complete, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn complete(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("multipath-{name}-{}", std::process::id()));
            let api = path.join("include/torch/csrc/api/include/torch");
            fs::create_dir_all(&api).expect("a folder for headers");
            fs::create_dir_all(path.join("lib")).expect("a folder for libraries");
            let folder = Self(path);
            folder.write("include/torch/csrc/api/include/torch/torch.h", "");
            folder.write("lib/libtorch_cpu.so", "\u{7f}ELF");
            for (name, text) in text_files(&SMALL) {
                folder.write(name, &text);
            }
            folder
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).expect(name);
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn broken(why: &str) -> State {
        State::Broken(why.to_owned())
    }

    #[test]
    fn the_cache_follows_xdg_then_the_home_folder() {
        let at =
            |os: &str, xdg: Option<&str>, home: Option<&str>| folder(os, xdg.map(Into::into), home.map(Into::into));
        let name = format!("multipath/libtorch-{VERSION}-cpu");
        assert_eq!(at("linux", Some("/x"), Some("/home/a")), Ok(Path::new("/x").join(&name)));
        assert_eq!(at("linux", None, Some("/home/a")), Ok(Path::new("/home/a/.cache").join(&name)));
        assert_eq!(at("linux", Some("relative"), Some("/home/a")), Ok(Path::new("/home/a/.cache").join(&name)));
        assert_eq!(at("macos", None, Some("/Users/a")), Ok(Path::new("/Users/a/Library/Caches").join(&name)));
        assert_eq!(at("linux", Some(""), None).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_folder_is_absent_or_complete() {
        let folder = Folder::complete("complete");
        assert_eq!(inspect(&folder.0, &SMALL), State::Complete);
        assert_eq!(inspect(&folder.0.join("elsewhere"), &SMALL), State::Absent);
    }

    #[test]
    fn a_library_cut_short_is_seen() {
        let folder = Folder::complete("short");
        folder.write("lib/libtorch_cpu.so", "ELF");
        assert_eq!(inspect(&folder.0, &SMALL), broken("lib/libtorch_cpu.so has 3 bytes, expected 4"));
    }

    #[test]
    fn another_version_or_linker_script_is_seen() {
        let folder = Folder::complete("version");
        folder.write("lib/libtorch.so", "INPUT(libtorch_cuda.so)\n");
        assert_eq!(inspect(&folder.0, &SMALL), broken("lib/libtorch.so does not read `INPUT(libtorch_cpu.so)`"));
        folder.write("build-version", "2.12.0\n");
        assert_eq!(inspect(&folder.0, &SMALL), broken(&format!("build-version does not read `{VERSION}`")));
    }

    #[test]
    fn missing_headers_are_seen() {
        let folder = Folder::complete("headers");
        fs::remove_dir_all(folder.0.join("include")).expect("headers");
        let State::Broken(why) = inspect(&folder.0, &SMALL) else { panic!("headers are gone") };
        assert_eq!(why, "include/torch/csrc/api/include/torch/torch.h is missing");
    }
}
