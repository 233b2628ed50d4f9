//! Pictures whose classes stand in a table: a `.csv` with a column of files and a column of labels, and pictures beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::listing::{Found, walk};
use super::pictures::Pictures;
use crate::decode::{Codec, ENDINGS};
use crate::error::{Line, is_printable};
use crate::ignored::Ignored;
use crate::parts::{Parts, Split, Spoken, spoken};
use crate::{Error, file};

/// What the column with the files may be called, in any case; the first six are named in messages.
const FILE: [&str; 17] = [
    "file",
    "filename",
    "path",
    "image",
    "image_id",
    "id",
    "files",
    "file_name",
    "filepath",
    "filepaths",
    "file_path",
    "images",
    "image_name",
    "image_file",
    "image_path",
    "img",
    "id_code",
];
/// What the column with the classes may be called, in the same way.
const LABEL: [&str; 10] =
    ["label", "class", "category", "target", "species", "breed", "labels", "classes", "class_name", "y"];
/// What a column that says which split a picture belongs to may be called.
const SPLIT: [&str; 6] = ["split", "subset", "set", "data set", "dataset", "partition"];

/// The most bytes of a line that is believed to be the names of columns.
const LONGEST_HEADER: u64 = 1 << 20;

/// What the first line of a table says.
pub(crate) enum Table {
    List(List),
    /// It is no list of pictures, for this reason. One that names files at least was meant to be one.
    Other {
        reason: Error,
        names_files: bool,
    },
}

/// A table of pictures, of which the first line has been read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    path: PathBuf,
    delimiter: u8,
    columns: Vec<String>,
    file: usize,
    label: usize,
    split: Option<usize>,
}

impl List {
    /// Reads the names of the columns.
    pub(crate) fn of(path: &Path) -> Result<Table, Error> {
        let mut start = Vec::new();
        let file = file::open(path).map_err(Error::io("read", path))?;
        file.take(LONGEST_HEADER).read_to_end(&mut start).map_err(Error::io("read", path))?;
        let first = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let delimiter = b",;\t".iter().copied().find(|delimiter| first.contains(delimiter)).unwrap_or(b',');
        let mut record = ByteRecord::new();
        let read = reader(delimiter, &start[..]).read_byte_record(&mut record);
        let expected = || {
            format!(
                "the names of columns, one for files ({}) and one for labels ({})",
                FILE[..6].join(", ") + ", ...",
                LABEL[..6].join(", ") + ", ..."
            )
        };
        let refusal = |found: String| Error::List { path: path.to_owned(), line: 1, expected: expected(), found };
        if !read.is_ok_and(|read| read) {
            return Ok(Table::Other { reason: refusal("none".to_owned()), names_files: false });
        }
        let columns: Vec<String> = record.iter().map(|name| text(name).trim().to_owned()).collect();
        let find = |known: &[&str]| -> Vec<usize> {
            let is_known = |name: &String| {
                known.iter().any(|known| {
                    name.replace([' ', '-'], "_").eq_ignore_ascii_case(known) || name.eq_ignore_ascii_case(known)
                })
            };
            (0..columns.len()).filter(|&column| is_known(&columns[column])).collect()
        };
        let shown = || columns.iter().take(6).map(|name| Line(name).to_string()).collect::<Vec<_>>().join(", ");
        let one = |what: &str, found: &[usize]| match found {
            [] => Err(refusal(format!("no column for {what} among {}", shown()))),
            [column] => Ok(*column),
            [a, b, ..] => Err(refusal(format!(
                "two columns for {what}, {} and {}: remove or rename one",
                Line(&columns[*a]),
                Line(&columns[*b])
            ))),
        };
        let mut files = find(&FILE);
        // A number that lines have beside the name of their file.
        if files.len() > 1 {
            files.retain(|&column| !columns[column].eq_ignore_ascii_case("id"));
        }
        let (file, label) = match (one("files", &files), one("labels", &find(&LABEL))) {
            (Ok(file), Ok(label)) => (file, label),
            (Err(reason), _) => return Ok(Table::Other { reason, names_files: false }),
            (_, Err(reason)) => return Ok(Table::Other { reason, names_files: true }),
        };
        let split = match find(&SPLIT)[..] {
            [] => None,
            ref found => match one("splits", found) {
                Ok(column) => Some(column),
                Err(reason) => return Ok(Table::Other { reason, names_files: true }),
            },
        };
        Ok(Table::List(Self { path: path.to_owned(), delimiter, columns, file, label, split }))
    }

