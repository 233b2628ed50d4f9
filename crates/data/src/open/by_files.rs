//! Data sets that consist of a few files with official or usual names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::kin;
use super::recognise::Files;
use crate::Error;
use crate::format::cifar::{Layout, Version};
use crate::format::listing::{Listing, some};
use crate::format::numpy;

const IDX_NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// A data set with the names of its files.
pub(super) type Found = Result<Option<(Files, Vec<String>)>, Error>;

/// The data set whose files are in a folder; one that is there in part is an error, none at all is `None`.
pub(super) fn find(folder: &Path, listing: &Listing) -> Found {
    let names: BTreeSet<String> = listing.file_names().map(str::to_owned).collect();
    let formats = [
        idx,
        kin::emnist,
        kin::qmnist,
        cifar10,
        cifar100,
        cifar10_pickles,
        cifar100_pickles,
        svhn,
        stl10,
        numpy_files,
        packed_file,
    ];
    let mut found: Vec<_> = formats.iter().filter_map(|find| find(folder, &names).transpose()).collect();
    if found.len() < 2 {
        return found.pop().transpose();
    }
    Err(Error::Unrecognised {
        folder: folder.to_owned(),
        expected: "the files of one data set".to_owned(),
        found: "files of several formats side by side".to_owned(),
    })
}

pub(super) fn has_ending(name: &str, ending: &str) -> bool {
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
    let used = spelled.iter().flatten().cloned().collect();
    let [train_images, train_labels, test_images, test_labels] =
        complete(folder, spelled, "IDX, plain or with .gz at the end of its name")?;
    Ok(Some((Files::Idx { train: [train_images, train_labels], test: [test_images, test_labels] }, used)))
}

fn cifar(folder: &Path, names: &BTreeSet<String>, layout: Layout, version: Version) -> Found {
    let files: Vec<_> = layout.files().iter().map(|file| version.name(file)).collect();
    if !files.iter().any(|file| names.contains(*file)) {
        return Ok(None);
    }
    if let Some(missing) = files.iter().find(|file| !names.contains(**file)) {
        return Err(Error::Missing { path: folder.join(missing), expected: format!("{layout} {version}") });
    }
    let described = ["batches.meta", "batches.meta.txt", "meta", "coarse_label_names.txt", "fine_label_names.txt"];
    let used = files.iter().chain(&described).map(|name| (*name).to_owned()).collect();
    let mut train: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    Ok(train.pop().map(|test| (Files::Cifar { layout, version, train, test }, used)))
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
    let wanted = ["train_32x32.mat", "test_32x32.mat"];
    let files = whole(folder, names, wanted, "SVHN's cropped digits")?;
    Ok(files.map(|[train, test]| (Files::Svhn { train, test }, wanted.map(str::to_owned).to_vec())))
}

fn stl10(folder: &Path, names: &BTreeSet<String>) -> Found {
    let wanted = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
    let listed = "class_names.txt";
    let class_names = names.get(listed).map(|name| folder.join(name));
    let files = whole(folder, names, wanted, "STL-10 binary")?;
    let used = wanted.iter().chain([&listed]).map(|name| (*name).to_owned()).collect();
    Ok(files.map(|[train_images, train_labels, test_images, test_labels]| {
        let train = [train_images, train_labels];
        (Files::Stl10 { train, test: [test_images, test_labels], names: class_names }, used)
    }))
}

fn numpy_files(folder: &Path, names: &BTreeSet<String>) -> Found {
    let archives: Vec<_> = names.iter().filter(|name| has_ending(name, "npz")).collect();
    if let [name] = archives[..] {
        return Ok(Some((Files::NumpyArchive(folder.join(name)), vec![name.clone()])));
    }
    let stems: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    if let Some(pairs) = numpy::pairs(&stems) {
        let file = |stem: &str| format!("{stem}.npy");
        let used = pairs.iter().flat_map(|(_, pair)| pair.map(file)).collect();
        return Ok(Some((Files::NumpyPairs(pairs.map(|_, pair| pair.map(|stem| folder.join(file(stem))))), used)));
    }
    match &archives[..] {
        [] => Ok(None),
        several => Err(one_of(folder, several)),
    }
}

fn packed_file(folder: &Path, names: &BTreeSet<String>) -> Found {
    let packed: Vec<_> = names.iter().filter(|name| has_ending(name, "mpd")).collect();
    match packed[..] {
        [] => Ok(None),
        [name] => Ok(Some((Files::Packed(folder.join(name)), vec![name.clone()]))),
        _ => Err(one_of(folder, &packed)),
    }
}

/// The error for several files that are a data set each.
fn one_of(folder: &Path, names: &[&String]) -> Error {
    Error::Unrecognised {
        folder: folder.to_owned(),
        expected: "one data set".to_owned(),
        found: format!("several ({}): name one of these files", some(names)),
    }
}

/// Joins the names to the folder, or says which one is not there.
pub(super) fn complete<const K: usize>(
    folder: &Path,
    names: [Result<String, &'static str>; K],
    expected: &str,
) -> Result<[PathBuf; K], Error> {
    if let Some(missing) = names.iter().find_map(|name| name.as_ref().err()) {
        return Err(Error::Missing { path: folder.join(missing), expected: expected.to_owned() });
    }
    Ok(names.map(|name| folder.join(name.unwrap_or_else(str::to_owned))))
}
