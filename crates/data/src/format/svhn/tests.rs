use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

/// An element of the MAT format, padded to eight bytes.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A short element: type and size in one word, the data in the other.
fn short(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = (kind | (data.len() as u32) << 16).to_le_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(8, 0);
    bytes
}

fn array(name: &[u8], class: u32, dimensions: &[u32], stored: Vec<u8>) -> Vec<u8> {
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let dimensions: Vec<u8> = dimensions.iter().flat_map(|size| size.to_le_bytes()).collect();
    element(MATRIX, &[element(UINT32, &flags), element(INT32, &dimensions), short(INT8, name), stored].concat())
}

fn compressed(array: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(array).unwrap();
    let data = packer.finish().unwrap();
    // These are not padded.
    [&COMPRESSED.to_le_bytes(), &(data.len() as u32).to_le_bytes()[..], &data].concat()
}

fn file(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(elements.concat());
    bytes
}

fn parsed(bytes: &[u8]) -> Result<Raw, String> {
    parse(Path::new("a.mat"), bytes).map_err(|error| error.to_string())
}

/// Two images and their labels, the digits 0 and 7.
fn arrays() -> [Vec<u8>; 2] {
    // Byte c * 1024 + x * 32 + y is channel c of the pixel in row y and column x.
    let image: Vec<u8> = (0..3072).map(|at| (at / 1024 * 80 + at / 32 % 32 + at % 32 / 2) as u8).collect();
    let x = array(b"X", 9, &[32, 32, 3, 2], element(UINT8, &[image, vec![9; 3072]].concat()));
    let y = array(b"y", 6, &[2, 1], element(DOUBLE, &[10f64, 7.0].map(f64::to_le_bytes).concat()));
    [x, y]
}

#[test]
fn arrays_of_columns_become_rows_of_pixels() {
    let [x, y] = arrays();
    let short_labels = array(b"y", 9, &[2, 1], short(UINT8, &[10, 7]));
    let other = array(b"z", 9, &[1, 1], short(UINT8, &[1]));
    for file in [
        file(&[x.clone(), y.clone()]),
        file(&[compressed(&y), compressed(&x)]),
        file(&[other, compressed(&x), short_labels]),
    ] {
        let raw = parsed(&file).unwrap();
        assert_eq!((raw.shape, &raw.labels[..]), (SHAPE, &[0, 7][..]));
        for (row, column) in [(0, 0), (1, 0), (0, 31), (31, 3), (20, 21)] {
            let value = |channel: usize| (channel * 80 + column + row / 2) as u8;
            assert_eq!(raw.pixels[(row * 32 + column) * 3..][..3], [value(0), value(1), value(2)]);
        }
        assert!(raw.pixels[3072..].iter().all(|&pixel| pixel == 9));
    }
}

#[test]
fn every_fault_is_told() {
    let [x, y] = arrays();
    let labels = |values: [f64; 2]| array(b"y", 6, &[2, 1], element(DOUBLE, &values.map(f64::to_le_bytes).concat()));
    let whole = file(&[x.clone(), y.clone()]);
    for (bytes, message) in [
        (whole[..100].to_vec(), "byte 100: expected the version and byte order of a MATLAB 5 file, found the end"),
        (vec![b'x'; 200], "byte 124: expected the version and byte order of a MATLAB 5 file, found something else"),
        (file(std::slice::from_ref(&x)), "expected the array y, found the end"),
        (file(std::slice::from_ref(&y)), "expected the array X, found the end"),
        (whole[..whole.len() - 1].to_vec(), "expected an element of 64 bytes"),
        (file(&[x.clone(), labels([11.0, 1.0])]), "expected labels `y` from 1 to 10, found 11"),
        (file(&[x.clone(), labels([1.5, 1.0])]), "expected a numeric array of bytes or doubles"),
        (
            file(&[x.clone(), array(b"y", 9, &[1, 1], short(UINT8, &[1]))]),
            "byte 128: expected images `X` of 32x32x3x1, one for each label, at least one, found [32, 32, 3, 2]",
        ),
        (
            file(&[array(b"X", 9, &[u32::MAX; 4], element(UINT8, &[1])), y.clone()]),
            "byte 128: expected a numeric array",
        ),
        (file(&[compressed(&x)[..200].to_vec(), y.clone()]), "byte 128: expected "),
        (file(&[compressed(b"nothing"), y.clone()]), "byte 128: expected a numeric array"),
    ] {
        let found = parsed(&bytes).unwrap_err();
        assert!(found.contains(message), "{found}");
    }
}

/// Every byte of compressed arrays is under the sum that zlib keeps of them.
#[test]
fn no_flipped_bit_of_a_compressed_array_is_taken() {
    let [x, y] = arrays();
    let whole = file(&[compressed(&x), compressed(&y)]);
    let expected = parsed(&whole).unwrap();
    for at in 128..whole.len() {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1 << (at % 8);
        // Some bits of the deflate stream mean the same either way, such as padding.
        assert!(!parsed(&spoilt).is_ok_and(|raw| raw != expected), "byte {at}");
    }
}
