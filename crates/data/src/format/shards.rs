//! Tar files of pictures, as WebDataset writes them: `key.jpg` and `key.cls` next to each other, in one file or in many.
//!
//! The headers are read once, to learn where each picture lies; pictures are then read from there. The order is that of
//! the files, which are sorted by name, and within a file that of the pictures.

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tar::EntryType;

use super::pictures::{MOST_BYTES, with_bytes};
use super::{count_classes, malformed};
use crate::decode::{self, Codec};
use crate::error::Line;
use crate::fingerprint::Fingerprint;
use crate::ignored::{Ignored, is_leftover};
use crate::image::all_rows;
use crate::parts::Parts;
use crate::{Dataset, Error, Image, ImageShape, ImageView, Rows, file};

/// The most digits that a label has, with some room for blanks and the end of the line.
const LONGEST_LABEL: u64 = 32;
/// The longest name that is believed; Linux allows no longer path.
const LONGEST_NAME: u64 = 4096;

/// Where a picture lies, and its class.
#[derive(Debug, PartialEq)]
struct Place {
    offset: u64,
    length: u32,
    label: u32,
}

/// Pictures in tar files.
pub(crate) struct Shards {
    name: String,
    classes: Vec<String>,
    paths: Vec<PathBuf>,
    /// The positions of each file's pictures.
    runs: Vec<Range<usize>>,
    places: Vec<Place>,
    /// The members that are neither pictures nor labels.
    pub(crate) ignored: Ignored,
}

impl Shards {
    /// Reads the headers of all files. Without `classes` their number is that of the labels, which must have no gap.
    pub(crate) fn open(name: String, paths: Vec<PathBuf>, classes: Option<&[String]>) -> Result<Self, Error> {
        let found: Vec<Indexed> = paths.par_iter().map(|path| index_file(path)).collect::<Result<_, _>>()?;
        let mut runs = Vec::with_capacity(paths.len());
        let (mut places, mut ignored) = (Vec::new(), Ignored::default());
        for shard in found {
            runs.push(places.len()..places.len() + shard.places.len());
            places.extend(shard.places);
            ignored.add(shard.ignored);
        }
        let mut shards = Self { name, classes: Vec::new(), paths, runs, places, ignored };
        let labels: Vec<u32> = shards.places.iter().map(|place| place.label).collect();
        let fault = |index: usize, expected: String| {
            let place = &shards.places[index];
            malformed(&shards.paths[shards.shard(index)], place.offset, expected, place.label)
        };
        let classes = match classes {
            Some(classes) => match labels.iter().position(|&label| label as usize >= classes.len()) {
                Some(index) => return Err(fault(index, format!("a label below {}", classes.len()))),
                None => classes.to_vec(),
            },
            None => {
                let count = count_classes(&labels).map_err(|(index, expected)| fault(index, expected))?;
                (0..count).map(|class| class.to_string()).collect()
            }
        };
        shards.classes = classes;
        Ok(shards)
    }

    /// The file in which a picture lies.
    fn shard(&self, index: usize) -> usize {
        self.runs.partition_point(|run| run.end <= index)
    }

    fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let place = &self.places[index];
        let path = &self.paths[self.shard(index)];
        let read = |bytes: &mut Vec<u8>| -> io::Result<usize> {
            let mut file = file::open(path)?;
            file.seek(SeekFrom::Start(place.offset))?;
            file.take(place.length.into()).read_to_end(bytes)
        };
        bytes.clear();
        read(bytes).map(|_| ()).map_err(Error::io("read", path))
    }
}

impl Dataset for Shards {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn channels(&self) -> usize {
        3
    }

    fn shape(&self) -> Option<ImageShape> {
        None
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.places[index].label as usize
    }

    fn origin(&self, index: usize) -> String {
        format!("{}: the picture at byte {}", Line(&self.paths[self.shard(index)]), self.places[index].offset)
    }

    fn shards(&self) -> Vec<Range<usize>> {
        self.runs.clone()
    }

