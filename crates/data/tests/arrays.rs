//! Sets of many images in few files: what is recognised, in which version, and what is said where a part is missing.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use mp_data::{Format, Image, Loader, LoaderConfig, RandomResizedCrop, Sampler, Splits, Transform, open};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn opened(path: &Path) -> Splits {
    open(path.to_str().unwrap(), Path::new("no cache")).unwrap()
}

fn refusal(root: &TempDir, path: &Path) -> String {
    let error = open(path.to_str().unwrap(), Path::new("no cache")).map(|_| ()).unwrap_err();
    error.to_string().replace(root.path().to_str().unwrap(), "DIR")
}

fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// One image as a CIFAR record without its label: a red plane of 1s, then 2s, then 3s.
fn planes() -> Vec<u8> {
    [[1; 1024], [2; 1024], [3; 1024]].concat()
}

/// `{LABELS: [label], 'data': array of one image}`, as Python 2 pickled it.
fn pickle(labels: &str, label: u8) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(U".to_vec();
    bytes.push(labels.len() as u8);
    bytes.extend(labels.as_bytes());
    bytes.extend(b"]q\x02K");
    bytes.push(label);
    bytes.extend(b"aU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86");
    bytes.extend(b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\0\0");
    bytes.extend(planes());
    bytes.extend(b"tbu.");
    bytes
}

fn cifar10(pickled: bool) -> Vec<(&'static str, Vec<u8>)> {
    let names = if pickled {
        ["c/data_batch_1", "c/data_batch_2", "c/data_batch_3", "c/data_batch_4", "c/data_batch_5", "c/test_batch"]
    } else {
        [
            "c/data_batch_1.bin",
            "c/data_batch_2.bin",
            "c/data_batch_3.bin",
            "c/data_batch_4.bin",
            "c/data_batch_5.bin",
            "c/test_batch.bin",
        ]
    };
    let content = |label| if pickled { pickle("labels", label) } else { [vec![label], planes()].concat() };
    names.into_iter().zip(0..).map(|(name, label)| (name, content(label))).collect()
}

#[track_caller]
fn assert_cifar10(splits: &Splits) {
    assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Cifar10, 5, 1));
    assert_eq!((0..5).map(|index| splits.train.label(index)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!((splits.test.label(0), splits.test.classes()[5].as_str()), (5, "dog"));
    let mut buffer = Image::empty();
    assert!(splits.train.image(4, &mut buffer).unwrap().pixels().chunks(3).all(|pixel| pixel == [1, 2, 3]));
}

#[test]
fn cifar_is_read_in_all_its_versions() {
    for pickled in [false, true] {
        let files = cifar10(pickled);
        assert_cifar10(&opened(folder(&files).path()));
        // In the archive, named itself or by its folder, where what was unpacked from it may lie as well.
        let archive = ("cifar-10-any.tar.gz", gzip(&tar(&files)));
        let root = folder(std::slice::from_ref(&archive));
        assert_cifar10(&opened(root.path()));
        assert_cifar10(&opened(&root.path().join(archive.0)));
        assert_cifar10(&opened(folder(&[files, vec![archive]].concat()).path()));
    }
    let hundred = [("train", pickle("fine_labels", 7)), ("test", pickle("fine_labels", 99)), ("meta", vec![])];
    let splits = opened(folder(&hundred).path());
    assert_eq!((splits.format, splits.train.label(0), splits.test.label(0)), (Format::Cifar100, 7, 99));
}

#[test]
fn what_is_wrong_with_an_archive_is_said() {
    let mut files = cifar10(true);
    files.remove(2);
    let whole = gzip(&tar(&cifar10(false)));
    for (bytes, message) in [
        (gzip(&tar(&files)), "byte 0: expected an archive with data_batch_3, found none"),
        (
            gzip(&tar(&[("notes", vec![])])),
            "expected an official archive of CIFAR-10 or CIFAR-100, found another .tar.gz: unpack it, and name the folder",
        ),
        (whole[..whole.len() / 2].to_vec(), "byte 0: expected an intact .tar.gz of at most 1 GiB, found"),
    ] {
        let root = folder(&[("x.tar.gz", bytes)]);
        let found = refusal(&root, &root.path().join("x.tar.gz"));
        assert!(found.starts_with(&format!("DIR/x.tar.gz: {message}")), "{found}");
    }
    let mut files = cifar10(true);
    files[1].1 = pickle("labels", 10);
    let root = folder(&[("x.tar.gz", gzip(&tar(&files)))]);
    assert_eq!(
        refusal(&root, &root.path().join("x.tar.gz")),
        "DIR/x.tar.gz/data_batch_2: byte 0: expected number 0 of `labels` from 0 to 9, found 10"
    );
}

/// A `.npy` of bytes.
fn npy(shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

#[test]
fn arrays_of_numpy_are_found_by_their_names() {
    let (images, labels) = (npy("(2, 1, 1)", &[0, 255]), npy("(2,)", &[1, 0]));
    let pair = [("x_train.npy", images.clone()), ("y_train.npy", labels.clone())];
    let splits = opened(folder(&pair).path());
    assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Numpy, 2, 0));
    assert_eq!((splits.mean, splits.std), (vec![0.5], vec![0.5]));

    let both = [&pair[..], &[("x_test.npy", images.clone()), ("y_test.npy", labels.clone())]].concat();
    let splits = opened(folder(&both).path());
    assert_eq!((splits.test.len(), splits.test.label(0), splits.test.classes().len()), (2, 1, 2));

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in &both {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let root = folder(&[("set.npz", zip.finish().unwrap().into_inner())]);
    assert_eq!(opened(root.path()).test.len(), 2);
    assert_eq!(opened(&root.path().join("set.npz")).train.len(), 2);

    for (name, bytes, message) in [
        (
            "y_train.npy",
            npy("(2,)", &[1, 3]),
            "DIR/y_train.npy: byte 8: expected label 0: labels that start at class 0, found 1",
        ),
        ("y_test.npy", npy("(2,)", &[1, 2]), "DIR/y_test.npy: byte 8: expected label 1: one from 0 to 1, found 2"),
        (
            "x_test.npy",
            npy("(2, 1, 2)", &[0; 4]),
            "DIR/x_test.npy: byte 8: expected images of 1x1x1, as in DIR/x_train.npy, found 1x2x1",
        ),
    ] {
        let root = folder(&both);
        fs::write(root.path().join(name), bytes).unwrap();
        assert_eq!(refusal(&root, root.path()), message);
    }
}

#[test]
fn stl10_is_recognised() {
    let image = |value: u8| vec![value; 96 * 96 * 3];
    let files = [
        ("stl10_binary/train_X.bin", [image(7), image(9)].concat()),
        ("stl10_binary/train_y.bin", vec![1, 10]),
        ("stl10_binary/test_X.bin", image(1)),
        ("stl10_binary/test_y.bin", vec![4]),
        ("stl10_binary/unlabeled_X.bin", vec![0]),
        ("stl10_binary/fold_indices.txt", vec![]),
    ];
    let root = folder(&files);
    let splits = opened(root.path());
    assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Stl10, 2, 1));
    assert_eq!((splits.train.label(1), splits.test.classes()[splits.test.label(0)].as_str()), (9, "cat"));
    fs::remove_file(root.path().join("stl10_binary/test_y.bin")).unwrap();
    assert_eq!(refusal(&root, root.path()), "DIR/stl10_binary/test_y.bin is missing: expected STL-10 binary");
}