    /// The split that the table's name means.
    pub(crate) fn split(&self) -> Option<Split> {
        spoken(&self.path.file_stem()?.to_string_lossy()).map(|Spoken { split, .. }| split)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lines below the first.
    fn rows(&self) -> Result<Vec<Row>, Error> {
        let bytes = file::read(&self.path).map_err(Error::io("read", &self.path))?;
        let mut reader = reader(self.delimiter, &bytes[..]);
        let (mut record, mut rows, mut header) = (ByteRecord::new(), Vec::new(), true);
        loop {
            // The reader counts empty lines to the line that comes after them.
            let line = |record: &ByteRecord| {
                let Some(position) = record.position() else { return 1 };
                let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
                let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n');
                position.line() + empty.count() as u64
            };
            let fault = |line, expected: String, found: String| Error::List {
                path: self.path.clone(),
                line,
                expected,
                found: Line(&found).to_string(),
            };
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(fault(line(&record), "a line of a table".to_owned(), error.to_string())),
            }
            if std::mem::take(&mut header) {
                continue;
            }
            let line = line(&record);
            if record.len() != self.columns.len() {
                let expected = format!("{} fields, as line 1 has", self.columns.len());
                return Err(fault(line, expected, record.len().to_string()));
            }
            let field = |column: usize| {
                let bytes = record.get(column).unwrap_or_default();
                let value = str::from_utf8(bytes).map(str::trim).ok().filter(|value| !value.is_empty());
                value.filter(|value| value.chars().all(is_printable)).ok_or_else(|| {
                    let expected = format!("text in the column {}", Line(&self.columns[column]));
                    fault(line, expected, if bytes.is_empty() { "nothing".to_owned() } else { text(bytes) })
                })
            };
            let split = match self.split {
                None => None,
                Some(column) => {
                    let value = field(column)?;
                    let split = spoken(value).filter(Spoken::is_plain).map(|spoken| spoken.split);
                    let expected = || format!("train, valid or test in the column {}", Line(&self.columns[column]));
                    Some(split.ok_or_else(|| fault(line, expected(), value.to_owned()))?)
                }
            };
            rows.push(Row { line, file: field(self.file)?.to_owned(), label: field(self.label)?.to_owned(), split });
        }
        if rows.is_empty() {
            let expected = "a line for each picture below the names of the columns".to_owned();
            return Err(Error::List { path: self.path.clone(), line: 2, expected, found: "the end".to_owned() });
        }
        Ok(rows)
    }

    fn fault(&self, line: u64, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::List { path: self.path.clone(), line, expected: expected.into(), found: found.into() }
    }
}

fn reader<R: Read>(delimiter: u8, bytes: R) -> Reader<R> {
    ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(bytes)
}

/// Bytes as text; a mark at the beginning, which spreadsheets write, is none.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned()
}

/// One line of a table.
struct Row {
    line: u64,
    file: String,
    label: String,
    split: Option<Split>,
}

