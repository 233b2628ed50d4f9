//! Where the paths of images come from, one after another: the command line, folders and lists.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::vec;

use mp_data::{Ignored, PictureWalk};

use crate::Error;

/// No path is longer than this.
const MOST_BYTES: u64 = 1 << 16;

/// Paths of images, found as they are asked for: memory does not grow with their number.
pub struct Inputs {
    paths: vec::IntoIter<PathBuf>,
    list: Option<List>,
    folder: Option<PictureWalk>,
    ignored: Ignored,
}

struct List {
    path: PathBuf,
    lines: Box<dyn BufRead>,
}

impl Inputs {
    /// These paths. Of a folder, the pictures in it at any depth.
    pub fn of_paths(paths: Vec<PathBuf>) -> Self {
        Self { paths: paths.into_iter(), list: None, folder: None, ignored: Ignored::default() }
    }

    /// Also those in a list, a path a line; `-` is standard input. Empty lines are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] where the list cannot be opened.
    pub fn and_list(self, path: &Path) -> Result<Self, Error> {
        let lines: Box<dyn BufRead> = match path == Path::new("-") {
            true => Box::new(BufReader::new(io::stdin())),
            false => Box::new(BufReader::new(File::open(path).map_err(Error::io("read", path))?)),
        };
        Ok(Self { list: Some(List { path: path.to_owned(), lines }), ..self })
    }

    /// What folders hold besides pictures.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// The next path that was named, by the user or by the list.
    fn next_named(&mut self) -> Option<Result<PathBuf, Error>> {
        if let Some(path) = self.paths.next() {
            return Some(Ok(path));
        }
        let List { path, lines } = self.list.as_mut()?;
        loop {
            let mut line = Vec::new();
            match lines.by_ref().take(MOST_BYTES + 1).read_until(b'\n', &mut line) {
                Ok(_) if line.len() as u64 > MOST_BYTES => {
                    let message = format!("a line of more than {MOST_BYTES} bytes: expected a path on each");
                    let error = Error::Input { path: path.clone(), message };
                    self.list = None;
                    return Some(Err(error));
                }
                Ok(0) => {
                    self.list = None;
                    return None;
                }
                Ok(_) => {
                    let line = line.trim_ascii_end();
                    if !line.is_empty() {
                        return Some(Ok(path_of(line)));
                    }
                }
                Err(error) => {
                    let error = Error::io("read", path)(error);
                    self.list = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Iterator for Inputs {
    type Item = Result<PathBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(walk) = &mut self.folder {
                match walk.next() {
                    Some(found) => return Some(found.map_err(Error::from)),
                    None => {
                        self.ignored.add(walk.ignored().clone());
                        self.folder = None;
                    }
                }
            }
            let path = match self.next_named()? {
                Ok(path) => path,
                Err(error) => return Some(Err(error)),
            };
            if !path.is_dir() {
                return Some(Ok(path));
            }
            match PictureWalk::new(&path) {
                Ok(walk) => self.folder = Some(walk),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

#[cfg(unix)]
fn path_of(line: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(line))
}

#[cfg(not(unix))]
fn path_of(line: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_come_first_then_those_of_the_list_and_folders_are_entered() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("folder/sub")).unwrap();
        for name in ["folder/b.png", "folder/sub/a.jpg", "folder/notes.md"] {
            fs::write(at(name), "").unwrap();
        }
        let list = format!("{}\r\n\n  spaces first\n{}", at("folder").display(), at("last.png").display());
        fs::write(at("list.txt"), list).unwrap();
        let mut inputs = Inputs::of_paths(vec![at("first.png")]).and_list(&at("list.txt")).unwrap();
        let found: Vec<PathBuf> = inputs.by_ref().map(Result::unwrap).collect();
        let spaces = PathBuf::from("  spaces first");
        assert_eq!(found, [at("first.png"), at("folder/b.png"), at("folder/sub/a.jpg"), spaces, at("last.png")]);
        assert_eq!(inputs.ignored().to_string(), "1 .md");
    }

    #[test]
    fn a_list_that_is_not_there_is_an_error() {
        let message = Inputs::of_paths(Vec::new()).and_list(Path::new("/none/list")).err().unwrap().to_string();
        assert_eq!(message, "cannot read /none/list");
    }
}
