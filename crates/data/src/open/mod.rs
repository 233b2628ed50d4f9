//! From a name or a path to the two splits of a data set.

mod read;
mod recognise;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Line;
use crate::format::{Raw, digits};
use crate::manifest::{Manifest, Source};
use crate::{Dataset, Error, Format, Images, Statistics, Subset};

use recognise::Files;

/// Channel means of ImageNet's training pictures, as torchvision has them.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Channel deviations, from the same source.
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A data set, ready to train on.
#[derive(Clone)]
pub struct Splits {
    /// Its name, or that of its folder.
    pub name: String,
    /// How its files are written.
    pub format: Format,
    /// The training images.
    pub train: Arc<dyn Dataset>,
    /// The test images, of the same shape and classes; none where the files hold one split only, some of which
    /// [`holdout`](crate::holdout()) then sets aside.
    pub test: Arc<dyn Dataset>,
    /// Channel means, pixels scaled to 0..1: the published ones of a known data set, otherwise those of the training images;
    /// for pictures that would have to be decoded first, those of ImageNet. [`Statistics::of`] measures them.
    pub mean: Vec<f32>,
    /// Channel deviations, from the same source.
    pub std: Vec<f32>,
}

/// Opens a data set by its name, or by the path of its folder or file; what it is, its files' names and first bytes tell.
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
    if path.exists() {
        return open_path(path);
    }
    let is_path = path.components().count() > 1 || path.is_absolute() || name_or_path.starts_with('.');
    if is_path {
        return Err(Error::Missing { path: path.to_owned(), expected: "a data set's folder or file".to_owned() });
    }
    Err(unknown)
}

fn open_known(manifest: &Manifest, cache_dir: &Path) -> Result<Splits, Error> {
    if manifest.format == Format::Digits {
        let (train, test) = digits::read()?;
        return splits(&manifest.name, Format::Digits, manifest.classes.clone(), train, Some(test));
    }
    let folders = places(manifest, cache_dir);
    let Some(folder) = folders.iter().find(|folder| folder.read_dir().is_ok_and(|mut inside| inside.next().is_some()))
    else {
        let looked_in = folders.iter().map(|folder| Line(folder).to_string()).collect::<Vec<_>>().join(" and ");
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

fn open_path(path: &Path) -> Result<Splits, Error> {
    let name = path.canonicalize().ok().and_then(|path| Some(Line(path.file_name()?).to_string()));
    Files::find(path)?.read(&name.unwrap_or_else(|| Line(path).to_string()), None)
}

/// Both splits of images that are not decoded to be opened. Without test images their place is taken by none.
fn lazy<D: Dataset + 'static>(name: &str, format: Format, train: D, test: Option<D>) -> Result<Splits, Error> {
    let train: Arc<dyn Dataset> = Arc::new(train);
    let test: Arc<dyn Dataset> = match test {
        Some(test) => Arc::new(test),
        None => no_images(name, &train)?,
    };
    let (mean, std) = (IMAGENET_MEAN.to_vec(), IMAGENET_STD.to_vec());
    Ok(Splits { name: name.to_owned(), format, train, test, mean, std })
}

/// A test split without images, like `train` in everything else.
fn no_images(name: &str, train: &Arc<dyn Dataset>) -> Result<Arc<dyn Dataset>, Error> {
    Ok(Arc::new(Subset::new(format!("{name}/test"), Arc::clone(train), Vec::new())?))
}

fn splits(name: &str, format: Format, classes: Vec<String>, train: Raw, test: Option<Raw>) -> Result<Splits, Error> {
    let images = |split: &str, raw: Raw| {
        Images::new(format!("{name}/{split}"), raw.shape, classes.clone(), raw.labels, raw.pixels)
    };
    let train = images("train", train)?;
    let Statistics { mean, std } = Statistics::of(&train)?;
    let train: Arc<dyn Dataset> = Arc::new(train);
    let test: Arc<dyn Dataset> = match test {
        Some(test) => Arc::new(images("test", test)?),
        None => no_images(name, &train)?,
    };
    Ok(Splits { name: name.to_owned(), format, train, test, mean, std })
}
