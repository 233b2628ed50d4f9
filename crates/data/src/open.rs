//! From a name or a path to the two splits of a data set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::{Raw, cifar, digits, idx};
use crate::manifest::{Manifest, Source};
use crate::{Dataset, Error, Format, Images, Statistics};

/// A data set, ready to train on.
#[derive(Clone)]
pub struct Splits {
    /// Its name, or that of its folder.
    pub name: String,
    /// How its files are written.
    pub format: Format,
    /// The training images.
    pub train: Arc<dyn Dataset>,
    /// The test images, of the same shape and classes.
    pub test: Arc<dyn Dataset>,
    /// Channel means, pixels scaled to 0..1: the published ones of a known data set, otherwise those of the training images.
    pub mean: Vec<f32>,
    /// Channel deviations, from the same source.
    pub std: Vec<f32>,
}

/// Opens a data set by its name, or by the path of a folder with IDX or CIFAR binary files.
///
/// A known name ([`Manifest::all`]) is looked for in `cache_dir/NAME`, where [`fetch`](crate::fetch()) puts it, and where a
/// system package would; a folder of the same name is opened as `./NAME`. The files may also lie in the folder's only
/// subfolder that holds any, as they do after unpacking an official archive.
///
/// # Errors
/// [`Error::UnknownName`] and [`Error::NotFetched`] for names; [`Error::Missing`], [`Error::Unrecognised`],
/// [`Error::Format`] and [`Error::Io`] for what is wrong with files.
pub fn open(name_or_path: &str, cache_dir: &Path) -> Result<Splits, Error> {
    let unknown = match Manifest::find(name_or_path) {
        Ok(manifest) => return open_known(manifest, cache_dir),
        Err(unknown) => unknown,
    };
    let path = Path::new(name_or_path);
    if path.is_dir() {
        return open_folder(path);
    }
    let is_path = path.components().count() > 1 || path.is_absolute() || name_or_path.starts_with('.');
    match path.exists() {
        true => Err(Error::Unrecognised {
            folder: path.to_owned(),
            expected: "a folder with a data set's files".to_owned(),
            found: "a single file".to_owned(),
        }),
        false if is_path => {
            Err(Error::Missing { path: path.to_owned(), expected: "a folder with a data set's files".to_owned() })
        }
        false => Err(unknown),
    }
}

fn open_known(manifest: &Manifest, cache_dir: &Path) -> Result<Splits, Error> {
    if manifest.format == Format::Digits {
        let (train, test) = digits::read()?;
        return splits(&manifest.name, Format::Digits, manifest.classes.clone(), train, test);
    }
    let folders = places(manifest, cache_dir);
    let Some(folder) = folders.iter().find(|folder| folder.read_dir().is_ok_and(|mut inside| inside.next().is_some()))
    else {
        let looked_in = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and ");
        return Err(Error::NotFetched { name: manifest.name.clone(), looked_in });
    };
    let files = Files::find(folder)?;
    let splits = files.read(&manifest.name, Some(manifest.classes.clone()))?;
    let found = (splits.format, splits.train.len(), splits.test.len());
    if found != (manifest.format, manifest.train, manifest.test) {
        let describe = |(format, train, test)| format!("{format} files with {train} training and {test} test images");
        return Err(Error::Unrecognised {
            folder: folder.clone(),
            expected: format!(
                "{}, which is `{}`",
                describe((manifest.format, manifest.train, manifest.test)),
                manifest.name
            ),
            found: describe(found),
        });
    }
    Ok(Splits { mean: manifest.mean.clone(), std: manifest.std.clone(), ..splits })
}

/// The folders where a known data set can be, in the order they are looked at.
pub(crate) fn places(manifest: &Manifest, cache_dir: &Path) -> Vec<PathBuf> {
    let system = manifest.sources.iter().filter_map(|source| match source {
        Source::Folder { path } => Some(path.clone()),
        _ => None,
    });
    std::iter::once(cache_dir.join(&manifest.name)).chain(system).collect()
}

fn open_folder(folder: &Path) -> Result<Splits, Error> {
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Files::find(folder)?.read(&name.unwrap_or_else(|| folder.display().to_string()), None)
}

/// The files of a data set, recognised by their names.
enum Files {
    Idx { train: [PathBuf; 2], test: [PathBuf; 2] },
    Cifar { layout: cifar::Layout, train: Vec<PathBuf>, test: PathBuf },
}

const IDX_NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const CIFAR10_NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const CIFAR100_NAMES: [&str; 2] = ["train.bin", "test.bin"];

