//! CIFAR-10 and CIFAR-100: binary files, records of one or two label bytes and a 32x32 image as three planes; pickles of the
//! same; and both still in their archives.
//!
//! Layouts: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version" and "Python / Matlab versions".

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::few_files::FewFiles;
use super::pickled::Pickled;
use super::{Raw, malformed, planes};
use crate::error::Line;
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, ImageShape, Manifest, Splits, file};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// The most bytes of an archive's files; the official ones hold 186 MB.
const MOST_UNPACKED: u64 = 1 << 30;

/// Which of the two record layouts a file has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// One label byte.
    Cifar10,
    /// A coarse label, then the fine label, which is the one that is used.
    Cifar100,
}

impl Layout {
    /// The number of classes behind each label byte, with the name of the label.
    fn labels(self) -> &'static [(&'static str, u8)] {
        match self {
            Self::Cifar10 => &[("label", 10)],
            Self::Cifar100 => &[("coarse label", 20), ("fine label", 100)],
        }
    }

    /// The training files of the binary version, then the test file.
    pub(crate) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
            Self::Cifar100 => &["train.bin", "test.bin"],
        }
    }

    fn record(self) -> usize {
        self.labels().len() + SHAPE.len()
    }

    fn other(self) -> Self {
        match self {
            Self::Cifar10 => Self::Cifar100,
            Self::Cifar100 => Self::Cifar10,
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary",
            Self::Pickled => "as a Python pickle",
        })
    }
}

/// Which of the two versions of the files it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Version {
    /// Names end in `.bin`.
    Binary,
    /// Python pickles, whose names have no ending.
    Pickled,
}

fn nothing() -> Raw {
    Raw { shape: SHAPE, labels: Vec::new(), pixels: Vec::new() }
}

/// Reads the files one after the other into one split.
pub(crate) fn read(paths: &[PathBuf], layout: Layout, version: Version) -> Result<Raw, Error> {
    let mut raw = nothing();
    for path in paths {
        let bytes = file::read(path).map_err(Error::io("read", path))?;
        add(path, &bytes, layout, version, &mut raw)?;
    }
    Ok(raw)
}

fn add(path: &Path, bytes: &[u8], layout: Layout, version: Version, raw: &mut Raw) -> Result<(), Error> {
    match version {
        Version::Binary => parse(path, bytes, layout, raw),
        Version::Pickled => parse_pickle(path, bytes, layout, raw),
    }
}

/// Reads both splits out of an official `.tar.gz`, of either version, without unpacking it to the disk.
pub(crate) fn read_archive(path: &Path, layout: Layout, version: Version) -> Result<(Raw, Raw), Error> {
    let file = file::open(path).map_err(Error::io("read", path))?;
    archive(path, BufReader::with_capacity(1 << 16, file), layout, version)
}

fn archive(path: &Path, bytes: impl std::io::BufRead, layout: Layout, version: Version) -> Result<(Raw, Raw), Error> {
    let broken = |error: std::io::Error| malformed(path, 0, "an intact .tar.gz of at most 1 GiB", error);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(bytes).take(MOST_UNPACKED));
    let mut files: Vec<Option<Vec<u8>>> = vec![None; layout.files().len()];
    // Raw: entries are taken as they come, and nothing is kept in memory that is not asked for.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes().into_owned();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let wanted = |file: &&str| name == version.name(file).as_bytes();
        let Some(index) = layout.files().iter().position(wanted) else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 != entry.size() {
            let expected = format!("{} bytes of {}", entry.size(), name.escape_ascii());
            return Err(malformed(path, 0, expected, format!("the end after {}", bytes.len())));
        }
        files[index] = Some(bytes);
    }
    // Entries end before the archive does: the sum over all of it stands at the very end.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(broken)?;
    if rest.limit() == 0 {
        return Err(malformed(path, 0, "an intact .tar.gz of at most 1 GiB", "more"));
    }
    let (mut train, mut test) = (nothing(), nothing());
    for (index, (file, bytes)) in layout.files().iter().zip(files).enumerate() {
        let name = version.name(file);
        let place = PathBuf::from(format!("{}/{name}", Line(path)));
        let bytes = bytes.ok_or_else(|| malformed(path, 0, format!("an archive with {name}"), "none"))?;
        let split = if index + 1 < layout.files().len() { &mut train } else { &mut test };
        add(&place, &bytes, layout, version, split)?;
    }
    Ok((train, test))
}

