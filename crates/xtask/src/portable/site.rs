//! The libraries and headers of a PyTorch with CUDA, as they lie in the `site-packages` of a Python.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pytorch::Pytorch;
use crate::failure::Failure;
use crate::fetch::{lock, require_pip, require_space, unwritable};

/// The Pythons that both versions of PyTorch have wheels for.
pub(super) const PYTHON_TAGS: [&str; 5] = ["cp310", "cp311", "cp312", "cp313", "cp314"];

/// What all wheels take on disk once they are unpacked, and the largest of them while it is downloaded.
const PEAK_BYTES: u64 = 5_000_000_000;

/// The list of what is complete in a folder that we fetch into.
const COMPLETE: &str = "complete.txt";

/// Python has zip at hand. Everything reaches the disk before the list says that it is there.
const UNPACK: &str = "\
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    wanted = ('torch/include/', 'torch/lib/', 'torch/version.py', 'nvidia/')
    archive.extractall(sys.argv[2], [name for name in archive.namelist() if name.startswith(wanted)])
os.sync()";

/// A folder with `torch/` and `nvidia/`.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
}

impl Site {
    /// The folder that a user names.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let site = Self { folder: folder.to_path_buf() };
        let library = site.libraries().join("libtorch_cuda.so");
        if !library.is_file() {
            return Err(Failure::setup(format!(
                "--site {} holds no PyTorch with CUDA: {} is missing; expected the site-packages folder that one is unpacked in",
                folder.display(),
                library.display()
            )));
        }
        Ok(site)
    }

    /// The wheels of a PyTorch in the cache, fetched as far as they are not there yet.
    pub(super) fn fetch(cache: &Path, pytorch: &Pytorch, python_tag: &str) -> Result<Self, Failure> {
        let folder = cache.join(format!("pytorch-{}-{python_tag}", pytorch.version));
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
        let _lock = lock(&folder.with_added_extension("lock"))?;
        let complete = fs::read_to_string(folder.join(COMPLETE)).unwrap_or_default();
        let missing = missing(pytorch, &complete);
        if !missing.is_empty() {
            let otherwise = "name the site-packages of a PyTorch with CUDA by --site";
            require_pip(otherwise)?;
            if complete.is_empty() {
                require_space(&folder, PEAK_BYTES)?;
            }
            eprintln!(
                "fetching what is missing of PyTorch {} with CUDA (2.5 GB in all) into {}",
                pytorch.version,
                folder.display()
            );
        }
        for requirement in missing {
            fetch_wheel(&folder, requirement, python_tag)?;
        }
        Ok(Self { folder })
    }

    /// The folder that is a libtorch: `include` and `lib` lie in it.
    pub(super) fn libtorch(&self) -> PathBuf {
        self.folder.join("torch")
    }

    /// The folder of libtorch's libraries. Their own RPATHs find NVIDIA's from there.
    pub(super) fn libraries(&self) -> PathBuf {
        self.libtorch().join("lib")
    }

    /// Whether NVIDIA's libraries are there too, without which nothing that is built can run.
    pub(super) fn can_run(&self) -> bool {
        self.folder.join("nvidia").join("cudnn").join("lib").is_dir()
    }

    /// The version that the PyTorch says it is, such as `2.11.0+cu130`.
    pub(super) fn version(&self) -> Result<String, Failure> {
        let file = self.libtorch().join("version.py");
        let text = fs::read_to_string(&file)
            .map_err(|error| Failure::setup(format!("cannot read {}: {error}", file.display())))?;
        version_in(&text).ok_or_else(|| {
            Failure::setup(format!("{} does not say `__version__ = '...'`, expected PyTorch's own", file.display()))
        })
    }
}

fn version_in(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("__version__ = '"))?;
    value.strip_suffix('\'').map(String::from)
}

/// The requirements that are not in the list of what is complete.
fn missing(pytorch: &Pytorch, complete: &str) -> Vec<&'static str> {
    let complete: BTreeSet<&str> = complete.lines().collect();
    pytorch.requirements().filter(|line| !complete.contains(named(line))).collect()
}

/// A requirement without the sums: `torch==2.11.0`.
fn named(requirement: &str) -> &str {
    requirement.split(' ').next().unwrap_or(requirement)
}

