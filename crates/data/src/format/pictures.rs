//! A folder for each class, as ImageNet has them: nothing is read before it is asked for, nothing is decoded to open it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::decode::{self, Codec};
use crate::error::Line;
use crate::image::all_rows;
use crate::{Dataset, Error, Image, ImageShape, ImageView, Rows};

/// The most bytes that a picture's file may have.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// Pictures in files of their own. The order is that of the classes, then of the paths.
pub(crate) struct Pictures {
    name: String,
    root: PathBuf,
    classes: Vec<String>,
    /// The label of each, and its path below `root`.
    files: Vec<(u32, Box<Path>)>,
}

impl Pictures {
    /// All pictures below `root/CLASS`, at any depth. The classes are `root`'s folders in the order of their names, or the
    /// given ones, of which each folder must be one.
    pub(crate) fn open(name: String, root: &Path, classes: Option<&[String]>) -> Result<Self, Error> {
        let folders = list(root)?.folders.into_iter().map(|folder| class_name(root, folder));
        let folders: Vec<String> = folders.collect::<Result<_, _>>()?;
        check_case(root, &folders)?;
        let classes_here = classes.unwrap_or(&folders);
        let labels: HashMap<&str, u32> = classes_here.iter().map(String::as_str).zip(0..).collect();
        let unknown = folders.iter().find(|folder| !labels.contains_key(folder.as_str()));
        if let Some(unknown) = unknown {
            return Err(Error::Unrecognised {
                folder: root.join(unknown),
                expected: "a class that the training images have too".to_owned(),
                found: "a folder of another name".to_owned(),
            });
        }
        let pictures = folders.par_iter().map(|folder| {
            let mut found = Vec::new();
            walk(&root.join(folder), Path::new(folder), &mut Vec::new(), &mut found)?;
            if found.is_empty() && classes.is_none() {
                return Err(nothing(root.join(folder)));
            }
            found.sort_unstable();
            Ok(found.into_iter().map(|path| (labels[folder.as_str()], path)).collect::<Vec<_>>())
        });
        let files: Vec<_> = pictures.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect();
        if files.is_empty() {
            return Err(nothing(root.to_owned()));
        }
        Ok(Self { name, root: root.to_owned(), classes: classes_here.to_vec(), files })
    }

    /// The pictures of `root/images`, whose classes stand in `root/val_annotations.txt`: a line for each, with the file's
    /// name, a tab, the class and more that is not needed here (Tiny ImageNet).
    pub(crate) fn open_annotated(name: String, root: &Path, classes: &[String]) -> Result<Self, Error> {
        let path = root.join(ANNOTATIONS);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let known: HashMap<&[u8], u32> = classes.iter().map(String::as_bytes).zip(0..).collect();
        let mut labels = HashMap::new();
        let mut offset = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let mut fields = line.trim_ascii_end().split(|&byte| byte == b'\t');
            let file = fields.next().unwrap_or_default();
            if !file.is_empty() {
                let class = fields.next().unwrap_or_default();
                let label = known.get(class).ok_or_else(|| Error::Format {
                    path: path.clone(),
                    offset,
                    expected: "a file's name, a tab, and a class of the training images".to_owned(),
                    found: format!("the class `{}`", class.escape_ascii()),
                })?;
                labels.insert(file.to_owned(), *label);
            }
            offset += line.len() as u64;
        }
        let mut files = Vec::new();
        for file in list(&root.join("images"))?.files.into_iter().filter(|name| Codec::is_named(name)) {
            let label = labels.remove(file.as_encoded_bytes()).ok_or_else(|| Error::Missing {
                path: path.clone(),
                expected: format!("a line for {}", Line(&file)),
            })?;
            files.push((label, Path::new("images").join(file).into_boxed_path()));
        }
        match labels.into_keys().min() {
            Some(missing) => Err(Error::Missing {
                path: root.join("images").join(missing.escape_ascii().to_string()),
                expected: format!("a picture, as {ANNOTATIONS} says"),
            }),
            None if files.is_empty() => Err(nothing(root.join("images"))),
            None => Ok(Self { name, root: root.to_owned(), classes: classes.to_vec(), files }),
        }
    }
}

impl Pictures {
    /// The same pictures, with other names for their classes.
    pub(crate) fn with_class_names(self, classes: Vec<String>) -> Self {
        debug_assert_eq!(classes.len(), self.classes.len());
        Self { classes, ..self }
    }
}

/// The file that says which class each validation picture of Tiny ImageNet has.
pub(crate) const ANNOTATIONS: &str = "val_annotations.txt";

