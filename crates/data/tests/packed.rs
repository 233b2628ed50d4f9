//! The packed file: what is written is read again, by this crate and by NumPy, and damage is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mp_data::{Dataset, Error, Format, Ignored, Image, ImageShape, ImageView, Images, Packing, Splits, open, pack};
use proptest::prelude::*;
use tempfile::TempDir;

const SHAPE: ImageShape = ImageShape { channels: 3, height: 2, width: 3 };

/// Images in memory, of `SHAPE`.
fn images(labels: &[u32], pixels: Vec<u8>, shape: ImageShape) -> Arc<dyn Dataset> {
    let classes = vec!["cat".to_owned(), "dög".to_owned()];
    Arc::new(Images::new("pets", shape, classes, labels.to_vec(), pixels).unwrap())
}

fn splits_of(train: Arc<dyn Dataset>, test: Arc<dyn Dataset>) -> Splits {
    let valid = none_of(&train);
    three_of(train, valid, test)
}

fn three_of(train: Arc<dyn Dataset>, valid: Arc<dyn Dataset>, test: Arc<dyn Dataset>) -> Splits {
    let channels = train.channels();
    Splits {
        name: "pets".to_owned(),
        format: Format::Folder,
        train,
        valid,
        test,
        mean: vec![0.25; channels],
        std: vec![0.5; channels],
        ignored: Ignored::default(),
    }
}

/// A split without images.
fn none_of(whole: &Arc<dyn Dataset>) -> Arc<dyn Dataset> {
    Arc::new(mp_data::Subset::new("none", Arc::clone(whole), vec![]).unwrap())
}

/// Two training images and a test image.
fn pets() -> Splits {
    let pixels = |count: u8| (0..count * 18).collect();
    splits_of(images(&[1, 0], pixels(2), SHAPE), images(&[1], pixels(1), SHAPE))
}

/// Pictures in a folder for each class: `train/a`, `train/b`, `val/b`.
fn pictures() -> (TempDir, Splits) {
    let root = tempfile::tempdir().unwrap();
    for (path, from) in
        [("train/a/1.jpg", "baseline.jpg"), ("train/b/1.png", "color.png"), ("val/b/1.webp", "lossless.webp")]
    {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(from), path).unwrap();
    }
    let splits = opened(root.path());
    (root, splits)
}

fn opened(path: &Path) -> Splits {
    open(path.to_str().unwrap(), Path::new("no cache")).unwrap()
}

fn refusal(path: &Path) -> String {
    let error = open(path.to_str().unwrap(), Path::new("no cache")).map(|_| ()).unwrap_err();
    error.to_string().replace(path.to_str().unwrap(), "FILE")
}

fn packed(splits: &Splits, packing: Packing) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pets.mpd");
    let size = pack(splits, &path, packing, &mut |_| {}).unwrap();
    assert_eq!(size, path.metadata().unwrap().len());
    (folder, path)
}

/// Everything that a data set tells of its images.
fn content(dataset: &dyn Dataset) -> Vec<(usize, ImageShape, Vec<u8>)> {
    let mut buffer = Image::empty();
    let mut one = |index| {
        let image = dataset.image(index, &mut buffer).unwrap();
        (dataset.label(index), image.shape(), image.pixels().to_vec())
    };
    (0..dataset.len()).map(&mut one).collect()
}

#[track_caller]
fn assert_same(left: &Splits, right: &Splits) {
    assert_eq!(content(&*left.train), content(&*right.train));
    assert_eq!(content(&*left.valid), content(&*right.valid));
    assert_eq!(content(&*left.test), content(&*right.test));
    assert_eq!(left.train.classes(), right.train.classes());
    assert_eq!((&left.mean, &left.std), (&right.mean, &right.std));
}

#[test]
fn pixels_are_read_where_they_lie() {
    let pets = pets();
    let (_folder, path) = packed(&pets, Packing::Pixels);
    let again = opened(&path);
    assert_same(&again, &pets);
    assert_eq!(
        (again.format, again.train.shape(), again.test.classes()),
        (Format::Packed, Some(SHAPE), pets.test.classes())
    );
    let mut buffer = Image::empty();
    again.train.image(1, &mut buffer).unwrap();
    assert!(buffer.pixels().is_empty(), "nothing was copied");
    // Also in a folder, as the only file of its kind.
    assert_same(&opened(path.parent().unwrap()), &pets);
}

