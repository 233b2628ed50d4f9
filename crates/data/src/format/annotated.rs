//! The validation pictures of Tiny ImageNet: in one folder, with a list of their classes.

use std::collections::HashMap;
use std::path::Path;

use super::listing::list;
use super::pictures::{Pictures, nothing};
use crate::decode::Codec;
use crate::error::Line;
use crate::{Error, file};

/// The file that says which class each picture has.
pub(crate) const ANNOTATIONS: &str = "val_annotations.txt";

impl Pictures {
    /// The pictures of `root/images`, whose classes stand in `root/val_annotations.txt`: a line for each, with the file's
    /// name, a tab, the class and more that is not needed here.
    pub(crate) fn open_annotated(name: String, root: &Path, classes: &[String]) -> Result<Self, Error> {
        let path = root.join(ANNOTATIONS);
        let text = file::read(&path).map_err(Error::io("read", &path))?;
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
        let listing = list(&root.join("images"))?;
        let mut ignored = listing.ignored;
        let mut files = Vec::new();
        for file in listing.files {
            if !Codec::is_named(&file) {
                ignored.file(&file);
                continue;
            }
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
            None if files.is_empty() => Err(nothing(root.join("images"), &ignored)),
            None => Ok(Self { name, root: root.to_owned(), classes: classes.to_vec(), files, ignored }),
        }
    }
}