fn picture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)).unwrap()
}

/// A tar file of one picture for each label.
fn shard(labels: &[&str]) -> Vec<u8> {
    let names: Vec<_> = (0..labels.len()).map(|k| [format!("{k:04}.jpg"), format!("{k:04}.cls")]).collect();
    let members: Vec<_> = names
        .iter()
        .zip(labels)
        .flat_map(|([jpg, cls], label)| {
            [(jpg.as_str(), picture("baseline.jpg")), (cls.as_str(), label.as_bytes().to_vec())]
        })
        .collect();
    tar(&members)
}

#[test]
fn a_loader_reads_tar_files_one_after_the_other_in_an_order_of_each_epoch() {
    let files: Vec<_> = (0..6).map(|k| (format!("s/train-{k:06}.tar"), shard(&["0", "1", "0"]))).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let root = folder(&[&files[..], &[("s/val-000000.tar", shard(&["1"]))]].concat());
    let config = LoaderConfig {
        batch_size: 4,
        threads: 2,
        sampler: Sampler::Shards { group: 1 },
        transforms: vec![Transform::RandomResizedCrop(RandomResizedCrop::new(8))],
        ..LoaderConfig::default()
    };
    let train = opened(&root.path().join("s")).train;
    let labels: Vec<_> = (0..train.len()).map(|index| train.label(index)).collect();
    let loader = Loader::new(train, config).unwrap();
    let orders: Vec<Vec<usize>> = (0..4)
        .map(|epoch| {
            let batches: Vec<_> = loader.epoch(epoch, 0).map(Result::unwrap).collect();
            for batch in &batches {
                let expected: Vec<_> = batch.indices.iter().map(|&index| labels[index] as i64).collect();
                assert_eq!(batch.labels.to_vec(), expected);
            }
            batches.into_iter().flat_map(|batch| batch.indices).collect()
        })
        .collect();
    let read = |order: &[usize]| {
        let mut files: Vec<_> = order.iter().map(|index| index / 3).collect();
        files.dedup();
        files
    };
    for order in &orders {
        assert_eq!(order.len(), 18);
        assert_eq!(read(order).len(), 6, "each file is read to its end: {order:?}");
    }
    assert!(orders[1..].iter().any(|order| read(order) != read(&orders[0])));
}

