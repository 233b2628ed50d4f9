//! The versions of PyTorch that a binary can be built for, each with the `tch` that was written for its libtorch.

use std::borrow::Cow;
use std::path::Path;

use crate::failure::Failure;

/// A version of PyTorch with CUDA.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pytorch {
    /// As it is asked for, such as `2.11`.
    pub(super) short: &'static str,
    /// In full.
    pub(super) version: &'static str,
    /// Requirements of pip, each with the SHA-256 of its files.
    wheels: &'static str,
    tch: Package,
    torch_sys: Package,
}

/// A package of crates.io.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: &'static str,
    version: &'static str,
    checksum: &'static str,
}

/// All of them, the workspace's own last.
pub(super) static KNOWN: [Pytorch; 2] = [
    Pytorch {
        short: "2.11",
        version: "2.11.0",
        wheels: include_str!("pytorch-2.11.0.txt"),
        tch: Package {
            name: "tch",
            version: "0.24.0",
            checksum: "0d3f84a069d8ba16dbf720b61e8bf131d90ffb8e958a664eae8e4993c5c2fa6f",
        },
        torch_sys: Package {
            name: "torch-sys",
            version: "0.24.0",
            checksum: "f4ba78777379cf09aaa79708c63e477cf0f95e021d04360c6821f1a9f56173f7",
        },
    },
    Pytorch {
        short: "2.13",
        version: crate::wheels::VERSION,
        wheels: include_str!("pytorch-2.13.0.txt"),
        tch: Package {
            name: "tch",
            version: "0.26.0",
            checksum: "975b1fb3b612ba925f03dd08b56e5c9452bb7102891d5d9f58c19b49a0b2ec1e",
        },
        torch_sys: Package {
            name: "torch-sys",
            version: "0.26.0",
            checksum: "5ae60ab95333c42adcc1a9e74057357e4324a1f344c403e48712a144ab731019",
        },
    },
];

impl Pytorch {
    /// The one that is called `2.11`, `2.11.0` or `2.11.0+cu130`; `None` if it is not among [`KNOWN`].
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        let name = name.split('+').next().unwrap_or(name);
        KNOWN.iter().find(|known| name == known.short || name == known.version)
    }

    /// Their short names, to be read in a message.
    pub(super) fn names() -> String {
        KNOWN.iter().map(|known| known.short).collect::<Vec<_>>().join(" or ")
    }

    /// The requirement of each wheel, as a line for pip.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &'static str> {
        self.wheels.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// A file of the workspace as it has to be for this PyTorch: the manifest and the lock file at its root name the `tch`.
    pub(super) fn adapt<'b>(&self, file: &Path, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, Failure> {
        let rewrite: fn(&Package, &str) -> Option<String> = match file.to_str() {
            Some("Cargo.toml") => Package::in_manifest,
            Some("Cargo.lock") => Package::in_lock_file,
            _ => return Ok(Cow::Borrowed(bytes)),
        };
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for package in [&self.tch, &self.torch_sys] {
            text = rewrite(package, &text).ok_or_else(|| {
                Failure::setup(format!(
                    "{} does not name {} from crates.io, expected a clone of Multipath as it is",
                    file.display(),
                    package.name
                ))
            })?;
        }
        Ok(Cow::Owned(text.into_bytes()))
    }
}

impl Package {
    /// A workspace's `Cargo.toml` that requires this version.
    fn in_manifest(&self, text: &str) -> Option<String> {
        let begins = format!("{} = \"", self.name);
        let line = text.lines().find(|line| line.starts_with(&begins))?;
        let (minor, _) = self.version.rsplit_once('.')?;
        Some(text.replacen(line, &format!("{begins}{minor}\""), 1))
    }

    /// A `Cargo.lock` that names this version. Its dependencies are those of the other versions here.
    fn in_lock_file(&self, text: &str) -> Option<String> {
        let begins = format!("[[package]]\nname = \"{}\"\n", self.name);
        let (before, rest) = text.split_once(&begins)?;
        let (fields, after) = rest.split_once("dependencies = ")?;
        let source = fields.lines().find(|line| line.starts_with("source = \"registry+"))?;
        Some(format!(
            "{before}{begins}version = \"{}\"\n{source}\nchecksum = \"{}\"\ndependencies = {after}",
            self.version, self.checksum
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.dependencies]\ntar = \"0.4\"\ntch = \"0.26\"\ntorch-sys = \"0.26\"\n";
    const LOCK: &str = include_str!("../../../../Cargo.lock");

    fn adapted(version: &str, file: &str, text: &str) -> String {
        let bytes =
            Pytorch::find(version).expect(version).adapt(Path::new(file), text.as_bytes()).expect(file).into_owned();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_version_is_found_by_any_of_its_names() {
        for name in ["2.11", "2.11.0", "2.11.0+cu130"] {
            assert_eq!(Pytorch::find(name).map(|found| found.version), Some("2.11.0"));
        }
        for name in ["2.1", "2.12", "2.11.1", ""] {
            assert_eq!(Pytorch::find(name), None, "{name}");
        }
        assert_eq!(Pytorch::names(), "2.11 or 2.13");
    }

    #[test]
    fn each_wheel_is_named_once_with_its_sum_and_what_a_build_reads_is_among_them() {
        for known in &KNOWN {
            let lines: Vec<&str> = known.requirements().collect();
            let mut names: Vec<&str> = lines.iter().filter_map(|line| line.split("==").next()).collect();
            assert_eq!(names[0], "torch");
            assert!(lines[0].starts_with(&format!("torch=={} ", known.version)), "{}", known.version);
            for header in ["nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl"] {
                assert!(names.contains(&header), "{header}");
            }
            for line in &lines {
                let sums: Vec<&str> = line.split(" --hash=sha256:").skip(1).collect();
                assert!(!sums.is_empty() && sums.iter().all(|sum| sum.len() == 64), "{line}");
            }
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), lines.len());
        }
    }

    #[test]
    fn the_manifest_names_the_pair_and_is_otherwise_as_it_was() {
        assert_eq!(adapted("2.13", "Cargo.toml", MANIFEST), MANIFEST);
        assert_eq!(adapted("2.11", "Cargo.toml", MANIFEST), MANIFEST.replace("0.26", "0.24"));
    }

    #[test]
    fn the_lock_file_changes_in_four_lines() {
        assert_eq!(adapted("2.13", "Cargo.lock", LOCK), LOCK);
        let other = adapted("2.11", "Cargo.lock", LOCK);
        let changed: Vec<&str> = other.lines().zip(LOCK.lines()).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
        assert_eq!(other.lines().count(), LOCK.lines().count());
        assert_eq!(
            changed,
            [
                "version = \"0.24.0\"",
                "checksum = \"0d3f84a069d8ba16dbf720b61e8bf131d90ffb8e958a664eae8e4993c5c2fa6f\"",
                "version = \"0.24.0\"",
                "checksum = \"f4ba78777379cf09aaa79708c63e477cf0f95e021d04360c6821f1a9f56173f7\"",
            ]
        );
        assert_eq!(adapted("2.13", "Cargo.lock", &other), LOCK);
    }

    #[test]
    fn only_the_files_at_the_root_change_and_others_are_not_guessed_at() {
        assert_eq!(adapted("2.11", "crates/nn/Cargo.toml", MANIFEST), MANIFEST);
        let failure = KNOWN[0].adapt(Path::new("Cargo.toml"), b"[workspace]\n").unwrap_err();
        assert_eq!(
            failure,
            Failure::setup("Cargo.toml does not name tch from crates.io, expected a clone of Multipath as it is")
        );
    }
}
