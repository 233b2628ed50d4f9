//! Folders of pictures: what is recognised, in which order, and what is said about broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use mp_data::{Format, Image, Splits, open};
use tempfile::TempDir;

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

/// A folder with a copy of a picture at each of these paths.
fn folder(paths: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    paths.iter().for_each(|path| add(&root, path));
    root
}

fn add(root: &TempDir, path: impl AsRef<Path>) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(picture("color.png"), path).unwrap();
}

fn opened(root: &TempDir) -> Splits {
    open(root.path().to_str().unwrap(), Path::new("no cache")).unwrap()
}

/// The message of what goes wrong with its causes, without the folder.
fn refusal(root: &TempDir) -> String {
    match open(root.path().to_str().unwrap(), Path::new("no cache")) {
        Ok(_) => panic!("it opens"),
        Err(error) => message(&error, root),
    }
}

fn message(error: &dyn std::error::Error, root: &TempDir) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    assert!(!text.contains('\n'), "{text}");
    let real = root.path().canonicalize().unwrap();
    text.replace(real.to_str().unwrap(), "DIR").replace(root.path().to_str().unwrap(), "DIR")
}

#[test]
fn classes_are_the_sorted_folders_of_train() {
    let root = folder(&["train/b/2.jpg", "train/b/10.PNG", "train/a/deep/er/x.webp", "val/b/only.jpeg"]);
    fs::write(root.path().join("train/b/notes.txt"), "no picture").unwrap();
    fs::write(root.path().join("train/b/._2.jpg"), "left by a foreign system").unwrap();
    let splits = opened(&root);
    assert_eq!(splits.format, Format::Folder);
    assert_eq!(
        (splits.train.classes(), splits.valid.classes()),
        (&["a".to_owned(), "b".to_owned()][..], splits.train.classes())
    );
    assert_eq!((0..3).map(|index| splits.train.label(index)).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!((splits.train.len(), splits.valid.len(), splits.valid.label(0)), (3, 1, 1));
    assert_eq!((splits.train.shape(), splits.train.channels()), (None, 3));
    assert_eq!(splits.ignored.to_string(), "1 .txt");
    // Nothing is decoded to open it: the constants of ImageNet stand in.
    assert_eq!((splits.mean, splits.std), (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]));

    let mut buffer = Image::empty();
    for index in 0..3 {
        let pixels = splits.train.image(index, &mut buffer).unwrap().pixels();
        assert_eq!(pixels, fs::read(picture("color.png.rgb")).unwrap());
    }
}

/// Images of the three splits.
fn counts(splits: &Splits) -> [usize; 3] {
    [splits.train.len(), splits.valid.len(), splits.test.len()]
}

#[test]
fn tiny_imagenet_has_a_list_of_labels() {
    let root =
        folder(&["train/n1/images/a.JPEG", "train/n2/images/b.JPEG", "val/images/v0.JPEG", "val/images/v1.JPEG"]);
    let list = root.path().join("val/val_annotations.txt");
    fs::write(&list, "v1.JPEG\tn1\t0\t1\t2\t3\r\nv0.JPEG\tn2\t0\t1\t2\t3\n").unwrap();
    ["test/images/t0.JPEG", "test/images/t1.JPEG"].iter().for_each(|path| add(&root, path));
    let splits = opened(&root);
    assert_eq!(counts(&splits), [2, 2, 0]);
    assert_eq!([0, 1].map(|index| splits.valid.label(index)), [1, 0]);
    assert_eq!(splits.ignored.to_string(), "test/ (2 pictures without labels)");

    for (text, expected) in [
        (
            "v0.JPEG\tn1\nv1.JPEG\tn\u{e9}\n",
            "DIR/val/val_annotations.txt: byte 11: expected a file's name, a tab, and a class of the training images, \
             found the class `n\\xc3\\xa9`",
        ),
        ("v0.JPEG\tn1\n", "DIR/val/val_annotations.txt is missing: expected a line for v1.JPEG"),
        (
            "v0.JPEG\tn1\nv1.JPEG\tn1\nv2.JPEG\tn1\n",
            "DIR/val/images/v2.JPEG is missing: expected a picture, as val_annotations.txt says",
        ),
    ] {
        fs::write(&list, text).unwrap();
        assert_eq!(refusal(&root), expected);
    }
}