/// Downloads a wheel, which pip checks, unpacks it and adds it to the list.
fn fetch_wheel(folder: &Path, requirement: &str, python_tag: &str) -> Result<(), Failure> {
    let name = named(requirement);
    let downloads = folder.join("downloads");
    // What an interrupted run left would be taken for the wheel.
    let _ = fs::remove_dir_all(&downloads);
    fs::create_dir_all(&downloads).map_err(|error| unwritable(&downloads, &error))?;
    let list = downloads.join("requirement.txt");
    fs::write(&list, requirement).map_err(|error| unwritable(&list, &error))?;

    eprintln!("  {name}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--require-hashes", "--only-binary=:all:", "--implementation", "cp"])
        .args(["--python-version", &python_version(python_tag), "--abi", python_tag, "--abi", "none"])
        .args(platforms())
        .arg("--dest")
        .args([&downloads])
        .arg("--requirement")
        .arg(&list);
    // pip writes the wheel to the temporary folder first; /tmp may be a small file system in memory.
    pip.env("TMPDIR", &downloads).stdin(Stdio::null()).stdout(io::stderr());
    let status = pip.status().map_err(|error| Failure::setup(format!("python3 did not run: {error}")))?;
    let files = fs::read_dir(&downloads).into_iter().flatten().flatten().map(|entry| entry.path());
    let wheels: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "whl")).collect();
    let [wheel] = wheels.as_slice() else {
        return Err(Failure::step(format!(
            "pip could not download {name} from the Python package index (pypi.org, or as pip is configured; its messages are above): \
             try again when the network and the disk allow"
        )));
    };
    if !status.success() {
        return Err(Failure::step(format!("pip refused what it downloaded as {name}; its messages are above")));
    }
    unpack(wheel, folder).map_err(|why| Failure::step(format!("{name} could not be unpacked: {why}")))?;
    let _ = fs::remove_dir_all(&downloads);
    let list = folder.join(COMPLETE);
    let file = fs::OpenOptions::new().create(true).append(true).open(&list);
    file.and_then(|mut file| writeln!(file, "{name}")).map_err(|error| unwritable(&list, &error))
}

fn unpack(wheel: &Path, folder: &Path) -> Result<(), String> {
    let output = Command::new("python3").args(["-I", "-c", UNPACK]).args([wheel, folder]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("python3 gave no reason").to_owned())
}

/// `3.12` of `cp312`.
fn python_version(tag: &str) -> String {
    format!("3.{}", tag.trim_start_matches("cp3"))
}

/// The systems whose wheels run on any Linux that PyTorch's own runs on, for pip.
fn platforms() -> Vec<String> {
    let numbered = (5..=28).map(|minor| format!("manylinux_2_{minor}_x86_64"));
    let named = ["manylinux1", "manylinux2010", "manylinux2014"].map(|name| format!("{name}_x86_64"));
    numbered.chain(named).flat_map(|platform| ["--platform".to_owned(), platform]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::pytorch::KNOWN;

    #[test]
    fn only_what_is_not_complete_is_fetched() {
        let all = missing(&KNOWN[0], "");
        assert_eq!(all.len(), KNOWN[0].requirements().count());
        let rest = missing(&KNOWN[0], "torch==2.11.0\nnvidia-cublas==13.1.0.3\n");
        assert_eq!(rest, all[2..]);
        // A library of another version is not the one that is wanted.
        assert_eq!(missing(&KNOWN[0], "torch==2.13.0\n"), all);
    }

    #[test]
    fn pip_is_told_python_and_platform_so_that_the_python_here_does_not_matter() {
        assert_eq!(PYTHON_TAGS.map(python_version), ["3.10", "3.11", "3.12", "3.13", "3.14"]);
        assert!(platforms().contains(&"manylinux_2_28_x86_64".to_owned()));
    }

    #[test]
    fn the_version_is_pytorchs_own() {
        let text =
            "from typing import Optional\n\n__all__ = ['__version__']\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        assert_eq!(version_in(text).as_deref(), Some("2.11.0+cu130"));
        assert_eq!(version_in("version = '2.11.0'"), None);
    }

    #[test]
    fn a_folder_without_a_pytorch_with_cuda_is_refused() {
        let failure = Site::open(Path::new("/nowhere")).unwrap_err();
        let message = failure.to_string();
        assert!(message.starts_with("--site /nowhere holds no PyTorch with CUDA: /nowhere/torch/lib/libtorch_cuda.so"));
        assert_eq!((message.lines().count(), failure.exit_code()), (1, 2));
    }

    #[test]
    fn a_wheel_is_unpacked_as_far_as_it_is_needed() {
        let folder = std::env::temp_dir().join(format!("multipath-wheel-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let wheel = folder.join("a.whl");
        let make = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as archive:\n  for name in sys.argv[2:]: archive.writestr(name, name)";
        let names = ["torch/lib/libc10.so", "torch/nn/linear.py", "torch/version.py", "nvidia/cu13/include/crt/host.h"];
        let made = Command::new("python3").args(["-c", make]).arg(&wheel).args(names).status();
        assert!(made.expect("python3").success());
        unpack(&wheel, &folder).expect("a wheel");
        assert_eq!(names.map(|name| folder.join(name).is_file()), [true, false, true, true]);
        fs::write(&wheel, "no zip").expect("a file");
        assert_eq!(unpack(&wheel, &folder), Err("zipfile.BadZipFile: File is not a zip file".to_owned()));
        fs::remove_dir_all(&folder).expect("a folder of our own");
    }
}
