use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;

fn archive_of(bytes: &[u8]) -> Result<Parts<Arrays>, Error> {
    archive(Path::new("x.npz"), Cursor::new(bytes), &mut Ignored::default())
}

fn npy(descr: &str, fortran_order: bool, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let order = if fortran_order { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}\n");
    [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
}

fn read(bytes: &[u8]) -> Result<Array, String> {
    Array::read(Path::new("a.npy"), &mut &bytes[..]).map_err(|error| error.to_string())
}

fn assembled(images: &[u8], labels: &[u8]) -> Result<Arrays, String> {
    let (images, labels) = (read(images)?, read(labels)?);
    assemble((Path::new("x.npy"), images), (Path::new("y.npy"), labels)).map_err(|error| error.to_string())
}

fn npz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn all_orders_give_the_same_pixels() {
    let labels = npy("<i8", false, &[2], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Two images of one row, two columns and three channels: the hundreds are the image, the tens the channel.
    let pixels = [0, 10, 20, 1, 11, 21, 100, 110, 120, 101, 111, 121];
    let shape = ImageShape { channels: 3, height: 1, width: 2 };
    let planes = [0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121];
    let fortran = [0, 100, 1, 101, 10, 110, 11, 111, 20, 120, 21, 121];
    for images in [
        npy("|u1", false, &[2, 1, 2, 3], &pixels),
        npy("|u1", false, &[2, 3, 1, 2], &planes),
        npy("|u1", true, &[2, 1, 2, 3], &fortran),
    ] {
        let raw = assembled(&images, &labels).unwrap();
        assert_eq!((raw.shape, raw.labels, &raw.pixels[..]), (shape, Labels::Numbers(vec![1, 0]), &pixels[..]));
    }
    let grey = assembled(&npy("|u1", false, &[2, 1, 2], &[1, 2, 3, 4]), &labels).unwrap();
    assert_eq!((grey.shape.channels, &grey.pixels[..]), (1, &[1, 2, 3, 4][..]));
}

#[test]
fn labels_of_any_whole_type_are_read() {
    let images = npy("|u1", false, &[2, 1, 1], &[1, 2]);
    for (descr, values) in [("|u1", &[3, 7][..]), ("<u2", &[3, 0, 7, 0]), (">i4", &[0, 0, 0, 3, 0, 0, 0, 7])] {
        let found = assembled(&images, &npy(descr, false, &[2, 1], values)).unwrap().labels;
        assert_eq!(found, Labels::Numbers(vec![3, 7]));
    }
}

#[test]
fn labels_may_be_the_names_of_classes() {
    let images = npy("|u1", false, &[2, 1, 1], &[1, 2]);
    let wide = |text: &str, big: bool| -> Vec<u8> {
        let bytes = |c: char| if big { u32::from(c).to_be_bytes() } else { u32::from(c).to_le_bytes() };
        text.chars().flat_map(bytes).collect()
    };
    for (descr, values) in
        [("|S3", b"eelox\0".to_vec()), ("<U3", wide("eelox\0", false)), (">U3", wide("eelox\0", true))]
    {
        let found = assembled(&images, &npy(descr, false, &[2], &values)).unwrap().labels;
        assert_eq!(found, Labels::Names(vec!["eel".to_owned(), "ox".to_owned()]));
    }
    for (descr, values, message) in [
        ("|S2", b"ab\0\0".to_vec(), "y.npy: byte 71: expected the name of a class, found `\\x00\\x00`"),
        ("<U1", [wide("a", false), vec![0, 0, 17, 0]].concat(), "y.npy: byte 73: expected the name of a class, found"),
        ("|S2", b"abc\n".to_vec(), "y.npy: byte 71: expected the name of a class, found `c\\n`"),
        (
            "|O",
            b"pickle".to_vec(),
            "a.npy: byte 10: expected numbers or text: save labels as numbers, or as text with \
          .astype(str), found Python objects (dtype=object)",
        ),
    ] {
        let found = assembled(&images, &npy(descr, false, &[2], &values)).unwrap_err();
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn archives_hold_pairs() {
    let (images, labels) = (npy("|u1", false, &[2, 1, 1], &[1, 2]), npy("|u1", false, &[2], &[0, 1]));
    let [four, two] = [
        &[("X_train.npy", &images[..]), ("y_train.npy", &labels), ("x_test.npy", &images), ("y_test.npy", &labels)][..],
        &[("images.npy", &images), ("labels.npy", &labels)],
    ]
    .map(|members| archive_of(&npz(members)).unwrap());
    assert_eq!((four.train.labels, four.test.unwrap().pixels), (Labels::Numbers(vec![0, 1]), vec![1, 2]));
    assert!(four.valid.is_none() && two.valid.is_none() && two.test.is_none());
    let error = archive_of(&npz(&[("images.npy", &images), ("line\nbreak.npy", &labels)])).unwrap_err().to_string();
    assert!(error.starts_with("x.npz: byte 0: expected arrays called x_train and y_train, "), "{error}");
    assert!(error.contains("found ") && error.contains("line\\nbreak"), "{error}");
    let error = archive_of(&npz(&[("images.npy", &images[..60]), ("labels.npy", &labels)])).unwrap_err().to_string();
    assert!(error.starts_with("x.npz/images.npy: byte 10: expected a header with descr"), "{error}");
}

#[test]
fn every_fault_names_its_place() {
    let good = npy("|u1", false, &[2, 1, 1], &[1, 2]);
    let labels = npy("|u1", false, &[2], &[0, 1]);
    let start = good.len() - 2;
    let negative = npy("<i2", false, &[2], &[0, 0, 255, 255]);
    let one_label = npy("|u1", false, &[1], &[0]);
    for (images, labels, message) in [
        (
            &b"PK\x03\x04...."[..],
            &labels[..],
            "a.npy: byte 0: expected the mark of a NumPy array, found [50, 4b, 03, 04, 2e, 2e]",
        ),
        (
            &good[..good.len() - 1],
            &labels,
            &format!("a.npy: byte {}: expected 2 bytes of values, found the end", start + 1),
        ),
        (
            &[&good[..], &[0]].concat(),
            &labels,
            &format!("a.npy: byte {}: expected the end, as the header says, found more bytes", start + 2),
        ),
        (
            &npy("<f4", false, &[1, 1, 1], &[0; 4]),
            &labels,
            "x.npy: byte 8: expected images of bytes (uint8), found elements of the type <f4",
        ),
        (
            &npy("|u1", false, &[2, 2], &[0; 4]),
            &labels,
            "x.npy: byte 8: expected images as [B, H, W], [B, H, W, C] or [B, C, H, W] with 1, 3 or 4 channels, found [2, 2]",
        ),
        (
            &npy("|V8", false, &[usize::MAX, 2], &[]),
            &labels,
            "a.npy: byte 10: expected at least one element of a known size, found [18446744073709551615, 2] of |V8",
        ),
        (&good, &one_label, "y.npy: byte 8: expected 2 labels, one for each image of x.npy, found 1"),
        (
            &good,
            &npy("<f8", false, &[2], &[0; 16]),
            "y.npy: byte 8: expected labels of whole numbers, or names of classes as text (dtype U or S), found elements of \
             the type <f8",
        ),
        (
            &good,
            &negative,
            &format!("y.npy: byte {}: expected a label from 0 to 4294967295, found -1", negative.len() - 2),
        ),
    ] {
        assert_eq!(assembled(images, labels).unwrap_err(), message);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        values in proptest::collection::vec(any::<u8>(), 1..60),
        fortran_order: bool,
    ) {
        let shape = vec![values.len(), 1, 1];
        let bytes = npy("|u1", fortran_order, &shape, &values);
        let (count, shape, pixels) = read(&bytes).unwrap().pixels(Path::new("x.npy")).unwrap();
        prop_assert_eq!((count, shape.len(), &pixels), (values.len(), 1, &values));
    }

    #[test]
    fn any_damage_is_an_array_or_an_error(damage in proptest::collection::vec((0usize..90, any::<u8>()), 0..6), archived: bool) {
        let array = npy("|u1", false, &[2, 1, 1], &[1, 2]);
        let mut bytes = if archived { npz(&[("images.npy", &array), ("labels.npy", &array)]) } else { array };
        let length = bytes.len();
        damage.into_iter().for_each(|(at, value)| bytes[at % length] = value);
        let _ = if archived { archive_of(&bytes).is_ok() } else { assembled(&bytes, &bytes).is_ok() };
    }
}
