//! Which data set a folder holds, told from names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::decode::Codec;
use crate::error::Line;
use crate::format::cifar::{self, Layout, Version};
use crate::format::pictures::{ANNOTATIONS, Listing, list};
use crate::format::{numpy, packed, shards};

const IDX_NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The files of a data set, recognised by their names.
pub(super) enum Files {
    Idx { train: [PathBuf; 2], test: [PathBuf; 2] },
    Cifar { layout: Layout, version: Version, train: Vec<PathBuf>, test: PathBuf },
    CifarArchive { layout: Layout, version: Version, path: PathBuf },
    Svhn { train: PathBuf, test: PathBuf },
    Stl10 { train: [PathBuf; 2], test: [PathBuf; 2], names: Option<PathBuf> },
    NumpyPairs { train: [PathBuf; 2], test: Option<[PathBuf; 2]> },
    NumpyArchive(PathBuf),
    Folder { train: PathBuf, test: Option<Test> },
    Shards { train: Vec<PathBuf>, test: Vec<PathBuf> },
    Packed(PathBuf),
}

/// The test images of a folder for each class.
pub(super) enum Test {
    /// Below a folder for each class, too.
    Classes(PathBuf),
    /// In one folder, with a list of their classes.
    Annotated(PathBuf),
}

const TRAIN_FOLDERS: [&str; 2] = ["train", "training"];
/// The best first: a `test` beside a `val` often lacks its labels.
const TEST_FOLDERS: [&str; 5] = ["val", "valid", "validation", "test", "testing"];
/// More folders than this are classes; they are not looked into for data sets.
const MOST_FOLDERS: usize = 16;