/// Which data set an archive holds, told from the first of its files that belongs to one; `None` if there is none.
pub(crate) fn identify(path: &Path) -> Result<Option<(Layout, Version)>, Error> {
    let file = file::open(path).map_err(Error::io("read", path))?;
    let broken = |error: std::io::Error| malformed(path, 0, "an intact .tar.gz of at most 1 GiB", error);
    let mut archive =
        tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file)).take(MOST_UNPACKED));
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let name = entry.map_err(broken)?.path_bytes().into_owned();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        for layout in [Layout::Cifar10, Layout::Cifar100] {
            for version in [Version::Binary, Version::Pickled] {
                if layout.files().iter().any(|file| name == version.name(file).as_bytes()) {
                    return Ok(Some((layout, version)));
                }
            }
        }
    }
    Ok(None)
}

impl Version {
    /// What a file of the binary version is called here.
    pub(crate) fn name(self, binary: &str) -> &str {
        match self {
            Self::Binary => binary,
            Self::Pickled => binary.trim_end_matches(".bin"),
        }
    }
}

/// Adds the images of one pickle to `raw`.
fn parse_pickle(path: &Path, bytes: &[u8], layout: Layout, raw: &mut Raw) -> Result<(), Error> {
    let pickle = Pickled::parse(path, bytes)?;
    let (key, classes) = match layout {
        Layout::Cifar10 => ("labels", 10),
        Layout::Cifar100 => ("fine_labels", 100),
    };
    let (labels, array) = (pickle.numbers(key)?, pickle.array("data")?);
    if array.columns != SHAPE.len() || array.rows != labels.len() || labels.is_empty() {
        let expected = format!("`data` of {}x{} bytes, a row for each of `{key}`", labels.len().max(1), SHAPE.len());
        return Err(malformed(path, 0, expected, format!("{}x{}", array.rows, array.columns)));
    }
    if let Some(index) = labels.iter().position(|label| !(0..classes).contains(label)) {
        let expected = format!("number {index} of `{key}` from 0 to {}", classes - 1);
        return Err(malformed(path, 0, expected, labels[index]));
    }
    raw.labels.extend(labels.into_iter().map(|label| label as u32));
    array.bytes.chunks_exact(SHAPE.len()).for_each(|image| planes::from_rows(image, SHAPE, &mut raw.pixels));
    Ok(())
}

/// Adds the records of one file to `raw`.
fn parse(path: &Path, bytes: &[u8], layout: Layout, raw: &mut Raw) -> Result<(), Error> {
    let record = layout.record();
    let rest = bytes.len() % record;
    if bytes.is_empty() || rest != 0 {
        let expected = format!("{} records of {record} bytes each", layout);
        let found = match layout.other() {
            _ if bytes.is_empty() => "an empty file".to_owned(),
            other if bytes.len().is_multiple_of(other.record()) => {
                format!("{} bytes, which is whole records of {} instead", bytes.len(), other)
            }
            _ => format!("the end after {rest} bytes of the last record"),
        };
        return Err(malformed(path, (bytes.len() - rest) as u64, expected, found));
    }

    raw.labels.reserve(bytes.len() / record);
    raw.pixels.reserve(bytes.len() / record * SHAPE.len());
    for (index, record_bytes) in bytes.chunks_exact(record).enumerate() {
        let (labels, planes) = record_bytes.split_at(layout.labels().len());
        for (position, (&label, &(name, classes))) in labels.iter().zip(layout.labels()).enumerate() {
            if label >= classes {
                let offset = (index * record + position) as u64;
                return Err(malformed(path, offset, format!("a {name} from 0 to {}", classes - 1), label));
            }
        }
        raw.labels.extend(labels.last().map(|&label| u32::from(label)));
        planes::from_rows(planes, SHAPE, &mut raw.pixels);
    }
    Ok(())
}

/// Either version of CIFAR-10.
pub(crate) fn find_10(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    either(folder, names, Layout::Cifar10)
}

/// Either version of CIFAR-100.
pub(crate) fn find_100(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    either(folder, names, Layout::Cifar100)
}

