//! From a name or a path to the splits of a data set.

mod by_files;
mod read;
mod recognise;
mod splits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Line;
use crate::format::kin::Kin;
use crate::format::{Raw, digits};
use crate::ignored::Ignored;
use crate::manifest::{Manifest, Source};
use crate::parts::{Parts, Split};
use crate::{Dataset, Error, Format, Images, Statistics, Subset};

use recognise::{Files, Found};

/// A data set, ready to train on.
#[derive(Clone)]
pub struct Splits {
    /// Its name, or that of its folder.
    pub name: String,
    /// How its files are written.
    pub format: Format,
    /// The training images.
    pub train: Arc<dyn Dataset>,
    /// The validation images, of the same classes; none where the files hold no such split. Where they hold no test images
    /// either, [`holdout`](crate::holdout()) sets some of the training images aside.
    pub valid: Arc<dyn Dataset>,
    /// The test images, of the same classes; none where the files hold no such split.
    pub test: Arc<dyn Dataset>,
    /// Channel means, pixels scaled to 0..1: the published ones of a known data set, otherwise those of the training images;
    /// for pictures that would have to be decoded first, those of ImageNet. [`Statistics::of`] measures them.
    pub mean: Vec<f32>,
    /// Channel deviations, from the same source.
    pub std: Vec<f32>,
    /// What lies with the images and is not used.
    pub ignored: Ignored,
}

impl Splits {
    /// The parts that hold images, with their names: `train`, `valid`, `test`.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Dataset>)> {
        let all = [("train", &self.train), ("valid", &self.valid), ("test", &self.test)];
        all.into_iter().filter(|(_, images)| !images.is_empty())
    }

    /// How many images all parts hold together.
    pub fn len(&self) -> usize {
        self.parts().map(|(_, images)| images.len()).sum()
    }

    /// Whether no part holds any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Opens a data set by its name, or by the path of its folder or file; names and first bytes of its files say what it is.
///
/// A known name ([`Manifest::all`]) is looked for in `cache_dir/NAME`, where [`fetch`](crate::fetch()) puts it, and where a
/// system package would; a folder of the same name is opened as `./NAME`. The files may also lie in the folder's only
/// subfolder that holds any, as they do after unpacking an official archive. What is called `train`, `val` and `test`, in any case and
/// with the usual words around it, is [`Splits::train`], [`Splits::valid`] and [`Splits::test`].
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
    if path.exists() {
        return open_path(path);
    }
    let is_path = path.components().count() > 1 || path.is_absolute() || name_or_path.starts_with('.');
    if is_path {
        return Err(Error::Missing { path: path.to_owned(), expected: "a data set's folder or file".to_owned() });
    }
    Err(unknown)
}

fn open_known(manifest: &'static Manifest, cache_dir: &Path) -> Result<Splits, Error> {
    if manifest.format == Format::Digits {
        let (train, test) = digits::read()?;
        return splits(&manifest.name, Format::Digits, manifest.classes.clone(), Parts::tested(train, test));
    }
    let folders = places(manifest, cache_dir);
    let Some(folder) = folders.iter().find(|folder| folder.read_dir().is_ok_and(|mut inside| inside.next().is_some()))
    else {
        let looked_in = folders.iter().map(|folder| Line(folder).to_string()).collect::<Vec<_>>().join(" and ");
        let here = match Path::new(&manifest.name).is_dir() {
            true => format!(", or write `./{}` for the folder of this name that is here", manifest.name),
            false => String::new(),
        };
        return Err(Error::NotFetched { name: manifest.name.clone(), looked_in, here });
    };
    // A folder may hold several splits of EMNIST; the name says which of them is meant.
    let found = match Kin::named(folder, manifest)? {
        Some(kin) => Found { files: Files::Few(kin.files()), ignored: Ignored::default() },
        None => Found::find(folder)?,
    };
    let splits = found.read(&manifest.name, Some(manifest.classes.clone()))?;
    // Some sets have labels for one of the two only, which is then what they are judged by.
    let found = (splits.format, splits.train.len(), splits.valid.len() + splits.test.len());
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
    match manifest.mean.is_empty() {
        true => Ok(splits),
        false => Ok(Splits { mean: manifest.mean.clone(), std: manifest.std.clone(), ..splits }),
    }
}

/// The folders where a known data set can be, in the order they are looked at.
pub(crate) fn places(manifest: &Manifest, cache_dir: &Path) -> Vec<PathBuf> {
    let system = manifest.sources.iter().filter_map(|source| match source {
        Source::Folder { path } => Some(path.clone()),
        _ => None,
    });
    std::iter::once(cache_dir.join(&manifest.name)).chain(system).collect()
}

fn open_path(path: &Path) -> Result<Splits, Error> {
    let name = path.canonicalize().ok().and_then(|path| Some(Line(path.file_name()?).to_string()));
    Found::find(path)?.read(&name.unwrap_or_else(|| Line(path).to_string()), None)
}

/// The parts of images that are not decoded to be opened.
pub(crate) fn lazy<D: Dataset + 'static>(name: &str, format: Format, parts: Parts<D>) -> Result<Splits, Error> {
    let parts = parts.map(|_, images| Arc::new(images) as Arc<dyn Dataset>);
    gathered(name, format, parts, Statistics::imagenet())
}

/// The parts of images that lie in memory.
pub(crate) fn splits(name: &str, format: Format, classes: Vec<String>, parts: Parts<Raw>) -> Result<Splits, Error> {
    let images = |split: Split, raw: Raw| {
        Images::new(format!("{name}/{split}"), raw.shape, classes.clone(), raw.labels, raw.pixels)
    };
    let parts = parts.try_map(images)?;
    let statistics = Statistics::of(&parts.train)?;
    gathered(name, format, parts.map(|_, images| Arc::new(images) as Arc<dyn Dataset>), statistics)
}

/// A part that is not there is one without images, like the training images in everything else.
fn gathered(
    name: &str,
    format: Format,
    parts: Parts<Arc<dyn Dataset>>,
    Statistics { mean, std }: Statistics,
) -> Result<Splits, Error> {
    let Parts { train, valid, test } = parts;
    let held = |split: Split, images: Option<Arc<dyn Dataset>>| match images {
        Some(images) => Ok(images),
        None => {
            let none = Subset::new(format!("{name}/{split}"), Arc::clone(&train), Vec::new())?;
            Ok::<_, Error>(Arc::new(none) as Arc<dyn Dataset>)
        }
    };
    let (valid, test) = (held(Split::Valid, valid)?, held(Split::Test, test)?);
    Ok(Splits { name: name.to_owned(), format, train, valid, test, mean, std, ignored: Ignored::default() })
}