impl Dataset for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
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
        self.files[index].0 as usize
    }

    fn encoded<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        let path = self.root.join(&self.files[index].1);
        buffer.clear();
        read(&path, buffer).map_err(Error::io("read", &path))?;
        Ok(Some(buffer))
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.first_rows(index, buffer, &all_rows)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        let path = self.root.join(&self.files[index].1);
        with_bytes(|bytes| {
            read(&path, bytes).map_err(Error::io("read", &path))?;
            decode::decode_rows(bytes, buffer, rows).map_err(|source| Error::Picture {
                path: path.clone(),
                member: String::new(),
                source,
            })
        })?;
        Ok(buffer.view())
    }
}

/// Lends memory for an encoded picture: each thread has some, which serves one picture after another.
pub(crate) fn with_bytes<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        work(bytes)
    })
}

fn read(path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        let reason = format!("it has more than {} MiB: expected a picture", MOST_BYTES >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(())
}

fn nothing(folder: PathBuf) -> Error {
    let expected = "JPEG, PNG, WebP or BMP pictures (.jpg, .jpeg, .png, .webp, .bmp)".to_owned();
    Error::Unrecognised { folder, expected, found: "none".to_owned() }
}

/// A folder's name as the name of a class, which ends up in tables and file names.
fn class_name(root: &Path, folder: OsString) -> Result<String, Error> {
    let unfit = |folder: &OsString| Error::Unrecognised {
        folder: root.join(folder),
        expected: "a class, named in UTF-8 without control characters".to_owned(),
        found: "another name: rename the folder".to_owned(),
    };
    let name = folder.into_string().map_err(|folder| unfit(&folder))?;
    if name.chars().any(char::is_control) { Err(unfit(&name.into())) } else { Ok(name) }
}

/// Refuses two classes that would be one on a disk that does not tell upper from lower case.
fn check_case(root: &Path, classes: &[String]) -> Result<(), Error> {
    let mut seen = HashMap::new();
    for class in classes {
        if let Some(other) = seen.insert(class.to_lowercase(), class) {
            return Err(Error::Unrecognised {
                folder: root.to_owned(),
                expected: "classes that differ in more than upper and lower case".to_owned(),
                found: format!("`{other}` and `{class}`: rename or merge them"),
            });
        }
    }
    Ok(())
}

/// What a folder holds, links followed, sorted; hidden entries and what is neither file nor folder left out.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<OsString>,
    pub(crate) folders: Vec<OsString>,
}

/// Lists a folder, without asking for the state of each file: the directory says what is what, except for links.
pub(crate) fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for entry in folder.read_dir().map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        match kind(&entry)? {
            _ if is_hidden(&entry.file_name()) => {}
            Kind::File => listing.files.push(entry.file_name()),
            Kind::Folder { .. } => listing.folders.push(entry.file_name()),
            Kind::Other => {}
        }
    }
    listing.files.sort_unstable();
    listing.folders.sort_unstable();
    Ok(listing)
}

/// Also what macOS leaves beside each file on foreign disks: `._cat.jpg` is no picture.
fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

enum Kind {
    File,
    Folder {
        linked: bool,
    },
    /// A pipe or device, which one must not open: it may never answer.
    Other,
}

fn kind(entry: &DirEntry) -> Result<Kind, Error> {
    let read = || Error::io("read", entry.path());
    let direct = entry.file_type().map_err(read())?;
    let linked = direct.is_symlink();
    let kind = match linked {
        false => direct,
        true => match fs::metadata(entry.path()) {
            Ok(target) => target.file_type(),
            // Reading it will say so, if anybody does.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kind::File),
            Err(error) => return Err(read()(error)),
        },
    };
    Ok(if kind.is_dir() {
        Kind::Folder { linked }
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    })
}

/// Collects the pictures of a folder, at any depth, as paths that begin with `below`. `links` are the real places of the
/// folders whose links are being followed.
fn walk(folder: &Path, below: &Path, links: &mut Vec<PathBuf>, found: &mut Vec<Box<Path>>) -> Result<(), Error> {
    for entry in folder.read_dir().map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        if is_hidden(&name) {
            continue;
        }
        match kind(&entry)? {
            Kind::File if Codec::is_named(&name) => found.push(below.join(name).into_boxed_path()),
            Kind::File | Kind::Other => {}
            Kind::Folder { linked: false } => walk(&folder.join(&name), &below.join(&name), links, found)?,
            Kind::Folder { linked: true } => {
                let path = folder.join(&name);
                let target = path.canonicalize().map_err(Error::io("read", &path))?;
                links.push(folder.canonicalize().map_err(Error::io("read", folder))?);
                if links.iter().any(|place| place.starts_with(&target)) {
                    return Err(Error::Unrecognised {
                        folder: path,
                        expected: "a folder of pictures".to_owned(),
                        found: format!("a link that leads back to {}", Line(&target)),
                    });
                }
                walk(&path, &below.join(&name), links, found)?;
                links.pop();
            }
        }
    }
    Ok(())
}