impl Files {
    /// The data set in a folder, in a folder of that, or in one of that again: official archives unpack to such.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            return Self::single(path);
        }
        let listing = list(path)?;
        if let Some(files) = Self::within(path, &listing, 2)? {
            return Ok(files);
        }
        if Self::holds_classes(path, &listing)? {
            return Ok(Self::Folder { train: path.to_owned(), test: None });
        }
        if let Some(files) = Self::archived(path, &text(&listing))? {
            return Ok(files);
        }
        let found = match &listing.files[..] {
            [] if listing.folders.is_empty() => "no files".to_owned(),
            [] => format!("folders without a data set ({})", some(&listing.folders)),
            files => format!("{} other files ({})", files.len(), some(files)),
        };
        let expected = "a folder of pictures for each class (also below train/ and val/), a packed file (.mpd), tar files \
                        with KEY.jpg and KEY.cls, x_train.npy and y_train.npy or an .npz of such, or the files of MNIST \
                        (train-images-idx3-ubyte[.gz], ...), CIFAR (data_batch_1[.bin], ...), SVHN (train_32x32.mat, ...) or \
                        STL-10 (train_X.bin, ...)";
        Err(Error::Unrecognised { folder: path.to_owned(), expected: expected.to_owned(), found })
    }

    /// The data set in one file.
    fn single(path: &Path) -> Result<Self, Error> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(Error::io("read", path))?;
        file.take(512).read_to_end(&mut start).map_err(Error::io("read", path))?;
        match &start[..] {
            bytes if bytes.starts_with(&packed::MAGIC) => Ok(Self::Packed(path.to_owned())),
            [b'P', b'K', 3, 4, ..] => Ok(Self::NumpyArchive(path.to_owned())),
            bytes if bytes.get(257..262) == Some(b"ustar") => {
                Ok(Self::Shards { train: vec![path.to_owned()], test: Vec::new() })
            }
            [0x1f, 0x8b, ..] => match cifar::identify(path)? {
                Some((layout, version)) => Ok(Self::CifarArchive { layout, version, path: path.to_owned() }),
                None => Err(Error::Unrecognised {
                    folder: path.to_owned(),
                    expected: "an official archive of CIFAR-10 or CIFAR-100".to_owned(),
                    found: "another .tar.gz: unpack it, and name the folder".to_owned(),
                }),
            },
            _ => Err(Error::Unrecognised {
                folder: path.to_owned(),
                expected: "a folder with a data set's files, or a packed file, .npz, .tar or CIFAR's .tar.gz"
                    .to_owned(),
                found: "another file".to_owned(),
            }),
        }
    }

    /// The data set in this folder, or in one at most `depth` below it.
    fn within(folder: &Path, listing: &Listing, depth: usize) -> Result<Option<Self>, Error> {
        if let Some(files) = Self::among(folder, &text(listing))? {
            return Ok(Some(files));
        }
        let mut packed =
            listing.files.iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "mpd"));
        if let (Some(name), None) = (packed.next(), packed.next()) {
            return Ok(Some(Self::Packed(folder.join(name))));
        }
        if let Some(files) = Self::in_split_folders(folder, listing)? {
            return Ok(Some(files));
        }
        if depth == 0 || listing.folders.len() > MOST_FOLDERS {
            return Ok(None);
        }
        let mut inner = Vec::new();
        for name in &listing.folders {
            let path = folder.join(name);
            if let Some(files) = Self::within(&path, &list(&path)?, depth - 1)? {
                inner.push((name, files));
            }
        }
        if inner.len() < 2 {
            return Ok(inner.pop().map(|(_, files)| files));
        }
        let folders: Vec<_> = inner.into_iter().map(|(name, _)| Line(name).to_string()).collect();
        Err(Error::Unrecognised {
            folder: folder.to_owned(),
            expected: "the files of one data set".to_owned(),
            found: format!("several data sets ({}): name one of these folders", folders.join(", ")),
        })
    }

    /// A folder for each class below `train`, and below one for the test images.
    fn in_split_folders(folder: &Path, listing: &Listing) -> Result<Option<Self>, Error> {
        let find = |names: &[&str]| {
            let found = names.iter().find(|name| listing.folders.iter().any(|folder| folder == **name));
            found.map(|name| folder.join(name))
        };
        let Some(train) = find(&TRAIN_FOLDERS) else { return Ok(None) };
        let inside = list(&train)?;
        if inside.folders.is_empty() {
            let tars = |folder: &Path, listing: &Listing| -> Vec<PathBuf> {
                let names = listing.files.iter().filter(|name| has_ending(&name.to_string_lossy(), "tar"));
                names.map(|name| folder.join(name)).collect()
            };
            let files = tars(&train, &inside);
            let test = TEST_FOLDERS.iter().find_map(|name| find(&[name]));
            let test = test.map(|test| Ok(tars(&test, &list(&test)?))).transpose()?.unwrap_or_default();
            return Ok((!files.is_empty()).then_some(Self::Shards { train: files, test }));
        }
        let mut flat = None;
        for name in TEST_FOLDERS {
            let Some(path) = find(&[name]) else { continue };
            let inside = list(&path)?;
            if inside.files.iter().any(|file| file == ANNOTATIONS) {
                return Ok(Some(Self::Folder { train, test: Some(Test::Annotated(path)) }));
            }
            if !inside.folders.is_empty() {
                return Ok(Some(Self::Folder { train, test: Some(Test::Classes(path)) }));
            }
            flat = flat.or(Some((path, inside.files.len())));
        }
        match flat {
            None => Ok(Some(Self::Folder { train, test: None })),
            Some((folder, count)) => Err(Error::Unrecognised {
                folder,
                expected: "a folder for each class, as in train".to_owned(),
                found: format!("{count} files side by side: move them into folders of their classes"),
            }),
        }
    }

    /// Whether the folders here are classes: one of them holds pictures, itself or in a folder of its own.
    fn holds_classes(folder: &Path, listing: &Listing) -> Result<bool, Error> {
        let is_split = |name: &OsString| TRAIN_FOLDERS.iter().chain(&TEST_FOLDERS).any(|split| name == *split);
        if listing.folders.iter().any(is_split) {
            return Ok(false);
        }
        let pictures = |listing: &Listing| listing.files.iter().any(|name| Codec::is_named(name));
        for class in listing.folders.iter().map(|name| folder.join(name)) {
            let inside = list(&class)?;
            if pictures(&inside) {
                return Ok(true);
            }
            for nested in inside.folders.iter().map(|name| class.join(name)) {
                if pictures(&list(&nested)?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The data set whose files are among `names`; one that is there in part is an error, none at all is `None`.
    fn among(folder: &Path, names: &BTreeSet<String>) -> Found {
        let formats = [idx, cifar10, cifar100, cifar10_pickles, cifar100_pickles, svhn, stl10, numpy, packed];
        let mut found: Vec<_> = formats.iter().filter_map(|find| find(folder, names).transpose()).collect();
        if found.len() < 2 {
            return found.pop().transpose();
        }
        Err(Error::Unrecognised {
            folder: folder.to_owned(),
            expected: "the files of one data set".to_owned(),
            found: "files of several formats side by side".to_owned(),
        })
    }

    /// What is used where there is nothing else: archives are often left beside what was unpacked from them.
    fn archived(folder: &Path, names: &BTreeSet<String>) -> Found {
        let shards: Vec<_> = names.iter().filter(|name| has_ending(name, "tar")).cloned().collect();
        if !shards.is_empty() {
            let [train, test] = shards::by_split(folder, &shards)?;
            return Ok(Some(Self::Shards { train, test }));
        }
        let mut archives = names.iter().filter(|name| name.contains("cifar") && name.ends_with(".tar.gz"));
        match (archives.next(), archives.next()) {
            (Some(name), None) => Self::single(&folder.join(name)).map(Some),
            (Some(one), Some(two)) => Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "one data set".to_owned(),
                found: format!("several archives ({one}, {two}): name one of them"),
            }),
            _ => Ok(None),
        }
    }
}

type Found = Result<Option<Files>, Error>;

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// All of `wanted` if one of them is there.
fn whole<const K: usize>(
    folder: &Path,
    names: &BTreeSet<String>,
    wanted: [&'static str; K],
    what: &str,
) -> Result<Option<[PathBuf; K]>, Error> {
    if !wanted.iter().any(|name| names.contains(*name)) {
        return Ok(None);
    }
    complete(folder, wanted.map(|name| names.get(name).cloned().ok_or(name)), what).map(Some)
}

fn idx(folder: &Path, names: &BTreeSet<String>) -> Found {
    let spelled = IDX_NAMES.map(|name| {
        let dotted = name.replacen("-idx", ".idx", 1);
        let spellings = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
        spellings.into_iter().find(|spelling| names.contains(spelling)).ok_or(name)
    });
    if spelled.iter().all(Result::is_err) {
        return Ok(None);
    }
    let [train_images, train_labels, test_images, test_labels] =
        complete(folder, spelled, "IDX, plain or with .gz at the end of its name")?;
    Ok(Some(Files::Idx { train: [train_images, train_labels], test: [test_images, test_labels] }))
}

fn cifar(folder: &Path, names: &BTreeSet<String>, layout: Layout, version: Version) -> Found {
    let files: Vec<_> = layout.files().iter().map(|file| version.name(file)).collect();
    if !files.iter().any(|file| names.contains(*file)) {
        return Ok(None);
    }
    if let Some(missing) = files.iter().find(|file| !names.contains(**file)) {
        return Err(Error::Missing { path: folder.join(missing), expected: format!("{layout} {version}") });
    }
    let mut train: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    Ok(train.pop().map(|test| Files::Cifar { layout, version, train, test }))
}

fn cifar10(folder: &Path, names: &BTreeSet<String>) -> Found {
    cifar(folder, names, Layout::Cifar10, Version::Binary)
}

fn cifar100(folder: &Path, names: &BTreeSet<String>) -> Found {
    cifar(folder, names, Layout::Cifar100, Version::Binary)
}

fn cifar10_pickles(folder: &Path, names: &BTreeSet<String>) -> Found {
    cifar(folder, names, Layout::Cifar10, Version::Pickled)
}

/// `train` and `test` are names that anything may have; with `meta` beside them they are CIFAR-100.
fn cifar100_pickles(folder: &Path, names: &BTreeSet<String>) -> Found {
    if !names.contains("meta") {
        return Ok(None);
    }
    cifar(folder, names, Layout::Cifar100, Version::Pickled)
}

fn svhn(folder: &Path, names: &BTreeSet<String>) -> Found {
    let files = whole(folder, names, ["train_32x32.mat", "test_32x32.mat"], "SVHN's cropped digits")?;
    Ok(files.map(|[train, test]| Files::Svhn { train, test }))
}

fn stl10(folder: &Path, names: &BTreeSet<String>) -> Found {
    let wanted = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
    let class_names = names.get("class_names.txt").map(|name| folder.join(name));
    let files = whole(folder, names, wanted, "STL-10 binary")?;
    Ok(files.map(|[train_images, train_labels, test_images, test_labels]| Files::Stl10 {
        train: [train_images, train_labels],
        test: [test_images, test_labels],
        names: class_names,
    }))
}

fn numpy(folder: &Path, names: &BTreeSet<String>) -> Found {
    let mut archives = names.iter().filter(|name| has_ending(name, "npz"));
    if let (Some(name), None) = (archives.next(), archives.next()) {
        return Ok(Some(Files::NumpyArchive(folder.join(name))));
    }
    let stems: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    let paths = |pair: [&str; 2]| pair.map(|stem| folder.join(format!("{stem}.npy")));
    let test = numpy::pair(&numpy::TEST, &stems).map(paths);
    Ok(numpy::pair(&numpy::TRAIN, &stems).map(|train| Files::NumpyPairs { train: paths(train), test }))
}

fn packed(folder: &Path, names: &BTreeSet<String>) -> Found {
    let mut packed = names.iter().filter(|name| has_ending(name, "mpd"));
    match (packed.next(), packed.next()) {
        (Some(name), None) => Ok(Some(Files::Packed(folder.join(name)))),
        _ => Ok(None),
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

/// The names of the files; one that is no text is no name that is looked for.
fn text(listing: &Listing) -> BTreeSet<String> {
    listing.files.iter().filter_map(|name| name.to_str()).map(str::to_owned).collect()
}

/// The first few of many names.
fn some(names: &[OsString]) -> String {
    let first: Vec<_> = names.iter().take(3).map(|name| Line(name).to_string()).collect();
    first.join(", ") + if names.len() > 3 { ", ..." } else { "" }
}