/// The pictures of `root` that the tables name, and what lies beside them.
pub(crate) fn open(name: &str, root: &Path, lists: &Parts<List>) -> Result<(Parts<Pictures>, Ignored), Error> {
    let Found { pictures, mut ignored } = walk(root, Path::new(""))?;
    let index = Index::of(&pictures);
    let mut used: HashMap<&Path, (&List, u64)> = HashMap::new();
    let mut rows: BTreeMap<Split, Vec<(&List, Row, &Path)>> = BTreeMap::new();
    for (named, list) in lists.iter() {
        for row in list.rows()? {
            let split = row.split.unwrap_or(named);
            let path = index.find(list, &row, split)?;
            if let Some((other, line)) = used.insert(path, (list, row.line)) {
                let found = match other.path == list.path {
                    true => format!("that of line {line}"),
                    false => format!("that of line {line} of {}", Line(other.path.file_name().unwrap_or_default())),
                };
                return Err(list.fault(row.line, format!("another picture than {}", Line(path)), found));
            }
            rows.entry(split).or_default().push((list, row, path));
        }
    }
    let train =
        rows.remove(&Split::Train).ok_or_else(|| lists.train.fault(2, "pictures of the split train", "none"))?;
    let classes = classes(train.iter().map(|(_, row, _)| row.label.as_str()));
    let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    if classes.len() < 2 {
        return Err(lists.train.fault(2, "labels of two classes or more", format!("`{}` alone", classes[0])));
    }
    let open = |split: Split, rows: Vec<(&List, Row, &Path)>| {
        let files = rows.into_iter().map(|(list, row, path)| {
            let label = labels.get(row.label.as_str());
            let label = label.ok_or_else(|| {
                list.fault(row.line, "a label that the training images have too", format!("`{}`", row.label))
            })?;
            Ok((*label, path.to_owned().into_boxed_path()))
        });
        let files = files.collect::<Result<_, Error>>()?;
        let name = format!("{name}/{split}");
        Ok(Pictures { name, root: root.to_owned(), classes: classes.clone(), files, ignored: Ignored::default() })
    };
    let [valid, test] = [Split::Valid, Split::Test].map(|split| rows.remove(&split).map(|rows| (split, rows)));
    let [valid, test] = [valid, test].map(|part| part.map(|(split, rows)| open(split, rows)).transpose());
    let parts = Parts { train: open(Split::Train, train)?, valid: valid?, test: test? };
    for (_, list) in lists.iter() {
        // It is read, and was counted as a file that is no picture.
        ignored.uncount(list.path.file_name().unwrap_or_default());
        let read = [Some(list.file), Some(list.label), list.split];
        let unread = (0..list.columns.len()).filter(|&column| !read.contains(&Some(column)));
        let unread: Vec<_> = unread.map(|column| Line(&list.columns[column]).to_string()).collect();
        if !unread.is_empty() {
            let file = Line(list.path.file_name().unwrap_or_default()).to_string();
            ignored.part(format!("the columns {} of {file}", unread.join(", ")));
        }
    }
    let mut unnamed: BTreeMap<String, usize> = BTreeMap::new();
    for path in pictures.iter().filter(|path| !used.contains_key(&***path)) {
        let folder = path.parent().and_then(|parent| parent.iter().next());
        let folder = folder.map_or(String::new(), |folder| format!("{}/ ", Line(folder)));
        *unnamed.entry(folder).or_default() += 1;
    }
    for (folder, count) in unnamed {
        ignored.part(format!("{folder}({count} pictures that no list names)"));
    }
    Ok((parts, ignored))
}

/// The names of the classes: in the order of their numbers if all are whole numbers, otherwise of their names.
fn classes<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut classes: Vec<&str> = labels.collect::<BTreeSet<_>>().into_iter().collect();
    let numbers: Option<Vec<i64>> = classes.iter().map(|label| label.parse().ok()).collect();
    if numbers.is_some() {
        classes.sort_by_key(|label| label.parse::<i64>().unwrap_or_default());
    }
    classes.into_iter().map(str::to_owned).collect()
}

/// Pictures by their whole paths and by their names, with and without ending.
struct Index<'a> {
    whole: HashSet<&'a Path>,
    by_name: HashMap<&'a OsStr, Vec<&'a Path>>,
    by_stem: HashMap<&'a OsStr, Vec<&'a Path>>,
}