#[test]
fn original_bytes_are_kept() {
    let (root, splits) = pictures();
    let (_folder, path) = packed(&splits, Packing::Original);
    let again = opened(&path);
    assert_same(&again, &splits);
    assert_eq!(again.train.shape(), None);
    let mut bytes = Vec::new();
    let stored = again.train.encoded(0, &mut bytes).unwrap().unwrap().to_vec();
    assert_eq!(stored, fs::read(root.path().join("train/a/1.jpg")).unwrap());
    // Packed again, it is the same file.
    let (_folder, second) = packed(&again, Packing::Original);
    let cut = |path: &Path| fs::read(path).unwrap()[4096..].to_vec();
    assert_eq!(cut(&second), cut(&path));
}

#[test]
fn pictures_of_all_sizes_become_squares() {
    let (_root, splits) = pictures();
    let (_folder, path) = packed(&splits, Packing::Square(8));
    let again = opened(&path);
    assert_eq!(again.train.shape(), Some(ImageShape { channels: 3, height: 8, width: 8 }));
    // The middle of 13 rows and 20 columns is 13 columns; their mean stays nearly the same when they are scaled.
    let mean = |values: &mut dyn Iterator<Item = u8>| {
        let values: Vec<f64> = values.map(f64::from).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let (whole, small) = (&content(&*splits.train)[1].2, &content(&*again.train)[1].2);
    let middle = |row: &[u8]| row[3 * 4..3 * 16].to_vec();
    let expected = mean(&mut whole.chunks(60).flat_map(middle));
    assert!((mean(&mut small.iter().copied()) - expected).abs() < 3.0);
}

#[test]
fn one_split_stays_one_split() {
    let only = splits_of(pets().train, none_of(&pets().train));
    let (_folder, path) = packed(&only, Packing::Pixels);
    assert_eq!((opened(&path).train.len(), opened(&path).valid.len(), opened(&path).test.len()), (2, 0, 0));
}

#[test]
fn three_splits_stay_three_splits() {
    let pixels = |count: u8, first: u8| (0..count * 18).map(|value| value ^ first).collect();
    let [train, valid, test] = [(&[1, 0][..], 0), (&[0, 1, 1], 3), (&[1], 5)]
        .map(|(labels, first)| images(labels, pixels(labels.len() as u8, first), SHAPE));
    for splits in [three_of(train.clone(), valid.clone(), test), three_of(train.clone(), valid, none_of(&train))] {
        let (_folder, path) = packed(&splits, Packing::Pixels);
        assert_same(&opened(&path), &splits);
        assert_eq!(fs::read(&path).unwrap()[8], 2);
        assert_eq!(opened(&path).valid.name(), "pets.mpd/valid");
    }
    // Without validation images it is what it always was, so that earlier releases read it.
    let (_folder, path) = packed(&pets(), Packing::Pixels);
    assert_eq!(fs::read(&path).unwrap()[8], 1);
    assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()[64..200]).contains("valid"));
}

