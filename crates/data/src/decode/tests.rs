use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// `tests/pictures/write.py` wrote these, each with the pixels that Pillow makes of it: 20 columns, 13 rows.
/// JPEG and lossy WebP leave rounding to the decoder: the number is the most by which a value may differ.
const PICTURES: [(&str, u8); 18] = [
    ("baseline.jpg", 2),
    ("rotated.jpg", 2),
    ("subsampled.jpg", 6),
    ("progressive.jpg", 6),
    ("restarts.jpg", 6),
    ("grey.jpg", 1),
    ("cmyk.jpg", 2),
    ("color.png", 0),
    ("grey.png", 0),
    ("grey_alpha.png", 0),
    ("alpha.png", 0),
    ("palette.png", 0),
    ("bits.png", 0),
    ("deep.png", 0),
    ("lossy.webp", 2),
    ("lossless.webp", 0),
    ("color.bmp", 0),
    ("palette.bmp", 0),
];

const SHAPE: ImageShape = ImageShape { channels: 3, height: 13, width: 20 };

fn picture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    std::fs::read(folder.join(name)).unwrap()
}

fn pixels(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut image = Image::empty();
    decode(bytes, &mut image).map(|()| image.pixels().to_vec())
}

fn refusal(bytes: &[u8]) -> String {
    let error = decode(bytes, &mut Image::empty()).unwrap_err();
    error.to_string()
}

#[test]
fn pixels_are_those_of_pillow() {
    let mut image = Image::empty();
    for (name, tolerance) in PICTURES {
        let bytes = picture(name);
        assert_eq!(shape(&bytes).unwrap(), SHAPE, "{name}");
        decode(&bytes, &mut image).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.shape(), SHAPE, "{name}");
        let expected = picture(&format!("{name}.rgb"));
        let most = image.pixels().iter().zip(&expected).map(|(&ours, &theirs)| ours.abs_diff(theirs)).max().unwrap();
        assert!(most <= tolerance, "{name} differs by {most}");
    }
}