fn either(folder: &Path, names: &BTreeSet<String>, layout: Layout) -> Result<Option<FewFiles>, Error> {
    let binary = version(folder, names, layout, Version::Binary)?;
    // `train` and `test` are names that anything may have; with `meta` beside them they are CIFAR-100.
    let pickles = match layout == Layout::Cifar10 || names.contains("meta") {
        true => version(folder, names, layout, Version::Pickled)?,
        false => None,
    };
    match (binary, pickles) {
        (Some(_), Some(_)) => Err(Error::Unrecognised {
            folder: folder.to_owned(),
            expected: "the files of one data set".to_owned(),
            found: format!("both versions of {layout} side by side"),
        }),
        (binary, pickles) => Ok(binary.or(pickles)),
    }
}

fn version(
    folder: &Path,
    names: &BTreeSet<String>,
    layout: Layout,
    version: Version,
) -> Result<Option<FewFiles>, Error> {
    let files: Vec<_> = layout.files().iter().map(|file| version.name(file)).collect();
    if !files.iter().any(|file| names.contains(*file)) {
        return Ok(None);
    }
    if let Some(missing) = files.iter().find(|file| !names.contains(**file)) {
        return Err(Error::Missing { path: folder.join(missing), expected: format!("{layout} {version}") });
    }
    let described = ["batches.meta", "batches.meta.txt", "meta", "coarse_label_names.txt", "fine_label_names.txt"];
    let used: Vec<String> = files.iter().chain(&described).map(|name| (*name).to_owned()).collect();
    let mut train: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    let Some(test) = train.pop() else { return Ok(None) };
    Ok(Some(FewFiles::new(used, move |name, classes, _| {
        let test = read(&[test], layout, version)?;
        both(name, layout, classes, read(&train, layout, version)?, test)
    })))
}

/// The data set in an official archive.
pub(crate) fn in_archive(path: &Path, layout: Layout, version: Version) -> FewFiles {
    let path = path.to_owned();
    FewFiles::new([] as [String; 0], move |name, classes, _| {
        let (train, test) = read_archive(&path, layout, version)?;
        both(name, layout, classes, train, test)
    })
}

