//! What is known about the data sets that have a name: one TOML file each in `datasets/`, embedded here.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::{Error, Format};

const EMBEDDED: [(&str, &str); 17] = [
    ("digits", include_str!("../../../datasets/digits.toml")),
    ("fashion-mnist", include_str!("../../../datasets/fashion-mnist.toml")),
    ("mnist", include_str!("../../../datasets/mnist.toml")),
    ("emnist-balanced", include_str!("../../../datasets/emnist-balanced.toml")),
    ("emnist-byclass", include_str!("../../../datasets/emnist-byclass.toml")),
    ("emnist-bymerge", include_str!("../../../datasets/emnist-bymerge.toml")),
    ("emnist-digits", include_str!("../../../datasets/emnist-digits.toml")),
    ("emnist-letters", include_str!("../../../datasets/emnist-letters.toml")),
    ("emnist-mnist", include_str!("../../../datasets/emnist-mnist.toml")),
    ("qmnist", include_str!("../../../datasets/qmnist.toml")),
    ("cifar10", include_str!("../../../datasets/cifar10.toml")),
    ("cifar100", include_str!("../../../datasets/cifar100.toml")),
    ("svhn", include_str!("../../../datasets/svhn.toml")),
    ("stl10", include_str!("../../../datasets/stl10.toml")),
    ("imagenette", include_str!("../../../datasets/imagenette.toml")),
    ("tiny-imagenet", include_str!("../../../datasets/tiny-imagenet.toml")),
    ("imagenet", include_str!("../../../datasets/imagenet.toml")),
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
    /// Channel means of the training images, pixels scaled to 0..1; empty where they are measured when it is opened.
    pub mean: Vec<f32>,
    /// Channel deviations of the training images.
    pub std: Vec<f32>,
    /// The files it consists of; empty if it is embedded, or a folder for each class.
    #[serde(default)]
    pub files: Vec<Content>,
    /// The folders of images that it consists of, where the files are too many to list.
    pub tree: Option<Tree>,
    /// Where it can be had, best first; empty if it is embedded, or if the user has to bring it.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// How to get it where no program may: one sentence, with `{folder}` for where it belongs.
    pub by_hand: Option<String>,
}

/// A data set of image files in folders, described by their number.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tree {
    /// The folder below which all training images lie, one folder for each class.
    pub train: String,
    /// The folder below which all test images lie.
    pub test: String,
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
    /// MD5 of it, looked at where no SHA-256 is known: it finds damage, but not a forgery.
    pub md5: Option<String>,
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
    /// One `.tar.gz` or `.zip`.
    Archive {
        /// Address of the archive.
        url: String,
        /// Size of the archive.
        bytes: u64,
        /// SHA-256 of the archive in lower-case hexadecimal.
        sha256: String,
        /// The folder inside the archive.
        folder: PathBuf,
        /// What unpacking stops at.
        #[serde(default)]
        limits: Limits,
    },
}

/// What an archive may at most unpack to; beyond it, it is not the archive that the manifest means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of all files, also of those that are not wanted.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u64,
}

impl Default for Limits {
    /// 1 GiB in a thousand entries, enough for the sets of a few large files.
    fn default() -> Self {
        Self { bytes: 1 << 30, entries: 1000 }
    }
}