impl<'a> Index<'a> {
    fn of(pictures: &'a [Box<Path>]) -> Self {
        let whole = pictures.iter().map(|path| &**path).collect();
        let mut index = Self { whole, by_name: HashMap::new(), by_stem: HashMap::new() };
        for path in pictures {
            if let (Some(name), Some(stem)) = (path.file_name(), path.file_stem()) {
                index.by_name.entry(name).or_default().push(path);
                index.by_stem.entry(stem).or_default().push(path);
            }
        }
        index
    }

    /// The one picture that a line names: by its path from the list's folder on, or by the last parts of its path, with or without
    /// an ending. A picture in a folder of another split is not looked at.
    fn find(&self, list: &List, row: &Row, split: Split) -> Result<&'a Path, Error> {
        let wanted: PathBuf = Path::new(&row.file).components().filter(|part| *part != Component::CurDir).collect();
        // Alone in not looking at every picture of the same name: many data sets have as many folders as pictures.
        if let Some(exact) = self.whole.get(&*wanted) {
            return Ok(exact);
        }
        let name = wanted.file_name().unwrap_or_default();
        let ends = |path: &Path| match Codec::is_named(name) {
            true => path.ends_with(&wanted),
            false => path.with_extension("").ends_with(&wanted),
        };
        let named = if Codec::is_named(name) { self.by_name.get(name) } else { self.by_stem.get(name) };
        let found: Vec<&'a Path> = named.into_iter().flatten().copied().filter(|path| ends(path)).collect();
        let elsewhere = |path: &Path| {
            let folders = path.parent().into_iter().flat_map(Path::iter).filter_map(OsStr::to_str);
            let mut splits = folders.filter_map(spoken).map(|spoken| spoken.split);
            splits.any(|found| found != split)
        };
        let here: Vec<_> = found.iter().copied().filter(|path| !elsewhere(path)).collect();
        let expected = || match Codec::is_named(name) {
            true => format!("a picture `{}` beside the list or in a folder there", Line(&row.file)),
            false => format!(
                "a picture `{}` with one of the endings {}, beside the list or in a folder there",
                Line(&row.file),
                ENDINGS.join(", ")
            ),
        };
        match here[..] {
            [path] => Ok(path),
            [] if found.is_empty() => Err(list.fault(row.line, expected(), "none")),
            [] => Err(list.fault(row.line, expected(), format!("{}, in a folder of another split", Line(found[0])))),
            [a, b, ..] => {
                Err(list.fault(row.line, "one picture", format!("{} and {}: write the folder, too", Line(a), Line(b))))
            }
        }
    }
}

/// Whether a file is a table by its name.
pub(crate) fn is_named(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ["csv", "tsv"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Counts a file that is not read; a table is named.
pub(crate) fn count(name: &OsStr, ignored: &mut Ignored) {
    match name.to_str().is_some_and(is_named) {
        true => ignored.part(format!("{} (a table that is not read)", Line(name))),
        false => ignored.file(name),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn as_many_folders_as_pictures_of_one_name_are_found_at_once() {
        let pictures: Vec<Box<Path>> =
            (0..200_000).map(|number| PathBuf::from(format!("{number}/image.jpg")).into_boxed_path()).collect();
        let list = List {
            path: PathBuf::from("train.csv"),
            delimiter: b',',
            columns: Vec::new(),
            file: 0,
            label: 1,
            split: None,
        };
        let row =
            |path: &Path| Row { line: 2, file: format!("./{}", path.display()), label: String::new(), split: None };
        let (index, start) = (Index::of(&pictures), Instant::now());
        for path in &pictures {
            assert_eq!(index.find(&list, &row(path), Split::Train).unwrap(), &**path);
        }
        // A fraction of a second, where comparing each with each would take hours.
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