fn both(name: &str, layout: Layout, classes: Option<Vec<String>>, train: Raw, test: Raw) -> Result<Splits, Error> {
    let format = match layout {
        Layout::Cifar10 => Format::Cifar10,
        Layout::Cifar100 => Format::Cifar100,
    };
    let official = Manifest::all().iter().find(|manifest| manifest.format == format);
    let classes = classes.or_else(|| official.map(|manifest| manifest.classes.clone())).unwrap_or_default();
    splits(name, format, classes, Parts::tested(train, test))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLANE: usize = 32 * 32;

    fn parsed(bytes: &[u8], layout: Layout) -> Result<Raw, String> {
        let mut raw = nothing();
        parse(Path::new("batch.bin"), bytes, layout, &mut raw).map_err(|error| error.to_string())?;
        Ok(raw)
    }

    /// A record whose red plane is 1s, green 2s and blue 3s.
    fn record(labels: &[u8]) -> Vec<u8> {
        [labels, &[1; PLANE], &[2; PLANE], &[3; PLANE]].concat()
    }

    #[test]
    fn planes_become_pixels() {
        let raw = parsed(&[record(&[4]), record(&[9])].concat(), Layout::Cifar10).unwrap();
        assert_eq!(raw.labels, [4, 9]);
        assert_eq!(raw.pixels.len(), 2 * 3072);
        assert!(raw.pixels.chunks(3).all(|pixel| pixel == [1, 2, 3]));
    }

    #[test]
    fn the_fine_label_is_the_label() {
        assert_eq!(parsed(&record(&[19, 99]), Layout::Cifar100).unwrap().labels, [99]);
    }

    #[test]
    fn every_fault_names_its_place() {
        let two = [record(&[4]), record(&[10])].concat();
        for (bytes, layout, message) in [
            (&[][..], Layout::Cifar10, "byte 0: expected CIFAR-10 records of 3073 bytes each, found an empty file"),
            (
                &two[..6145],
                Layout::Cifar10,
                "byte 3073: expected CIFAR-10 records of 3073 bytes each, found the end after 3072 bytes of the last record",
            ),
            (
                &record(&[1, 2]),
                Layout::Cifar10,
                "byte 3073: expected CIFAR-10 records of 3073 bytes each, found 3074 bytes, which is whole records of CIFAR-100 instead",
            ),
            (&two, Layout::Cifar10, "byte 3073: expected a label from 0 to 9, found 10"),
            (&record(&[20, 0]), Layout::Cifar100, "byte 0: expected a coarse label from 0 to 19, found 20"),
            (&record(&[0, 100]), Layout::Cifar100, "byte 1: expected a fine label from 0 to 99, found 100"),
        ] {
            assert_eq!(parsed(bytes, layout).unwrap_err(), format!("batch.bin: {message}"));
        }
    }

    /// A small archive of CIFAR-10, packed at this level in so many parts one after the other, as some programs write them.
    fn packed(parts: usize, level: flate2::Compression) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (label, name) in Layout::Cifar10.files().iter().enumerate() {
            let bytes = [&[label as u8][..], &[label as u8 * 3; 3 * PLANE]].concat();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).unwrap();
        }
        let whole = builder.into_inner().unwrap();
        let gzip = |part: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            std::io::Write::write_all(&mut packer, part).unwrap();
            packer.finish().unwrap()
        };
        whole.chunks(whole.len().div_ceil(parts)).flat_map(gzip).collect()
    }

    fn unpacked(bytes: &[u8]) -> Result<(Raw, Raw), Error> {
        archive(Path::new("cifar.tar.gz"), bytes, Layout::Cifar10, Version::Binary)
    }

    /// The positions of those flipped bits, one of every `step`th byte, with which an archive is still read.
    fn taken(whole: &[u8], step: usize) -> Vec<usize> {
        let expected = unpacked(whole).unwrap();
        assert_eq!((&expected.0.labels[..], &expected.1.labels[..]), (&[0, 1, 2, 3, 4][..], &[5][..]));
        let is_taken = |&at: &usize| {
            let mut spoilt = whole.to_vec();
            spoilt[at] ^= 1 << (at % 8);
            match unpacked(&spoilt) {
                Ok(found) => assert_eq!(found, expected, "byte {at} of {}", whole.len()),
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "byte {at}: {error}");
                    return false;
                }
            }
            true
        };
        (0..whole.len()).step_by(step).filter(is_taken).collect()
    }

    /// Stored as they are, all bytes but those of the header are under the sum at the end.
    #[test]
    fn no_flipped_bit_of_an_archive_is_taken() {
        let whole = packed(1, flate2::Compression::none());
        assert!(taken(&whole, 61).iter().all(|at| (4..10).contains(at)));
        assert_eq!(taken(&whole[..], 1009).len(), 0);
    }

    /// Compressed, some bits say nothing about the content, such as the lengths of codes that never occur.
    #[test]
    fn no_flipped_bit_of_a_compressed_archive_changes_an_image() {
        for parts in [1, 3] {
            let whole = packed(parts, flate2::Compression::fast());
            let taken = taken(&whole, 1);
            assert!(taken.len() < whole.len() / 3, "{} of {}", taken.len(), whole.len());
            // The sum and the size at the end of the last part.
            assert!(taken.iter().all(|&at| at < whole.len() - 8), "{taken:?} of {}", whole.len());
        }
    }

    #[test]
    fn an_archive_is_read_to_its_very_end() {
        let whole = packed(2, flate2::Compression::fast());
        for spoilt in
            [whole[..whole.len() - 1].to_vec(), whole[..whole.len() - 8].to_vec(), [&whole[..], b"more"].concat()]
        {
            let message = unpacked(&spoilt).unwrap_err().to_string();
            assert!(message.starts_with("cifar.tar.gz: byte 0: expected an intact .tar.gz"), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_images_or_an_error(
            size in prop_oneof![0usize..4000, Just(3073), Just(3074), Just(6146)],
            first: [u8; 2],
            value: u8,
            hundred: bool,
        ) {
            let mut bytes = vec![value; size];
            bytes.iter_mut().zip(first).for_each(|(byte, value)| *byte = value);
            let layout = if hundred { Layout::Cifar100 } else { Layout::Cifar10 };
            if let Ok(raw) = parsed(&bytes, layout) {
                prop_assert_eq!(raw.pixels.len(), raw.labels.len() * SHAPE.len());
                prop_assert_eq!(bytes.len(), raw.labels.len() * layout.record());
            }
        }
    }
}
