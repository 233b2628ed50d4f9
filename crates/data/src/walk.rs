//! The pictures of a folder, found one by one: memory grows with the largest folder on the way down, not with their number.

use std::path::{Path, PathBuf};
use std::vec;

use crate::decode::Codec;
use crate::error::Line;
use crate::format::listing::{Kind, kind};
use crate::{Error, Ignored};

/// Walks through the pictures below a folder, at any depth, in the order of their paths. Links are followed; what is hidden or has
/// no picture's name is left out and counted.
pub struct PictureWalk {
    /// What is still to be seen of each folder on the way down.
    stack: Vec<Open>,
    ignored: Ignored,
}

/// A folder under way.
struct Open {
    /// Where it really is.
    place: PathBuf,
    entries: vec::IntoIter<(PathBuf, Kind)>,
}

impl PictureWalk {
    /// Begins with the entries of `folder`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(folder: &Path) -> Result<Self, Error> {
        let mut walk = Self { stack: Vec::new(), ignored: Ignored::default() };
        walk.enter(folder)?;
        Ok(walk)
    }

    /// What was passed over so far.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    fn enter(&mut self, folder: &Path) -> Result<(), Error> {
        let place = folder.canonicalize().map_err(Error::io("read", folder))?;
        if self.stack.iter().any(|open| open.place.starts_with(&place)) {
            return Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "a folder of pictures".to_owned(),
                found: format!("a link that leads back to {}", Line(&place)),
            });
        }
        let mut entries = Vec::new();
        for entry in folder.read_dir().map_err(Error::io("read", folder))? {
            let entry = entry.map_err(Error::io("read", folder))?;
            entries.push((entry.path(), kind(&entry, &mut self.ignored)?));
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.stack.push(Open { place, entries: entries.into_iter() });
        Ok(())
    }
}

impl Iterator for PictureWalk {
    type Item = Result<PathBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(open) = self.stack.last_mut() {
            match open.entries.next() {
                None => {
                    self.stack.pop();
                }
                Some((path, Kind::Folder { .. })) => {
                    if let Err(error) = self.enter(&path) {
                        return Some(Err(error));
                    }
                }
                Some((path, Kind::File)) if path.file_name().is_some_and(Codec::is_named) => return Some(Ok(path)),
                Some((path, Kind::File)) => self.ignored.file(path.file_name().unwrap_or_default()),
                Some((_, Kind::Nothing)) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn below(root: &Path, walk: &mut PictureWalk) -> Vec<String> {
        let relative = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        walk.map(|path| relative(path.unwrap())).collect()
    }

    #[test]
    fn pictures_come_in_order_from_any_depth_and_the_rest_is_counted() {
        let root = tempfile::tempdir().unwrap();
        for path in
            ["b/deep/er/1.PNG", "b/0.jpg", "a.webp", "notes.txt", "b/more.TXT", "README", ".hidden.png", ".x/2.png"]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut walk = PictureWalk::new(root.path()).unwrap();
        assert_eq!(below(root.path(), &mut walk), ["a.webp", "b/0.jpg", "b/deep/er/1.PNG"]);
        assert_eq!(walk.ignored().to_string(), "2 .txt, 1 hidden, 1 no ending, .x/ (hidden)");
    }

    #[test]
    fn an_empty_folder_has_none_and_a_missing_one_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(PictureWalk::new(root.path()).unwrap().count(), 0);
        let message = PictureWalk::new(&root.path().join("none")).err().map(|error| error.to_string()).unwrap();
        assert!(message.starts_with("cannot read ") && message.ends_with("none"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("1.png"), "").unwrap();
        std::os::unix::fs::symlink("1.png", folder.join("2.png")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("loop")).unwrap();
        let found: Vec<_> = PictureWalk::new(&folder).unwrap().collect();
        assert!(found[..2].iter().all(Result::is_ok), "{found:?}");
        let message = found[2].as_ref().unwrap_err().to_string();
        assert!(message.contains("a link that leads back to"), "{message}");
        assert_eq!(found.len(), 3);
    }
}