#[test]
fn numpy_reads_the_same() {
    let python = "python3";
    if !Command::new(python).args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} with numpy is not here");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_packed.py");
    let (_root, pictures) = pictures();
    let three = three_of(pets().train, pets().test, images(&[0, 0], (0..36).collect(), SHAPE));
    for (splits, packing) in [(&pets(), Packing::Pixels), (&three, Packing::Pixels), (&pictures, Packing::Original)] {
        let (_folder, path) = packed(splits, packing);
        let output = Command::new(python).arg(&script).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut expected = format!("{} {}\n", splits.name, splits.train.classes().join(" "));
        for split in [&splits.train, &splits.valid, &splits.test] {
            let labels: Vec<_> = (0..split.len()).map(|index| split.label(index)).collect();
            expected += &format!("{} {labels:?}", split.len());
            for (index, (_, _, pixels)) in content(&**split).into_iter().enumerate() {
                let mut bytes = Vec::new();
                let stored = match packing {
                    Packing::Original => split.encoded(index, &mut bytes).unwrap().unwrap(),
                    _ => &pixels,
                };
                expected += &format!(" {}", crc32fast::hash(stored));
            }
            expected += "\n";
        }
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn every_fault_names_its_place() {
    let (_folder, path) = packed(&pets(), Packing::Pixels);
    let whole = fs::read(&path).unwrap();
    let meta = u64::from_le_bytes(whole[48..56].try_into().unwrap()) as usize;
    let index = (64 + meta).next_multiple_of(8);
    // Changes bytes before the images, and puts the checksum right, so that what they say is looked at.
    let change = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes[28..32].fill(0);
        let sum = crc32fast::hash(&bytes[..4096]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
        bytes
    };
    let with = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    for (bytes, message) in [
        (whole[..40].to_vec(), "byte 40: expected a header of 64 bytes, found the end"),
        (
            with(8, &[9]),
            "byte 8: expected version 1 to 2 of the format: pack the images again, or use another release, found version 9",
        ),
        (
            whole[..whole.len() - 1].to_vec(),
            &format!(
                "byte {}: expected image 2 between byte 4096 and the end of the file at 4149, found 4132 to 4150",
                index + 48
            ),
        ),
        (change(12, &[7]), "byte 12: expected 0 for pixels or 1 for encoded pictures, found 7"),
        (change(16, &[0]), "byte 16: expected images of 1 byte to 4 GiB, found 0x3x3"),
        (change(16, &[1]), &format!("byte {}: expected 9 bytes for 1x3x3, found 18", index + 8)),
        (change(24, &[4]), "byte 64: expected means and deviations of 4 channels, found 3 and 3"),
        (change(index + 12, &[2]), &format!("byte {}: expected a label below 2, found 2", index + 12)),
        (
            change(index, &[0, 0]),
            &format!("byte {index}: expected image 0 between byte 4096 and the end of the file at 4150, found 0 to 18"),
        ),
        (change(64, b"!"), "byte 64: expected names as JSON, found expected value at line 1 column 1"),
        (
            with(32, &[0xff; 8]),
            &format!(
                "byte 32: expected names of {meta} bytes and an index of 18446744073709551615 + 1 images before byte 4096, \
                 found a file of 4150 bytes"
            ),
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(refusal(&path), format!("FILE: {message}"));
    }
    fs::write(&path, with(index, &[1])).unwrap();
    let found = refusal(&path);
    assert!(
        found.starts_with("FILE: byte 28: expected the checksum 0x") && found.ends_with("the file is damaged"),
        "{found}"
    );

    // A damaged image is found when it is asked for; the others are as good as ever.
    fs::write(&path, with(4096 + 18, &[0xee])).unwrap();
    let again = opened(&path);
    let mut buffer = Image::empty();
    assert!(again.train.image(0, &mut buffer).is_ok());
    let found = again.train.image(1, &mut buffer).unwrap_err().to_string();
    assert!(found.contains(": byte 4114: expected image 1 with the checksum 0x"), "{found}");
}

/// A data set whose last image cannot be read.
struct Torn(Arc<dyn Dataset>);

impl Dataset for Torn {
    fn name(&self) -> &str {
        "torn"
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn channels(&self) -> usize {
        self.0.channels()
    }

    fn shape(&self) -> Option<ImageShape> {
        self.0.shape()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index)
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        if index + 1 < self.len() { self.0.image(index, buffer) } else { Err(Error::Config("torn".to_owned())) }
    }
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mpd");
    let (_root, pictures) = pictures();
    let small = ImageShape { height: 1, ..SHAPE };
    let mixed = splits_of(pets().train, images(&[0], vec![0; 9], small));
    for (splits, packing, message) in [
        (splits_of(Arc::new(Torn(pets().train)), pets().test), Packing::Pixels, "torn"),
        (pets(), Packing::Original, "`pets` has no encoded pictures: pack their pixels instead"),
        (
            mixed,
            Packing::Pixels,
            "`pets`: image 0 is of 1x3x3, the first one of 2x3x3: give a size that all are brought to",
        ),
        (pictures, Packing::Square(0), "a size of 0: expected at least 1 pixel"),
    ] {
        assert_eq!(pack(&splits, &path, packing, &mut |_| {}).unwrap_err().to_string(), message);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{message}");
    }
    fs::write(&path, "mine").unwrap();
    let error = pack(&pets(), &path, Packing::Pixels, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let error = pack(&pets(), &path.join("below"), Packing::Pixels, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}", path.join("below").display()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_packed_is_read(
        labels in proptest::collection::vec(0u32..2, 1..400),
        height in 1usize..4,
        channels in 1usize..5,
        seed: u8,
    ) {
        let shape = ImageShape { channels, height, width: 2 };
        let all = |count: usize| (0..count * shape.len()).map(|k| (k as u8).wrapping_mul(seed | 1)).collect::<Vec<_>>();
        let splits = splits_of(images(&labels, all(labels.len()), shape), images(&[1], all(1), shape));
        let (_folder, path) = packed(&splits, Packing::Pixels);
        assert_same(&opened(&path), &splits);
    }

    #[test]
    fn any_damage_is_noticed_or_harmless(at: prop::sample::Index, value: u8) {
        let splits = pets();
        let (_folder, path) = packed(&splits, Packing::Pixels);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        fs::write(&path, bytes).unwrap();
        if let Ok(again) = open(path.to_str().unwrap(), Path::new("no cache")) {
            let mut buffer = Image::empty();
            for (index, (_, _, pixels)) in content(&*splits.train).into_iter().enumerate() {
                if let Ok(image) = again.train.image(index, &mut buffer) {
                    prop_assert_eq!(image.pixels(), pixels);
                }
            }
        }
    }
}
