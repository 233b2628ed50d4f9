//! Archives that are meant to do harm, each refused with its reason and nothing outside the folder.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;
use zip::write::SimpleFileOptions;

use super::*;

const ROOMY: Limits = Limits { bytes: 1 << 20, entries: 100 };

/// Unpacks everything in the folder `set` of an archive; gives the outcome and the files that are there, each with its content.
fn unpacked(archive: &[u8], wanted: Wanted<'_>, limits: Limits) -> (Result<(), String>, Vec<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, ready) = (folder.path().join("archive"), folder.path().join("ready"));
    fs::write(&path, archive).unwrap();
    fs::create_dir(&ready).unwrap();
    let outcome = unpack(&path, Path::new("set"), wanted, limits, &ready, &mut |_| ());
    let mut files = Vec::new();
    list(&ready, &ready, &mut files);
    files.sort();
    let beside: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "something was written outside: {beside:?}");
    (outcome, files)
}

fn list(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert!(!path.is_symlink());
        if path.is_dir() {
            list(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// A `.tar.gz`; names are written as they are, also those that a well-meaning writer refuses.
fn tarball(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, bytes) in entries {
        builder.append(&header(name, *kind, bytes.len() as u64), *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn header(name: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc").unwrap();
    }
    header.set_cksum();
    header
}

/// A `.zip` of entries with their Unix modes.
fn zipped(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, mode, bytes) in entries {
        let options = SimpleFileOptions::default().unix_permissions(mode & 0o777);
        match mode & 0o170_000 {
            0o120_000 => writer.add_symlink(*name, "/etc", options).unwrap(),
            0o040_000 => writer.add_directory(*name, options).unwrap(),
            _ => {
                writer.start_file(*name, options).unwrap();
                writer.write_all(bytes).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, content)| (name.to_string(), content.to_string())).collect()
}

#[test]
fn both_kinds_give_the_same_files() {
    let long = format!("set/train/{}/a.txt", "n".repeat(150));
    let tar = tarball(&[
        ("./set/", EntryType::Directory, b""),
        ("set/train/a.txt", EntryType::Regular, b"one"),
        ("set/old/", EntryType::Regular, b""),
        ("set/old/b.txt", EntryType::Regular, b"two"),
        ("././@LongLink", EntryType::GNULongName, &[long.as_bytes(), &[0]].concat()),
        ("set/train/nnnn", EntryType::Regular, b"three"),
        ("elsewhere/c.txt", EntryType::Regular, b"not wanted"),
    ]);
    let zip = zipped(&[
        ("set/", 0o040_755, b""),
        ("set/train/a.txt", 0o100_644, b"one"),
        ("set/old/b.txt", 0o100_644, b"two"),
        (&long, 0o100_644, b"three"),
        ("elsewhere/c.txt", 0o100_644, b"not wanted"),
    ]);
    let expected = pairs(&[("old/b.txt", "two"), ("train/a.txt", "one"), (&long["set/".len()..], "three")]);
    for archive in [tar, zip] {
        assert_eq!(unpacked(&archive, Wanted::Everything, ROOMY), (Ok(()), expected.clone()));
        let content = Content { name: "train".to_owned(), bytes: 3, sha256: None, md5: None };
        assert_eq!(unpacked(&archive, Wanted::Files(&[content]), ROOMY), (Ok(()), Vec::new()));
    }
}

#[test]
fn a_pax_header_names_the_next_file() {
    let record = b"30 path=set/train/pax name.txt\n";
    let tar = tarball(&[("pax", EntryType::XHeader, record), ("set/short", EntryType::Regular, b"x")]);
    // The record says that it has 30 bytes, but has 31.
    let (outcome, files) = unpacked(&tar, Wanted::Everything, ROOMY);
    assert!(outcome.is_err() && files.is_empty());
    let record = b"31 path=set/train/pax name.txt\n";
    let tar = tarball(&[("pax", EntryType::XHeader, record), ("set/short", EntryType::Regular, b"x")]);
    assert_eq!(unpacked(&tar, Wanted::Everything, ROOMY), (Ok(()), pairs(&[("train/pax name.txt", "x")])));
}

#[test]
fn what_does_harm_is_refused() {
    let small = Limits { bytes: 100, entries: 4 };
    let bomb = vec![0; 200];
    let link = ("set/train", EntryType::Symlink, &b""[..]);
    let file = |name| (name, EntryType::Regular, &b"x"[..]);
    for (entries, limits, reason) in [
        (vec![file("set/../../evil")], ROOMY, "\"set/../../evil\", which leads outside"),
        (vec![file("/set/evil")], ROOMY, "\"/set/evil\", which leads outside"),
        (vec![link, file("set/train/passwd")], ROOMY, "\"set/train\" is neither a file nor a folder"),
        (vec![("set/a", EntryType::Link, b"")], ROOMY, "\"set/a\" is neither a file nor a folder"),
        (vec![("set/a", EntryType::Char, b"")], ROOMY, "\"set/a\" is neither a file nor a folder"),
        (vec![("set/a", EntryType::Block, b"")], ROOMY, "\"set/a\" is neither a file nor a folder"),
        (vec![("set/a", EntryType::Fifo, b"")], ROOMY, "\"set/a\" is neither a file nor a folder"),
        (vec![("set/a", EntryType::GNUSparse, b"")], ROOMY, "\"set/a\" is neither a file nor a folder"),
        (vec![file("set/a"), file("set/a")], ROOMY, "File exists"),
        (vec![file("set/a"), file("set/a/b")], ROOMY, "File exists"),
        (vec![("set/a", EntryType::Regular, &bomb)], small, "more than the expected 100 bytes"),
        (vec![("other/a", EntryType::Regular, &bomb)], small, "more than the expected 100 bytes"),
        (vec![file("set/1"), file("set/2"), file("set/3"), file("set/4"), file("set/5")], small, "expected 4 entries"),
        (vec![("name", EntryType::GNULongName, &[b'n'; 5000])], ROOMY, "a name of more than 4096 bytes"),
        (vec![("name", EntryType::GNULongName, b"../evil"), file("set/a")], ROOMY, "\"../evil\", which leads outside"),
        (vec![("name", EntryType::GNULongName, b"set/\xff"), file("set/a")], ROOMY, "a name that is not UTF-8"),
        (vec![("pax", EntryType::XHeader, b"19 path=../../evil\n"), file("set/a")], ROOMY, "which leads outside"),
        (vec![("pax", EntryType::XHeader, b"20 size=99999999999\n"), file("set/a")], ROOMY, "more than 8 GiB"),
    ] {
        let (outcome, files) = unpacked(&tarball(&entries), Wanted::Everything, limits);
        let message = outcome.unwrap_err();
        assert!(message.contains(reason) && !message.contains('\n'), "{message}");
        assert!(files.iter().all(|(name, _)| !name.contains("evil") && !name.contains("passwd")), "{files:?}");
    }

    for (entries, limits, reason) in [
        (vec![("set/../../evil", 0o100_644, &b"x"[..])], ROOMY, "which leads outside"),
        (vec![("/evil", 0o100_644, b"x")], ROOMY, "which leads outside"),
        (
            vec![("set/train", 0o120_777, b""), ("set/train/passwd", 0o100_644, b"x")],
            ROOMY,
            "neither a file nor a folder",
        ),
        (vec![("set/a", 0o100_644, &bomb)], small, "more than the expected 100 bytes"),
        (
            vec![
                ("1", 0o100_644, b""),
                ("2", 0o100_644, b""),
                ("3", 0o100_644, b""),
                ("4", 0o100_644, b""),
                ("5", 0o100_644, b""),
            ],
            small,
            "expected 4 entries",
        ),
    ] {
        let (outcome, files) = unpacked(&zipped(&entries), Wanted::Everything, limits);
        let message = outcome.unwrap_err();
        assert!(message.contains(reason) && !message.contains('\n'), "{message}");
        assert_eq!(files, []);
    }
}

/// A header that promises 2^62 bytes, and the archive that ends there.
#[test]
fn a_huge_promise_takes_no_memory() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(header("set/a", EntryType::Regular, 1 << 62).as_bytes()).unwrap();
    let (outcome, files) = unpacked(&packer.finish().unwrap(), Wanted::Everything, ROOMY);
    assert!(outcome.unwrap_err().contains("unpacks to more than the expected 1048576 bytes"));
    assert_eq!(files, []);
}

/// A zip whose directory promises less than the entry unpacks to: the promise is what counts against the limit.
#[test]
fn a_zip_that_lies_about_its_size_is_refused() {
    let honest = zipped(&[("set/a", 0o100_644, &[7; 50])]);
    let mut lying = honest.clone();
    // The unpacked size in the central directory, 24 bytes after its mark.
    let directory = honest.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    lying[directory + 24] = 5;
    assert_eq!(unpacked(&honest, Wanted::Everything, ROOMY).0, Ok(()));
    let message = unpacked(&lying, Wanted::Everything, ROOMY).0.unwrap_err();
    assert!(message.contains("promises 5 bytes: found more") || message.contains("cannot write"), "{message}");
}

#[test]
fn what_is_no_archive_or_half_of_one_is_refused() {
    let whole = tarball(&[("set/a", EntryType::Regular, &[7; 5000])]);
    for (bytes, reason) in [
        (&b""[..], "failed to fill whole buffer"),
        (b"<!DOCTYPE html>", "it is neither a .tar.gz nor a .zip"),
        (&whole[..whole.len() / 2], "cannot unpack"),
        (b"PK\x03\x04 and then nothing", "cannot unpack"),
    ] {
        let message = unpacked(bytes, Wanted::Everything, ROOMY).0.unwrap_err();
        assert!(message.contains(reason) && !message.contains('\n'), "{message}");
    }
}