impl Files {
    fn find(folder: &Path) -> Result<Self, Error> {
        let (names, folders) = list(folder)?;
        if let Some(files) = Self::among(folder, &names)? {
            return Ok(files);
        }
        let mut inner = Vec::new();
        for subfolder in folders {
            let path = folder.join(&subfolder);
            if let Some(files) = Self::among(&path, &list(&path)?.0)? {
                inner.push((subfolder, files));
            }
        }
        let found = match inner.len() {
            0 if names.is_empty() => "no files".to_owned(),
            0 => {
                let some = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
                format!("{} other files ({some}{})", names.len(), if names.len() > 3 { ", ..." } else { "" })
            }
            1 => return Ok(inner.remove(0).1),
            _ => {
                let folders: Vec<_> = inner.into_iter().map(|(name, _)| name).collect();
                format!("several data sets ({}): name one of these folders", folders.join(", "))
            }
        };
        let expected = "IDX files (train-images-idx3-ubyte[.gz], ...), CIFAR-10 (data_batch_1.bin, ...) or CIFAR-100 \
                        (train.bin, test.bin) binary files";
        Err(Error::Unrecognised { folder: folder.to_owned(), expected: expected.to_owned(), found })
    }

    /// The data set whose files are among `names`; one that is there in part is an error, none at all is `None`.
    fn among(folder: &Path, names: &BTreeSet<String>) -> Result<Option<Self>, Error> {
        let idx = IDX_NAMES.map(|name| {
            let dotted = name.replacen("-idx", ".idx", 1);
            let spellings = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
            spellings.into_iter().find(|spelling| names.contains(spelling)).ok_or(name)
        });
        let plain = |name: &'static str| names.get(name).cloned().ok_or(name);
        let (ten, hundred) = (CIFAR10_NAMES.map(plain), CIFAR100_NAMES.map(plain));

        let present = [&idx[..], &ten[..], &hundred[..]].map(|names| names.iter().any(Result::is_ok));
        match present {
            [false, false, false] => Ok(None),
            [true, false, false] => {
                let [train_images, train_labels, test_images, test_labels] =
                    complete(folder, idx, "IDX, plain or with .gz at the end of its name")?;
                Ok(Some(Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] }))
            }
            [false, true, false] => {
                let [train @ .., test] = complete(folder, ten, "CIFAR-10 binary")?;
                Ok(Some(Self::Cifar { layout: cifar::Layout::Cifar10, train: train.to_vec(), test }))
            }
            [false, false, true] => {
                let [train, test] = complete(folder, hundred, "CIFAR-100 binary")?;
                Ok(Some(Self::Cifar { layout: cifar::Layout::Cifar100, train: vec![train], test }))
            }
            _ => Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "the files of one data set".to_owned(),
                found: "files of several formats side by side".to_owned(),
            }),
        }
    }

    /// Reads everything; `classes` are the known class names, which labels are checked against.
    fn read(self, name: &str, classes: Option<Vec<String>>) -> Result<Splits, Error> {
        match self {
            Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] } => {
                let train = idx::read(&train_images, &train_labels, classes.as_ref().map(Vec::len))?;
                let classes = match classes {
                    Some(classes) => classes,
                    None => (0..idx::count_classes(&train_labels, &train.labels)?).map(|c| c.to_string()).collect(),
                };
                let test = idx::read(&test_images, &test_labels, Some(classes.len()))?;
                if train.shape != test.shape {
                    return Err(Error::Format {
                        path: test_images,
                        offset: 8,
                        expected: format!("images of {}, as in {}", train.shape, train_images.display()),
                        found: test.shape.to_string(),
                    });
                }
                splits(name, Format::Idx, classes, train, test)
            }
            Self::Cifar { layout, train, test } => {
                let format = match layout {
                    cifar::Layout::Cifar10 => Format::Cifar10,
                    cifar::Layout::Cifar100 => Format::Cifar100,
                };
                let official = Manifest::all().iter().find(|manifest| manifest.format == format);
                let classes = classes.or_else(|| official.map(|manifest| manifest.classes.clone())).unwrap_or_default();
                splits(name, format, classes, cifar::read(&train, layout)?, cifar::read(&[test], layout)?)
            }
        }
    }
}

/// Joins the names to the folder, or says which one is not there.
fn complete<const K: usize>(
    folder: &Path,
    names: [Result<String, &'static str>; K],
    expected: &str,
) -> Result<[PathBuf; K], Error> {
    if let Some(missing) = names.iter().find_map(|name| name.as_ref().err()) {
        return Err(Error::Missing { path: folder.join(missing), expected: expected.to_owned() });
    }
    Ok(names.map(|name| folder.join(name.unwrap_or_else(str::to_owned))))
}

/// The names of the files and of the folders in a folder, sorted.
fn list(folder: &Path) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in folder.read_dir().map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            folders.insert(name)
        } else {
            files.insert(name)
        };
    }
    Ok((files, folders))
}

fn splits(name: &str, format: Format, classes: Vec<String>, train: Raw, test: Raw) -> Result<Splits, Error> {
    let images = |split: &str, raw: Raw| {
        let labels = raw.labels.into_iter().map(u32::from).collect();
        Images::new(format!("{name}/{split}"), raw.shape, classes.clone(), labels, raw.pixels)
    };
    let (train, test) = (images("train", train)?, images("test", test)?);
    let Statistics { mean, std } = Statistics::of(&train)?;
    Ok(Splits { name: name.to_owned(), format, train: Arc::new(train), test: Arc::new(test), mean, std })
}
