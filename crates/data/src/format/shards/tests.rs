use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn indexed(bytes: &[u8]) -> Result<Indexed, String> {
    index(Path::new("x.tar"), Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.to_string())
}

#[test]
fn pictures_and_labels_are_found_in_either_order() {
    let long = format!("{}/b", "d".repeat(150));
    let members: [(&str, &[u8]); 7] = [
        ("a.jpg", b"picture"),
        ("a.cls", b"1\n"),
        ("README", b"not a sample"),
        (&format!("{long}.cls"), b"0"),
        (&format!("{long}.json"), b"{}"),
        (&format!("{long}.input.PNG"), b"another"),
        ("._a.jpg", b"hidden"),
    ];
    let bytes = tar_of(&members);
    let Indexed { places, ignored } = indexed(&bytes).unwrap();
    let labels: Vec<_> = places.iter().map(|place| place.label).collect();
    let contents: Vec<_> =
        places.iter().map(|place| &bytes[place.offset as usize..][..place.length as usize]).collect();
    assert_eq!((labels, contents), (vec![1, 0], vec![&b"picture"[..], b"another"]));
    assert_eq!(ignored.to_string(), "1 .json, 1 no ending");
}

#[test]
fn every_fault_names_its_place() {
    let whole = tar_of(&[("a.jpg", b"picture"), ("a.cls", b"1")]);
    for (bytes, message) in [
        (tar_of(&[]), "byte 0: expected pictures with their labels (KEY.jpg and KEY.cls), found none"),
        (tar_of(&[("a.jpg", b"p"), ("b.cls", b"1")]), "byte 0: expected the label (.cls) of `a`, found none beside it"),
        (
            tar_of(&[("d/a\n.cls", b"1")]),
            "byte 0: expected the picture (.jpg, .jpeg, .jpe, .jfif, .jif, .png, .webp or .bmp) of `d/a\\n`, found none beside it",
        ),
        (tar_of(&[("a.jpg", b"p"), ("a.png", b"p")]), "byte 1536: expected one picture of `a`, found a second one"),
        (tar_of(&[("a.cls", b"cat\n")]), "byte 512: expected a label of decimal digits, found `cat\\n`"),
        (whole[..515].to_vec(), "byte 512: expected 7 bytes of an entry, found the end at 515"),
    ] {
        assert_eq!(indexed(&bytes).unwrap_err(), format!("x.tar: {message}"));
    }
    let error = indexed(&[b'x'; 700]).unwrap_err();
    assert!(error.starts_with("x.tar: byte 0: expected an intact tar file, found "), "{error}");
}

#[test]
fn names_tell_the_split() {
    let split = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        by_split(Path::new("d"), &names).map_err(|error| error.to_string())
    };
    let paths = |names: &[&str]| names.iter().map(|name| Path::new("d").join(name)).collect::<Vec<_>>();
    assert_eq!(
        split(&["x-train-0.tar", "x-train-1.tar", "x-test-0.tar", "x-val-0.tar"]).unwrap(),
        Parts {
            train: paths(&["x-train-0.tar", "x-train-1.tar"]),
            valid: Some(paths(&["x-val-0.tar"])),
            test: Some(paths(&["x-test-0.tar"]))
        }
    );
    assert_eq!(split(&["TRAIN.tar", "test.tar"]).unwrap(), Parts::tested(paths(&["TRAIN.tar"]), paths(&["test.tar"])));
    assert_eq!(split(&["0.tar", "1.tar"]).unwrap(), Parts::train(paths(&["0.tar", "1.tar"])));
    let expected = "d: expected tar files with train, and val or test, in their names, found";
    assert_eq!(split(&["train.tar", "more.tar"]).unwrap_err(), format!("{expected} more.tar"));
    assert_eq!(split(&["test.tar"]).unwrap_err(), format!("{expected} no file of train"));
    assert_eq!(
        split(&["train-test.tar"]).unwrap_err(),
        "d: expected tar files of one split each, found train-test.tar, named after two"
    );
}

proptest! {
    #[test]
    fn any_damage_is_places_inside_the_file_or_an_error(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end: prop::sample::Index,
    ) {
        let mut bytes = tar_of(&[("a.jpg", b"picture"), ("a.cls", b"1"), ("b.cls", b"0"), ("b.jpg", b"p")]);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len()));
        if let Ok(Indexed { places, .. }) = indexed(&bytes) {
            let inside = |place: &Place| place.offset + u64::from(place.length) <= bytes.len() as u64;
            prop_assert!(places.iter().all(inside));
        }
    }
}