    /// Of the files' names and sizes, and the place, size and label of each picture.
    fn fingerprint(&self) -> Result<String, Error> {
        let mut fingerprint = Fingerprint::new("shards", &self.classes);
        for (path, run) in self.paths.iter().zip(&self.runs) {
            fingerprint.bytes(path.file_name().unwrap_or_default().as_encoded_bytes());
            fingerprint.number(path.metadata().map_err(Error::io("read", path))?.len());
            fingerprint.number(run.len() as u64);
        }
        for Place { offset, length, label } in &self.places {
            [*offset, (*length).into(), (*label).into()].into_iter().for_each(|number| fingerprint.number(number));
        }
        Ok(fingerprint.finish())
    }

    fn encoded<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        self.read(index, buffer)?;
        Ok(Some(buffer))
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.first_rows(index, buffer, &all_rows)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        with_bytes(|bytes| {
            self.read(index, bytes)?;
            decode::decode_rows(bytes, buffer, rows).map_err(|source| {
                let (shard, offset) = (self.shard(index), self.places[index].offset);
                let member = format!("the picture at byte {offset}");
                Error::Picture { path: self.paths[shard].clone(), member, source }
            })
        })?;
        Ok(buffer.view())
    }
}

/// What the headers of a file tell.
#[derive(Debug, Default, PartialEq)]
struct Indexed {
    places: Vec<Place>,
    ignored: Ignored,
}

fn index_file(path: &Path) -> Result<Indexed, Error> {
    let file = file::open(path).map_err(Error::io("read", path))?;
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    // Small: a seek beyond it throws it away.
    index(path, BufReader::with_capacity(2048, file), size)
}

/// A sample of which not everything has been seen.
#[derive(Default)]
struct Sample {
    key: Vec<u8>,
    picture: Option<(u64, u32)>,
    label: Option<u32>,
    /// Where its first entry begins.
    start: u64,
}

impl Sample {
    /// Adds the sample to those that are whole; one without a key is none.
    fn finish(self, path: &Path, places: &mut Vec<Place>) -> Result<(), Error> {
        let Self { key, picture, label, start } = self;
        let missing =
            |what: &str| malformed(path, start, format!("{what} of `{}`", key.escape_ascii()), "none beside it");
        match (picture, label) {
            _ if key.is_empty() => Ok(()),
            (Some((offset, length)), Some(label)) => {
                places.push(Place { offset, length, label });
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), None) => Err(missing("the label (.cls)")),
            (None, Some(_)) => Err(missing("the picture (.jpg, .jpeg, .jpe, .jfif, .jif, .png, .webp or .bmp)")),
        }
    }
}

/// Reads the headers of a tar file of `size` bytes.
fn index(path: &Path, bytes: impl Read + Seek, size: u64) -> Result<Indexed, Error> {
    let mut tar = tar::Archive::new(bytes);
    let broken = |error: io::Error| malformed(path, 0, "an intact tar file", error);
    let Indexed { mut places, mut ignored } = Indexed::default();
    let mut sample = Sample::default();
    let mut long_name = None;
    for entry in tar.entries_with_seek().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let (offset, length) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(malformed(path, offset, format!("{length} bytes of an entry"), format!("the end at {size}")));
        }
        let name = match entry.header().entry_type() {
            EntryType::GNULongName => {
                long_name = Some(read_name(path, &mut entry)?);
                continue;
            }
            EntryType::XHeader => {
                long_name = pax_name(path, &mut entry)?.or(long_name);
                continue;
            }
            EntryType::Regular | EntryType::Continuous => {
                long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned())
            }
            EntryType::Link | EntryType::Symlink => {
                ignored.count("link in tar files");
                continue;
            }
            _ => continue,
        };
        let Some((key, ending)) = split_name(&name) else {
            count(&name, &mut ignored);
            continue;
        };
        if key != sample.key {
            std::mem::take(&mut sample).finish(path, &mut places)?;
            sample = Sample { key: key.to_vec(), start: offset.saturating_sub(512), ..Sample::default() };
        }
        if ending.eq_ignore_ascii_case(b"cls") {
            sample.label = Some(label(path, offset, &mut entry)?);
        } else if is_picture(ending) {
            let length =
                u32::try_from(length).ok().filter(|&length| u64::from(length) <= MOST_BYTES).ok_or_else(|| {
                    malformed(
                        path,
                        offset,
                        format!("a picture of at most {} MiB", MOST_BYTES >> 20),
                        format!("{length} bytes"),
                    )
                })?;
            if sample.picture.replace((offset, length)).is_some() {
                let expected = format!("one picture of `{}`", key.escape_ascii());
                return Err(malformed(path, offset, expected, "a second one"));
            }
        } else {
            count(&name, &mut ignored);
        }
    }
    sample.finish(path, &mut places)?;
    if places.is_empty() {
        return Err(malformed(path, 0, "pictures with their labels (KEY.jpg and KEY.cls)", "none"));
    }
    Ok(Indexed { places, ignored })
}