static MANIFESTS: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
    // An embedded manifest that does not parse is left out here and fails this module's test.
    EMBEDDED.iter().filter_map(|(_, text)| Manifest::parse(text).ok()).collect()
});

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`Error::Config`]: with the line for what is not TOML or not a manifest, otherwise with what contradicts itself: a name
    /// that could lead out of its folder, a sum that is none, a source that does not bring every file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line = 1 + error.span().map_or(0, |span| text[..span.start].matches('\n').count());
            Error::Config(format!("manifest, line {line}: {}", error.message().trim_end().replace('\n', " ")))
        })?;
        match manifest.contradiction() {
            Some(found) => Err(Error::Config(format!("manifest of {:?}: {found}", manifest.name))),
            None => Ok(manifest),
        }
    }

    /// What is wrong with it, if anything is.
    fn contradiction(&self) -> Option<String> {
        let names = std::iter::once(&self.name)
            .chain(self.files.iter().map(|file| &file.name))
            .chain(self.tree.iter().flat_map(|tree| [&tree.train, &tree.test]))
            .chain(self.downloads().map(|download| &download.name));
        if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
            return Some(format!("expected a plain name, found {name:?}"));
        }
        let archives = self.sources.iter().filter_map(|source| match source {
            Source::Archive { sha256, .. } => Some(sha256),
            _ => None,
        });
        let sums = self.files.iter().filter_map(|file| file.sha256.as_ref());
        let sums = sums.chain(self.downloads().map(|download| &download.sha256)).chain(archives);
        if let Some(sum) = sums.into_iter().find(|sum| !is_hexadecimal(sum, 64)) {
            return Some(format!("expected a SHA-256 of 64 digits from 0 to f, found {sum:?}"));
        }
        if let Some(sum) = self.files.iter().filter_map(|file| file.md5.as_ref()).find(|sum| !is_hexadecimal(sum, 32)) {
            return Some(format!("expected an MD5 of 32 digits from 0 to f, found {sum:?}"));
        }
        if self.mean.len() != self.std.len() {
            return Some(format!("{} channel means and {} deviations", self.mean.len(), self.std.len()));
        }
        let told = usize::from(!self.files.is_empty()) + usize::from(self.tree.is_some());
        let had = !self.sources.is_empty() || self.by_hand.is_some();
        if told > 1 || (told == 1) != had {
            return Some("expected either files or a tree, and a way to get them; or none of these".to_owned());
        }
        self.sources.iter().find_map(|source| self.contradiction_in(source))
    }

    /// What a source cannot bring.
    fn contradiction_in(&self, source: &Source) -> Option<String> {
        let Source::Http { url, downloads } = source else {
            let whole = matches!(source, Source::Folder { .. } | Source::Archive { .. });
            return (self.tree.is_some() && !whole)
                .then(|| "folders of images come in an archive or a folder".to_owned());
        };
        if self.tree.is_some() {
            return Some("folders of images come in an archive or a folder".to_owned());
        }
        let brings = |file: &&Content| downloads.iter().any(|each| each.name.trim_end_matches(".gz") == file.name);
        let missing = self.files.iter().find(|file| !brings(file))?;
        Some(format!("{} does not bring {}", url.escape_debug(), missing.name))
    }

    fn downloads(&self) -> impl Iterator<Item = &Download> {
        self.sources.iter().flat_map(|source| match source {
            Source::Http { downloads, .. } => &downloads[..],
            _ => &[],
        })
    }

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

/// Whether a name is that of a file or folder right here, on any system.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

fn is_hexadecimal(sum: &str, digits: usize) -> bool {
    sum.len() == digits && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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
        format!("known are {all}; or give the path of a folder or file")
    } else {
        format!("did you mean {}? Or give the path of a folder or file", list(&mut near.iter().map(|(_, name)| *name)))
    };
    Error::UnknownName { name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_parses_and_is_named_as_its_file() {
        for (name, text) in EMBEDDED {
            let manifest = Manifest::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(manifest.name, name);
            assert!(manifest.by_hand.is_none_or(|text| text.contains("{folder}")), "{name}");
        }
        assert_eq!(Manifest::all().len(), EMBEDDED.len());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let mnist = EMBEDDED.into_iter().find(|(name, _)| *name == "mnist").unwrap().1;
        for (from, to, message) in [
            (
                "name = \"mnist\"",
                "name = \"../mnist\"",
                "manifest of \"../mnist\": expected a plain name, found \"../mnist\"",
            ),
            (
                "\"train-labels-idx1-ubyte\"",
                "\".bashrc\"",
                "manifest of \"mnist\": expected a plain name, found \".bashrc\"",
            ),
            ("mean = [0.1307]", "mean = []", "manifest of \"mnist\": 0 channel means and 1 deviations"),
            ("train = 60000", "train = -1", "manifest, line 6: invalid value: integer `-1`, expected usize"),
            ("[[sources]]", "[[source]]", "manifest, line 32: unknown field `source`, expected one of"),
            ("ba891046e", "BA891046E", "expected a SHA-256 of 64 digits from 0 to f, found \"BA891046E"),
            (
                "{ name = \"train-images-idx3-ubyte.gz\"",
                "{ name = \"train.gz\"",
                "https://storage.googleapis.com/cvdf-datasets/mnist does not bring train-images-idx3-ubyte",
            ),
        ] {
            let text = mnist.replacen(from, to, 1);
            assert_ne!(text, mnist);
            let found = Manifest::parse(&text).unwrap_err().to_string();
            assert!(found.contains(message), "{found}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        for (name, message) in [
            (
                "CIFAR-10",
                "unknown data set `CIFAR-10`: did you mean `cifar10`, `cifar100`? Or give the path of a folder or file",
            ),
            (
                "places365",
                "unknown data set `places365`: known are `digits`, `fashion-mnist`, `mnist`, `emnist-balanced`, \
                 `emnist-byclass`, `emnist-bymerge`, `emnist-digits`, `emnist-letters`, `emnist-mnist`, `qmnist`, `cifar10`, \
                 `cifar100`, `svhn`, `stl10`, `imagenette`, `tiny-imagenet`, `imagenet`; or give the path of a folder or file",
            ),
        ] {
            assert_eq!(Manifest::find(name).unwrap_err().to_string(), message);
        }
    }
}