#[test]
fn three_splits_are_three_in_tar_files_and_in_arrays() {
    let labels = |split: &std::sync::Arc<dyn mp_data::Dataset>| -> Vec<usize> {
        (0..split.len()).map(|index| split.label(index)).collect()
    };
    let shards =
        [("a-train-0.tar", shard(&["0", "1"])), ("a-val-0.tar", shard(&["1"])), ("a-test-0.tar", shard(&["0", "0"]))];
    let folders =
        [("train/0.tar", shard(&["0", "1"])), ("valid/0.tar", shard(&["1"])), ("test/0.tar", shard(&["0", "0"]))];
    let image = |count: u8| npy(&format!("({count}, 1, 1)"), &vec![7; count.into()]);
    let label = |labels: &[u8]| npy(&format!("({}, 1)", labels.len()), labels);
    // As MedMNIST has them.
    let arrays = [
        ("train_images", image(2)),
        ("train_labels", label(&[0, 1])),
        ("val_images", image(1)),
        ("val_labels", label(&[1])),
        ("test_images", image(2)),
        ("test_labels", label(&[0, 0])),
        ("extra", image(1)),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in &arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let archive = [("medmnist.npz", zip.finish().unwrap().into_inner())];
    for (files, ignored) in [(&shards[..], "nothing"), (&folders, "nothing"), (&archive, "extra in medmnist.npz")] {
        let splits = opened(folder(files).path());
        let found = [&splits.train, &splits.valid, &splits.test].map(labels);
        assert_eq!(found, [vec![0, 1], vec![1], vec![0, 0]], "{}", files[0].0);
        assert_eq!(splits.ignored.to_string(), ignored);
    }
}

#[test]
fn tar_files_are_known_by_their_labels_and_sizes_not_by_their_place() {
    let of = |labels: &[&str]| opened(folder(&[("a.tar", shard(labels))]).path()).train.fingerprint().unwrap();
    let before = of(&["0", "1", "0"]);
    assert_eq!(of(&["0", "1", "0"]), before);
    for other in [&["1", "0", "0"][..], &["0", "1"], &["0", "1", "2"]] {
        assert_ne!(of(other), before, "{other:?}");
    }
}

#[test]
fn tar_files_are_read_in_their_order() {
    let files = [
        ("s/x-train-000001.tar", shard(&["2"])),
        ("s/x-train-000000.tar", shard(&["0", "1"])),
        ("s/x-val-000000.tar", shard(&["1"])),
    ];
    let root = folder(&files);
    let splits = opened(&root.path().join("s"));
    assert_eq!((splits.format, splits.train.classes()), (Format::Shards, &["0", "1", "2"].map(str::to_owned)[..]));
    assert_eq!((0..3).map(|index| splits.train.label(index)).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(splits.train.shards(), [0..2, 2..3]);
    assert_eq!((splits.valid.len(), splits.valid.label(0), splits.test.len()), (1, 1, 0));
    let mut buffer = Image::empty();
    let mut whole = Image::empty();
    mp_data::decode::decode(&picture("baseline.jpg"), &mut whole).unwrap();
    assert_eq!(splits.train.image(2, &mut buffer).unwrap(), whole.view());

    // One file, or folders for the splits.
    assert_eq!(opened(&root.path().join("s/x-train-000000.tar")).train.len(), 2);
    let split = [("train/0.tar", shard(&["0", "1"])), ("val/0.tar", shard(&["1"]))];
    let splits = opened(folder(&split).path());
    assert_eq!((splits.train.len(), splits.valid.len(), splits.test.len()), (2, 1, 0));

    // A damaged picture is found when it is asked for, with its place.
    let members = [("a.jpg", b"\xff\xd8\xff no".to_vec()), ("a.cls", b"0".to_vec())];
    let root = folder(&[("x.tar", tar(&members))]);
    let splits = opened(root.path());
    let error = splits.train.image(0, &mut buffer).unwrap_err().to_string();
    assert_eq!(error.replace(root.path().to_str().unwrap(), "DIR"), "cannot decode DIR/x.tar: the picture at byte 512");

    let root = folder(&[("train/0.tar", shard(&["0", "1"])), ("val/0.tar", shard(&["2"]))]);
    assert_eq!(refusal(&root, root.path()), "DIR/val/0.tar: byte 512: expected a label below 2, found 2");
}