/// A name without its ending, and the ending: all from the first dot of the last component on. Hidden files are none of the set.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let dot = start + name[start..].iter().position(|&byte| byte == b'.')?;
    (dot > start).then(|| (&name[..dot], &name[dot + 1..]))
}

/// Counts a member that is neither picture nor label.
fn count(name: &[u8], ignored: &mut Ignored) {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let last = OsString::from(String::from_utf8_lossy(last).into_owned());
    if !is_leftover(&last) {
        ignored.file(&last);
    }
}

fn is_picture(ending: &[u8]) -> bool {
    let last = ending.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    str::from_utf8(last).is_ok_and(|last| Codec::is_named(format!("x.{last}").as_ref()))
}

/// The label that an entry consists of, in decimal digits.
fn label(path: &Path, offset: u64, entry: &mut impl Read) -> Result<u32, Error> {
    let mut text = Vec::new();
    entry.take(LONGEST_LABEL).read_to_end(&mut text).map_err(Error::io("read", path))?;
    let label = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    label.ok_or_else(|| malformed(path, offset, "a label of decimal digits", format!("`{}`", text.escape_ascii())))
}

fn read_name(path: &Path, entry: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut name = Vec::new();
    entry.take(LONGEST_NAME + 1).read_to_end(&mut name).map_err(Error::io("read", path))?;
    if name.len() as u64 > LONGEST_NAME {
        return Err(malformed(path, 0, format!("names of at most {LONGEST_NAME} bytes"), "a longer one"));
    }
    Ok(name.strip_suffix(&[0]).map(<[u8]>::to_vec).unwrap_or(name))
}

/// The `path` of a pax header.
fn pax_name(path: &Path, entry: &mut impl Read) -> Result<Option<Vec<u8>>, Error> {
    let bytes = read_name(path, entry)?;
    let mut name = None;
    for record in tar::PaxExtensions::new(&bytes) {
        let record = record.map_err(|error| malformed(path, 0, "an intact pax header", error))?;
        match record.key_bytes() {
            b"path" => name = Some(record.value_bytes().to_vec()),
            b"size" => return Err(malformed(path, 0, "files below 8 GiB", "a larger one")),
            _ => {}
        }
    }
    Ok(name)
}

/// The files of each split among tar files in one folder: told by `train`, `val` and `test` in their names.
pub(crate) fn by_split(folder: &Path, names: &[String]) -> Result<Parts<Vec<PathBuf>>, Error> {
    let refusal = |expected: &str, found: String| {
        Err(Error::Unrecognised { folder: folder.to_owned(), expected: expected.to_owned(), found })
    };
    let mut found = ["train", "val", "test"].map(|word| (word, Vec::new()));
    let mut others = Vec::new();
    for name in names {
        let lower = name.to_ascii_lowercase();
        let mut named = found.iter_mut().filter(|(word, _)| lower.contains(word));
        match (named.next(), named.next()) {
            (Some((_, paths)), None) => paths.push(folder.join(name)),
            (None, _) => others.push(name),
            (Some(_), Some(_)) => {
                return refusal("tar files of one split each", format!("{}, named after two", Line(name)));
            }
        }
    }
    let [train, valid, test] = found.map(|(_, paths)| Some(paths).filter(|paths| !paths.is_empty()));
    if train.is_none() && valid.is_none() && test.is_none() {
        return Ok(Parts::train(others.into_iter().map(|name| folder.join(name)).collect()));
    }
    match (others.first(), Parts::of([train, valid, test])) {
        (None, Some(parts)) => Ok(parts),
        (other, _) => {
            let found = other.map_or("no file of train".to_owned(), |other| Line(other).to_string());
            refusal("tar files with train, and val or test, in their names", found)
        }
    }
}

#[cfg(test)]
mod tests;
