//! Files that are mistaken for weights, recognised by their first bytes.

/// What a file is that is no safetensors file, and what its owner can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
}

/// PyTorch's files since version 1.6.
pub(crate) const ARCHIVE: &str = "a PyTorch file (.pt, .pth)";
/// PyTorch's files before.
pub(crate) const LEGACY: &str = "a Python pickle, as older versions of PyTorch write (.pt, .pth)";
/// A zip archive of anything else.
pub(crate) const ZIP: &str = "a zip archive";

const READ_ELSEWHERE: &str = "its tensors are read where public weights are asked for (read_state_dict), but here they must \
                              lie as this crate has written them";
const CONVERT: &str = "write its tensors anew in Python with safetensors.torch.save_file";

/// What the bytes of a file are, if not those of a safetensors file: that begins with the length of its header, then `{`.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Foreign> {
    let found = |what, advice| Some(Foreign { what, advice });
    match bytes {
        [_, _, _, _, _, _, _, _, b'{', ..] => None,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => of_zip(bytes),
        [0x80, 2..=5, ..] => found(LEGACY, READ_ELSEWHERE),
        [0x1f, 0x8b, ..] => found("compressed with gzip", "unpack it"),
        [b'(' | b']' | b'}', b'l' | b'd' | b'q' | b'(', ..] => found("a Python pickle", CONVERT),
        _ if bytes.starts_with(b"\x89HDF\r\n\x1a\n") => found(
            "an HDF5 file, as Keras writes (.h5)",
            "write its tensors anew with the safetensors package of Python",
        ),
        _ if bytes.starts_with(b"\x93NUMPY") => found(
            "a NumPy array (.npy)",
            "write it anew with safetensors.numpy.save_file, under the name of its weight",
        ),
        _ if bytes.starts_with(b"GGUF") => found("a GGUF file", "get the .safetensors file of the same model"),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            found("a Git LFS pointer that stands for the file", "run `git lfs pull` in its repository")
        }
        _ if is_page(bytes) => found("a web page", "the download was refused or wants a login: get the file itself"),
        _ => None,
    }
}

/// A zip: PyTorch's or NumPy's, as the names in it tell.
fn of_zip(bytes: &[u8]) -> Option<Foreign> {
    let start = &bytes[..bytes.len().min(4096)];
    let holds = |name: &[u8]| start.windows(name.len()).any(|window| window == name);
    let (what, advice) = if holds(b"data.pkl") || holds(b"/version") {
        (ARCHIVE, READ_ELSEWHERE)
    } else if holds(b".npy") {
        (
            "an archive of NumPy arrays (.npz)",
            "write it anew with safetensors.numpy.save_file(dict(numpy.load(FILE)), ...)",
        )
    } else {
        (ZIP, "unpack it, if a safetensors file is in it")
    };
    Some(Foreign { what, advice })
}

fn is_page(bytes: &[u8]) -> bool {
    let start = bytes[..bytes.len().min(256)].trim_ascii_start().to_ascii_lowercase();
    [&b"<!doctype"[..], b"<html", b"<?xml", b"<head"].iter().any(|mark| start.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_take_for_weights_is_called_by_its_name() {
        for (bytes, what) in [
            (&b"PK\x03\x04....archive/data.pkl...."[..], "a PyTorch file (.pt, .pth)"),
            (b"PK\x03\x04....fc.weight.npy....", "an archive of NumPy arrays (.npz)"),
            (b"PK\x03\x04....notes.txt....", "a zip archive"),
            (b"\x80\x02}q\x00(X", "a Python pickle, as older versions of PyTorch write (.pt, .pth)"),
            (b"\x80\x04\x95\x10", "a Python pickle, as older versions of PyTorch write (.pt, .pth)"),
            (b"  <!DOCTYPE HTML><html>", "a web page"),
            (b"<html><head>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a Git LFS pointer that stands for the file"),
            (b"\x1f\x8b\x08\x00", "compressed with gzip"),
            (b"\x89HDF\r\n\x1a\n\x00", "an HDF5 file, as Keras writes (.h5)"),
            (b"\x93NUMPY\x01\x00", "a NumPy array (.npy)"),
            (b"GGUF\x03\x00", "a GGUF file"),
        ] {
            assert_eq!(recognise(bytes).map(|foreign| foreign.what), Some(what), "{bytes:?}");
        }
    }

    #[test]
    fn a_safetensors_file_is_none_of_these_even_where_its_length_looks_like_one() {
        assert_eq!(recognise(b"\x40\0\0\0\0\0\0\0{\"a\":"), None);
        // A header of 0x03048b1f bytes.
        assert_eq!(recognise(b"\x1f\x8b\x04\x03\0\0\0\0{\"a\":"), None);
        assert_eq!(recognise(b"some other text"), None);
    }
}
