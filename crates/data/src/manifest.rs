//! What is known about the data sets that have a name: one TOML file each in `datasets/`, embedded here.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::{Error, Format};

const EMBEDDED: [(&str, &str); 5] = [
    ("digits", include_str!("../../../datasets/digits.toml")),
    ("fashion-mnist", include_str!("../../../datasets/fashion-mnist.toml")),
    ("mnist", include_str!("../../../datasets/mnist.toml")),
    ("cifar10", include_str!("../../../datasets/cifar10.toml")),
    ("cifar100", include_str!("../../../datasets/cifar100.toml")),
];

/// A data set that can be asked for by its name.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The name that users type.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where its authors describe it.
    pub homepage: String,
    /// Under which terms it may be used.
    pub licence: String,
    /// How its files are written.
    pub format: Format,
    /// Number of training images.
    pub train: usize,
    /// Number of test images.
    pub test: usize,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Channel means of the training images, pixels scaled to 0..1.
    pub mean: Vec<f32>,
    /// Channel deviations of the training images.
    pub std: Vec<f32>,
    /// The files it consists of; empty if it is embedded.
    #[serde(default)]
    pub files: Vec<Content>,
    /// Where they can be had, best first; empty if it is embedded.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// A file of a data set, described by what it holds once unpacked: on disk it may be compressed, with `.gz` at the end of its name.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// File name, without `.gz`.
    pub name: String,
    /// Size of the unpacked content.
    pub bytes: u64,
    /// SHA-256 of the unpacked content in lower-case hexadecimal, where it is known.
    pub sha256: Option<String>,
}

/// A file to download, described as it comes over the wire.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// File name, added to the source's address.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// A place to get a data set from.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// A folder where a system package puts it; used in place, not copied.
    Folder {
        /// Absolute path.
        path: PathBuf,
    },
    /// A Debian package, unpacked without being installed.
    Debian {
        /// The package's name.
        package: String,
        /// The folder inside the package.
        folder: PathBuf,
    },
    /// An address below which each file lies on its own.
    Http {
        /// Address of the folder, without a slash at its end.
        url: String,
        /// The files.
        downloads: Vec<Download>,
    },
    /// One `.tar.gz`.
    Archive {
        /// Address of the archive.
        url: String,
        /// Size of the archive.
        bytes: u64,
        /// SHA-256 of the archive in lower-case hexadecimal.
        sha256: String,
        /// The folder inside the archive.
        folder: PathBuf,
    },
}

static MANIFESTS: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
    // An embedded manifest that does not parse is left out here and fails this module's test.
    EMBEDDED.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect()
});

impl Manifest {
    /// All known data sets.
    pub fn all() -> &'static [Self] {
        &MANIFESTS
    }

    /// The data set of that name.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest names.
    pub fn find(name: &str) -> Result<&'static Self, Error> {
        Self::all().iter().find(|manifest| manifest.name == name).ok_or_else(|| unknown(name))
    }
}

/// The error for a name that is not known: the near ones if there are any, otherwise all.
fn unknown(name: &str) -> Error {
    let wanted = name.to_lowercase();
    let mut near: Vec<_> = Manifest::all()
        .iter()
        .map(|manifest| (strsim::jaro_winkler(&wanted, &manifest.name), manifest.name.as_str()))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    near.sort_by(|left, right| right.0.total_cmp(&left.0));
    let list =
        |names: &mut dyn Iterator<Item = &str>| names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let hint = if near.is_empty() {
        let all = list(&mut Manifest::all().iter().map(|manifest| manifest.name.as_str()));
        format!("known are {all}; or give the path of a folder")
    } else {
        format!("did you mean {}? Or give the path of a folder", list(&mut near.iter().map(|(_, name)| *name)))
    };
    Error::UnknownName { name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_parses_and_agrees_with_itself() {
        for (name, text) in EMBEDDED {
            let manifest: Manifest = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(manifest.name, name);
            assert_eq!(manifest.mean.len(), manifest.std.len(), "{name}");
            assert_eq!(manifest.files.is_empty(), manifest.sources.is_empty(), "{name}");
            let is_sum = |sum: &str| sum.len() == 64 && sum.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            assert!(manifest.files.iter().flat_map(|file| &file.sha256).all(|sum| is_sum(sum)), "{name}");
            for source in &manifest.sources {
                match source {
                    Source::Http { downloads, .. } => {
                        let named =
                            |file: &Content| downloads.iter().any(|d| d.name.trim_end_matches(".gz") == file.name);
                        assert!(manifest.files.iter().all(named), "{name}");
                        assert!(downloads.iter().all(|download| is_sum(&download.sha256)), "{name}");
                    }
                    Source::Archive { sha256, .. } => assert!(is_sum(sha256), "{name}"),
                    Source::Folder { .. } | Source::Debian { .. } => {}
                }
            }
        }
        assert_eq!(Manifest::all().len(), EMBEDDED.len());
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        for (name, message) in [
            (
                "CIFAR-10",
                "unknown data set `CIFAR-10`: did you mean `cifar10`, `cifar100`? Or give the path of a folder",
            ),
            (
                "imagenet",
                "unknown data set `imagenet`: known are `digits`, `fashion-mnist`, `mnist`, `cifar10`, `cifar100`; or give the path of a folder",
            ),
        ] {
            assert_eq!(Manifest::find(name).unwrap_err().to_string(), message);
        }
    }
}