#[test]
fn a_damaged_picture_is_named_when_it_is_read() {
    let root = folder(&["a/cut.jpg", "a/empty.jpg", "a/gone.jpg", "a/page.jpg", "b/1.jpg"]);
    let bytes = fs::read(picture("baseline.jpg")).unwrap();
    fs::write(root.path().join("a/cut.jpg"), &bytes[..bytes.len() - 20]).unwrap();
    fs::write(root.path().join("a/empty.jpg"), "").unwrap();
    fs::write(root.path().join("a/page.jpg"), "<html>Too many requests</html>").unwrap();
    let splits = opened(&root);
    fs::remove_file(root.path().join("a/gone.jpg")).unwrap();
    let found = [0, 1, 2, 3].map(|index| message(&splits.train.image(index, &mut Image::empty()).unwrap_err(), &root));
    assert_eq!(
        found,
        [
            "cannot decode DIR/a/cut.jpg: a damaged JPEG: it ends before its end mark",
            "cannot decode DIR/a/empty.jpg: expected a JPEG, PNG, WebP or BMP picture, found no bytes at all",
            "cannot read DIR/a/gone.jpg: No such file or directory (os error 2)",
            "cannot decode DIR/a/page.jpg: expected a JPEG, PNG, WebP or BMP picture, found HTML or XML",
        ]
    );
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn any_name_of_a_file_is_read_and_shown_on_one_line() {
        let root = folder(&["a/line\nbreak.jpg", "b/1.jpg"]);
        add(&root, Path::new("a").join(OsStr::from_bytes(b"caf\xe9.png")));
        let splits = opened(&root);
        for index in 0..2 {
            splits.train.image(index, &mut Image::empty()).unwrap();
        }
        fs::remove_dir_all(root.path().join("a")).unwrap();
        let found = [0, 1].map(|index| message(&splits.train.image(index, &mut Image::empty()).unwrap_err(), &root));
        let expected = ["caf\\xe9.png", "line\\nbreak.jpg"]
            .map(|name| format!("cannot read DIR/a/{name}: No such file or directory (os error 2)"));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_class_needs_a_name_that_can_be_printed() {
        let expected =
            "expected a class, named in UTF-8 without control characters, found another name: rename the folder";
        assert_eq!(refusal(&folder(&["a\nb/1.jpg", "c/1.jpg"])), format!("DIR/a\\nb: {expected}"));
        let root = folder(&["a/1.jpg", "b/1.jpg"]);
        add(&root, Path::new(OsStr::from_bytes(b"caf\xe9/1.jpg")));
        assert_eq!(refusal(&root), format!("DIR/caf\\xe9: {expected}"));
        for hidden in ["ca\u{202e}t", "\u{feff}cat", "c\u{2066}at"] {
            let root = folder(&["dog/1.jpg", &format!("{hidden}/1.jpg")]);
            assert_eq!(refusal(&root), format!("DIR/{}: {expected}", mp_data::Line(hidden)));
        }
    }

    #[test]
    fn links_are_followed_unless_they_lead_back() {
        let root = folder(&["train/a/1.jpg", "elsewhere/2.jpg"]);
        symlink(root.path().join("elsewhere"), root.path().join("train/a/more")).unwrap();
        symlink(root.path().join("elsewhere"), root.path().join("train/b")).unwrap();
        symlink(root.path().join("elsewhere/2.jpg"), root.path().join("train/b/3.jpg")).unwrap();
        assert_eq!(opened(&root).train.len(), 5);

        symlink(root.path().join("train"), root.path().join("train/a/back")).unwrap();
        let back = "expected a folder of pictures, found a link that leads back to";
        assert_eq!(refusal(&root), format!("DIR/train/a/back: {back} DIR/train"));
        fs::remove_file(root.path().join("train/a/back")).unwrap();
        // Two folders, each with a link to the other.
        symlink(root.path().join("train/a"), root.path().join("elsewhere/round")).unwrap();
        assert_eq!(refusal(&root), format!("DIR/train/a/more/round: {back} DIR/train/a"));
    }

    #[test]
    fn a_link_to_itself_is_an_error_of_the_system() {
        let root = folder(&["train/a/1.jpg", "train/c/1.jpg"]);
        symlink(root.path().join("train/b"), root.path().join("train/b")).unwrap();
        let found = refusal(&root);
        assert!(found.starts_with("cannot read DIR/train/b: Too many levels of symbolic links"), "{found}");
    }

    /// Only where somebody else than root runs the tests: root may read everything.
    #[test]
    fn a_folder_that_must_not_be_read_is_named() {
        let root = folder(&["train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg"]);
        let locked = root.path().join("train/a");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        if locked.read_dir().is_ok() {
            eprintln!("skipped: this user may read every folder");
            return;
        }
        let found = refusal(&root);
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found, "cannot read DIR/train/a: Permission denied (os error 13)");
    }

    #[test]
    fn a_pipe_is_counted_and_not_waited_for() {
        let root = folder(&["a/1.jpg", "b/1.jpg", "b/2.jpg"]);
        let pipe = |path: &str| {
            let made = std::process::Command::new("mkfifo").arg(root.path().join(path)).status();
            assert!(made.is_ok_and(|status| status.success()));
        };
        pipe("a/2.jpg");
        let splits = opened(&root);
        assert_eq!((splits.train.len(), splits.ignored.to_string()), (3, "1 pipe or device".to_owned()));

        // Put in the place of a picture after it was listed.
        for (name, replace) in [
            ("1.jpg", &(|path: &str| pipe(path)) as &dyn Fn(&str)),
            ("2.jpg", &|path| fs::create_dir(root.path().join(path)).unwrap()),
            ("2.jpg", &|path| symlink("/dev/zero", root.path().join(path)).unwrap()),
        ] {
            let path = format!("b/{name}");
            let whole = root.path().join(&path);
            if whole.is_dir() {
                fs::remove_dir(&whole).unwrap()
            } else {
                fs::remove_file(&whole).unwrap()
            }
            replace(&path);
            let index = if name == "1.jpg" { 1 } else { 2 };
            let found = message(&splits.train.image(index, &mut Image::empty()).unwrap_err(), &root);
            assert!(found.starts_with(&format!("cannot read DIR/b/{name}: it is a ")), "{found}");
            assert!(found.ends_with(": expected a file"), "{found}");
            assert!(splits.train.stored_shape(index).is_err());
        }
    }
}