#[test]
fn memory_serves_one_picture_after_another() {
    let mut image = Image::empty();
    decode(&picture("alpha.png"), &mut image).unwrap();
    let place = image.pixels().as_ptr();
    for (name, _) in PICTURES.iter().filter(|(name, _)| *name != "deep.png") {
        decode(&picture(name), &mut image).unwrap();
        assert_eq!(image.pixels().as_ptr(), place, "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_whole() {
    for (name, _) in PICTURES {
        let bytes = picture(name);
        let whole = pixels(&bytes).unwrap();
        for end in 0..bytes.len() {
            match pixels(&bytes[..end]) {
                // Nothing but an end mark without content may be missing.
                Ok(cut) => assert!(cut == whole && !name.ends_with("jpg"), "{name} cut at {end} of {}", bytes.len()),
                Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            }
        }
    }
}

/// 70 rows of 24 columns, and how many rows are decoded for the first 17. A row of blocks has 8 rows where colour is as detailed
/// as brightness downwards; otherwise 16, and the last row is made with the next one's colour.
const TALL: [(&str, usize); 7] = [
    ("tall-444.jpg", 24),
    ("tall-422.jpg", 24),
    ("tall-420.jpg", 32),
    ("tall-restarts.jpg", 32),
    ("tall-grey.jpg", 24),
    ("tall-cmyk.jpg", 24),
    // All rows come in each of several scans.
    ("tall-progressive.jpg", 70),
];

#[test]
fn the_first_rows_are_those_of_the_whole_picture() {
    let mut image = Image::empty();
    for (name, _) in TALL {
        let bytes = picture(name);
        let whole = pixels(&bytes).unwrap();
        for rows in 0..=70 {
            image.pixels_mut().fill(0);
            decode_rows(&bytes, &mut image, &|_| rows).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(image.shape(), ImageShape { channels: 3, height: 70, width: 24 }, "{name}");
            assert!(image.pixels()[..rows * 72] == whole[..rows * 72], "{rows} rows of {name}");
        }
    }
}

#[test]
fn a_picture_is_decoded_as_far_as_it_is_looked_at() {
    for (name, decoded) in TALL {
        // A row that shows what was there before was not written.
        let over = |before: u8| {
            let mut image = Image::empty();
            image.reshape(ImageShape { channels: 3, height: 70, width: 24 }).fill(before);
            decode_rows(&picture(name), &mut image, &|_| 17).unwrap();
            image
        };
        let (black, white) = (over(0), over(255));
        let same = black.pixels().chunks(72).zip(white.pixels().chunks(72)).take_while(|(black, white)| black == white);
        assert_eq!(same.count(), decoded, "{name}");
    }
}

#[test]
fn damage_behind_the_first_rows_shows_only_at_the_end_of_the_file() {
    let whole = picture("tall-444.jpg");
    let scan = whole.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    // A code of 16 ones stands for nothing (FF 00 is coded data, not a mark), here in the last tenth.
    let mut damaged = whole.clone();
    let at = scan + (whole.len() - scan) * 9 / 10;
    damaged[at..at + 8].copy_from_slice(&[0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
    let first = |bytes: &[u8]| {
        let mut image = Image::empty();
        decode_rows(bytes, &mut image, &|_| 16).map(|()| image.pixels()[..16 * 72].to_vec())
    };
    assert!(refusal(&damaged).starts_with("a damaged JPEG: "), "{}", refusal(&damaged));
    assert_eq!(first(&damaged).unwrap(), pixels(&whole).unwrap()[..16 * 72]);
    for end in 0..whole.len() {
        assert!(first(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn coded_data_that_break_off_are_refused() {
    // A scan of all components within another: the decoder stops there, and says nothing.
    let whole = picture("tall-444.jpg");
    let scan = whole.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let middle = scan + (whole.len() - scan) / 2;
    let doubled = [&whole[..middle], &whole[scan..]].concat();
    assert_eq!(refusal(&doubled), "a damaged JPEG: its coded data break off");

    // A comment between the coded data and the end mark is nothing to complain about.
    let (coded, end) = whole.split_at(whole.len() - 2);
    assert_eq!(pixels(&[coded, b"\xff\xfe\0\x06note", end].concat()), pixels(&whole));
}

#[test]
fn bytes_behind_a_picture_are_ignored() {
    for (name, _) in PICTURES {
        let bytes = picture(name);
        assert_eq!(pixels(&[&bytes[..], b"more"].concat()).unwrap(), pixels(&bytes).unwrap(), "{name}");
    }
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, found) in [
        (&b""[..], "no bytes at all"),
        (b"GIF89a", "a GIF"),
        (b"  <!DOCTYPE html><html>", "HTML or XML"),
        (&[0; 100], "only zeros"),
        (b"hello", "bytes of another kind"),
    ] {
        assert_eq!(refusal(bytes), format!("expected a JPEG, PNG, WebP or BMP picture, found {found}"));
    }
}

/// A PNG whose header asks for `width` x `height` pixels of 1 bit, with `extra` more bytes of data.
fn png_header(width: u32, height: u32, extra: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut sum = crc32fast::Hasher::new();
        sum.update(kind);
        sum.update(data);
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.finalize().to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &vec![0; extra])].concat()
}

#[test]
fn decompression_bombs_are_refused_by_their_header() {
    let expected = "a PNG of 50000x50000 pixels: expected at most 89478485 pixels";
    assert_eq!(refusal(&png_header(50_000, 50_000, 10)), expected);
    assert_eq!(shape(&png_header(50_000, 50_000, 10)).unwrap_err().to_string(), expected);
    assert_eq!(
        refusal(&png_header(8000, 8000, 0)),
        "a damaged PNG: 45 bytes cannot hold 8000x8000 pixels, as its header says"
    );

    // The frame header holds rows and columns after the marker, the length and the depth.
    let mut jpeg = picture("baseline.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(refusal(&jpeg), "a JPEG of 65535x65535 pixels: expected at most 89478485 pixels");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert_eq!(
        refusal(&jpeg),
        format!("a damaged JPEG: {} bytes cannot hold 8192x8192 pixels, as its header says", jpeg.len())
    );
}

#[test]
fn names_of_pictures_are_known_by_their_end() {
    for name in ["a.jpg", "a.JPEG", "n.01.Png", "x.webp", "x.bmp"] {
        assert!(Codec::is_named(name.as_ref()), "{name}");
    }
    for name in ["jpg", ".jpg", "a.jpg.txt", "a.gif", "README", "ajpg"] {
        assert!(!Codec::is_named(name.as_ref()), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_damage_gives_a_picture_or_an_error(
        which in 0..PICTURES.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = picture(PICTURES[which].0);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let promised = shape(&bytes);
        let mut image = Image::empty();
        match decode(&bytes, &mut image) {
            Ok(()) => prop_assert_eq!(promised.unwrap(), image.shape()),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn any_bytes_give_a_picture_or_an_error(start in 0..5usize, rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let starts: [&[u8]; 5] = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8L", b"BM"];
        let _ = decode(&[starts[start], &rest].concat(), &mut Image::empty());
    }
}
