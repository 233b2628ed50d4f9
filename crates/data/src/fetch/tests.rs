//! Fetching from a server on this machine that can be told to misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::manifest::{Content, Limits, Tree};
use crate::{Format, open};

/// What the server does to the first answer that it gives for a file.
#[derive(Clone, Copy, PartialEq)]
enum First {
    Whole,
    /// Says how long the file is and stops after so many bytes.
    BreaksAfter(usize),
}

/// Serves files over HTTP, with byte ranges, and writes down what it was asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: HashMap<String, Vec<u8>>, first: First) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, first, &log);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, files: &HashMap<String, Vec<u8>>, first: First, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let name = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    let start: usize = range.unwrap_or(0);
    let again = {
        let mut log = log.lock().unwrap();
        log.push(format!("{name} from {start}"));
        log.iter().filter(|line| line.starts_with(&format!("{name} "))).count() > 1
    };
    let Some(file) = files.get(&name) else {
        write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    };
    if start >= file.len() {
        write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    }
    let status = match range {
        None => "200 OK".to_owned(),
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", file.len() - 1, file.len()),
    };
    let body = &file[start..];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).unwrap();
    let sent = match first {
        First::BreaksAfter(bytes) if !again => &body[..bytes.min(body.len())],
        _ => body,
    };
    stream.write_all(sent).unwrap();
}

/// A client that no proxy stands in the way of.
fn direct() -> Agent {
    Agent::config_builder().proxy(None).build().into()
}

fn sum(bytes: &[u8]) -> String {
    content::sha256(bytes).unwrap().1
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// A whole data set of two classes, three training images and one test image, each of 1x1 pixel.
fn files() -> [(&'static str, Vec<u8>); 4] {
    let images =
        |count: u8| [&[0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 1], &vec![9; count.into()][..]].concat();
    [
        ("train-images-idx3-ubyte", images(3)),
        ("train-labels-idx1-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 1]),
        ("t10k-images-idx3-ubyte", images(1)),
        ("t10k-labels-idx1-ubyte", vec![0, 0, 8, 1, 0, 0, 0, 1, 1]),
    ]
}

fn packed() -> HashMap<String, Vec<u8>> {
    files().into_iter().map(|(name, bytes)| (format!("{name}.gz"), gzip(&bytes))).collect()
}

fn manifest(sources: Vec<Source>) -> Manifest {
    let content = |(name, bytes): (&str, Vec<u8>)| Content {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        sha256: Some(sum(&bytes)),
        md5: None,
    };
    Manifest {
        name: "tiny".to_owned(),
        title: String::new(),
        homepage: String::new(),
        licence: String::new(),
        format: Format::Idx,
        train: 3,
        test: 1,
        classes: vec!["no".to_owned(), "yes".to_owned()],
        mean: vec![0.5],
        std: vec![0.5],
        files: files().map(content).into(),
        tree: None,
        sources,
        by_hand: None,
    }
}

/// The files as downloads of their own, in the order of the manifest.
fn single_files(url: &str) -> Source {
    let packed = packed();
    let download = |(name, _)| {
        let name = format!("{name}.gz");
        Download { bytes: packed[&name].len() as u64, sha256: sum(&packed[&name]), name }
    };
    Source::Http { url: url.to_owned(), downloads: files().map(download).into() }
}

fn archive(url: &str, bytes: &[u8]) -> Source {
    let folder = PathBuf::from("tiny-1.0/data");
    let url = format!("{url}/tiny.tar.gz");
    Source::Archive { url, bytes: bytes.len() as u64, sha256: sum(bytes), folder, limits: Limits::default() }
}

/// Fetches into `cache`, dropping reports of progress.
fn quietly(manifest: &Manifest, cache: &Path) -> Result<PathBuf, String> {
    fetch_manifest(manifest, cache, &direct(), &mut |_| ()).map_err(|error| error.to_string())
}

/// A `.tar.gz`; names are written as they are, also those that a well-meaning writer refuses.
fn tarball(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn files_arrive_whole_and_are_reported() {
    let server = Server::start(packed(), First::Whole);
    let cache = tempfile::tempdir().unwrap();
    let manifest = manifest(vec![single_files(&server.url)]);
    let mut last = HashMap::new();
    let mut progress = |progress: Progress<'_>| {
        last.insert(progress.file.to_owned(), (progress.done, progress.total.unwrap()));
    };
    let folder = fetch_manifest(&manifest, cache.path(), &direct(), &mut progress).unwrap();
    assert_eq!(folder, cache.path().join("tiny"));
    assert_eq!(last.len(), 4);
    assert!(last.values().all(|(done, total)| done == total));
    assert!(!cache.path().join("tiny.partial").exists());
    assert_eq!(open(folder.to_str().unwrap(), cache.path()).unwrap().train.len(), 3);

    // The second time there is nothing to ask the server for.
    assert_eq!(quietly(&manifest, cache.path()).unwrap(), folder);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let server = Server::start(packed(), First::BreaksAfter(10));
    let cache = tempfile::tempdir().unwrap();
    quietly(&manifest(vec![single_files(&server.url)]), cache.path()).unwrap();
    let asked = server.asked();
    assert_eq!(asked[..2], ["train-images-idx3-ubyte.gz from 0", "train-images-idx3-ubyte.gz from 10"]);
    assert_eq!(asked.len(), 8);
}

#[test]
fn an_earlier_attempt_is_resumed_unless_it_was_wrong() {
    let name = "train-images-idx3-ubyte.gz";
    let right = packed()[name].clone();
    let too_long = [&right[..], &[0; 9]].concat();
    for (begun, expected) in
        [(&right[..7], vec![7]), (&[1, 2, 3], vec![3, 0]), (&right[..], vec![]), (&too_long, vec![0])]
    {
        let server = Server::start(packed(), First::Whole);
        let cache = tempfile::tempdir().unwrap();
        let downloads = cache.path().join("tiny.partial/downloads");
        fs::create_dir_all(&downloads).unwrap();
        fs::write(downloads.join(name), begun).unwrap();
        quietly(&manifest(vec![single_files(&server.url)]), cache.path()).unwrap();
        let asked: Vec<_> = server.asked().into_iter().filter(|line| line.starts_with(name)).collect();
        assert_eq!(asked, expected.iter().map(|start| format!("{name} from {start}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_wrong_file_leaves_nothing_behind() {
    let mut files = packed();
    let wrong = gzip(b"an error page of the right length, or nearly so");
    let label = "train-labels-idx1-ubyte.gz";
    files.insert(label.to_owned(), wrong.clone());
    let server = Server::start(files, First::Whole);
    let Source::Http { url, mut downloads } = single_files(&server.url) else { unreachable!() };
    downloads[1].bytes = wrong.len() as u64;
    let expected = downloads[1].sha256.clone();
    let cache = tempfile::tempdir().unwrap();
    let message = quietly(&manifest(vec![Source::Http { url, downloads }]), cache.path()).unwrap_err();
    let (bytes, found) = (wrong.len(), sum(&wrong));
    let reason = format!("{label} came with {bytes} bytes and sha256 {found}: expected {bytes} bytes and {expected}");
    assert!(message.contains(&reason), "{message}");
    assert!(!cache.path().join("tiny").exists());
    assert!(!cache.path().join("tiny.partial/downloads").join(label).exists());
}

#[test]
fn when_nothing_works_one_message_says_all() {
    let server = Server::start(HashMap::new(), First::Whole);
    let cache = tempfile::tempdir().unwrap();
    let sources = vec![
        Source::Folder { path: "/nowhere/tiny".into() },
        single_files(&server.url),
        archive("http://127.0.0.1:1", b"none"),
    ];
    let message = quietly(&manifest(sources), cache.path()).unwrap_err();
    let (url, folder) = (&server.url, cache.path().join("tiny").display().to_string());
    let begin = format!(
        "cannot fetch `tiny`: folder /nowhere/tiny: not there, or not the published files; {url}: http status: 404; \
         http://127.0.0.1:1/tiny.tar.gz: "
    );
    let end = format!(
        "; to do it by hand, put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
         t10k-labels-idx1-ubyte into {folder}"
    );
    assert!(message.starts_with(&begin) && message.ends_with(&end) && !message.contains('\n'), "{message}");
    assert!(!cache.path().join("tiny").exists() && !cache.path().join("tiny.partial").exists());
}

#[test]
fn a_later_source_serves_when_the_first_fails() {
    let files = files().map(|(name, bytes)| (format!("./tiny-1.0/data/{name}"), bytes));
    let entries: Vec<_> = files.iter().map(|(name, bytes)| (&name[..], tar::EntryType::Regular, &bytes[..])).collect();
    let bytes = tarball(&entries);
    let server = Server::start(HashMap::from([("tiny.tar.gz".to_owned(), bytes.clone())]), First::BreaksAfter(100));
    let cache = tempfile::tempdir().unwrap();
    let sources = vec![single_files(&server.url), archive(&server.url, &bytes)];
    let folder = quietly(&manifest(sources), cache.path()).unwrap();
    assert_eq!(open(folder.to_str().unwrap(), cache.path()).unwrap().test.label(0), 1);
}

#[test]
fn an_archive_that_reaches_out_is_refused() {
    let wanted = "tiny-1.0/data/train-images-idx3-ubyte";
    for (entry, reason) in [
        (("tiny-1.0/data/../../../evil", tar::EntryType::Regular, &b"x"[..]), "which leads outside"),
        (("/evil", tar::EntryType::Regular, b"x"), "which leads outside"),
        ((wanted, tar::EntryType::Symlink, b""), "is neither a file nor a folder"),
        ((wanted, tar::EntryType::Regular, b"x"), "train-images-idx3-ubyte\" has 1 bytes: expected 19"),
    ] {
        let bytes = tarball(&[entry]);
        let server = Server::start(HashMap::from([("tiny.tar.gz".to_owned(), bytes.clone())]), First::Whole);
        let cache = tempfile::tempdir().unwrap();
        let message = quietly(&manifest(vec![archive(&server.url, &bytes)]), cache.path()).unwrap_err();
        assert!(message.contains(reason), "{message}");
        assert!(!cache.path().join("tiny").exists() && !cache.path().join("evil").exists());
    }
}

/// A data set of a folder for each class, and the archive that it comes in.
fn tree() -> (Manifest, Vec<u8>) {
    let files = ["train/cat/1.jpg", "train/cat/2.JPEG", "train/dog/images/3.png", "val/dog/4.webp", "val/notes.txt"];
    let files: Vec<_> = files.iter().map(|name| (format!("tiny-1.0/{name}"), tar::EntryType::Regular)).collect();
    let bytes = tarball(&files.iter().map(|(name, kind)| (&name[..], *kind, &b"x"[..])).collect::<Vec<_>>());
    let tree = Some(Tree { train: "train".to_owned(), test: "val".to_owned() });
    (Manifest { tree, files: Vec::new(), ..manifest(vec![]) }, bytes)
}

#[test]
fn folders_of_images_are_unpacked_and_counted() {
    let (manifest, bytes) = tree();
    let server = Server::start(HashMap::from([("tiny.tar.gz".to_owned(), bytes.clone())]), First::BreaksAfter(50));
    let Source::Archive { url, bytes, sha256, .. } = archive(&server.url, &bytes) else { unreachable!() };
    let source = Source::Archive { url, bytes, sha256, folder: "tiny-1.0".into(), limits: Limits::default() };
    let manifest = Manifest { sources: vec![source], ..manifest };
    let cache = tempfile::tempdir().unwrap();
    let folder = quietly(&manifest, cache.path()).unwrap();
    assert!(folder.join("train/dog/images/3.png").is_file() && folder.join("val/notes.txt").is_file());
    assert_eq!(quietly(&manifest, cache.path()).unwrap(), folder);

    // A lost image is noticed the next time; a set in a subfolder, as `tar -x` leaves it, is as good.
    fs::remove_file(folder.join("train/cat/1.jpg")).unwrap();
    let message = quietly(&manifest, cache.path()).unwrap_err();
    assert!(message.ends_with(&format!("found {}/train with 2 images instead of 3", folder.display())), "{message}");
    fs::write(folder.join("train/cat/1.jpg"), b"x").unwrap();
    let inner = cache.path().join("inner");
    fs::rename(&folder, &inner).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::rename(&inner, folder.join("tiny-1.0")).unwrap();
    assert_eq!(quietly(&manifest, cache.path()).unwrap(), folder);
}

#[test]
fn what_no_program_may_download_is_explained() {
    let by_hand = Some("ask its owners, and put train/ and val/ into {folder}".to_owned());
    let manifest = Manifest { by_hand, ..tree().0 };
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().join("data");
    let folder = cache.join("tiny");
    let message = quietly(&manifest, &cache).unwrap_err();
    let expected = "`tiny` cannot be fetched: ask its owners, and put train/ and val/ into ";
    assert_eq!(message, format!("{expected}{}", folder.display()));
    assert!(!cache.exists(), "nothing is made where nothing is fetched");

    for name in ["train/cat/1.jpg", "train/cat/2.jpg", "train/dog/3.jpg", "val/dog/4.jpg"] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), b"x").unwrap();
    }
    assert_eq!(quietly(&manifest, &cache).unwrap(), folder);
}

#[test]
fn a_file_with_only_an_md5_is_checked_by_it() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("tiny");
    fs::create_dir(&folder).unwrap();
    files().iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
    fs::write(folder.join("t10k-labels-idx1-ubyte"), b"quick fox").unwrap();
    // `printf 'quick fox' | md5sum`
    for (md5, good) in [("3261897d31db079ec7d05463d33c0d73", true), ("00000000000000000000000000000000", false)] {
        let mut manifest = manifest(vec![]);
        manifest.files[3] = Content { sha256: None, md5: Some(md5.to_owned()), ..manifest.files[3].clone() };
        let outcome = quietly(&manifest, cache.path());
        assert_eq!(outcome.is_ok(), good, "{outcome:?}");
        let reason = "t10k-labels-idx1-ubyte with md5 3261897d31db079ec7d05463d33c0d73 instead of 0";
        assert!(good || outcome.unwrap_err().contains(reason));
    }
}

#[test]
fn a_folder_of_the_system_is_used_in_place() {
    let (system, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    packed().iter().for_each(|(name, bytes)| fs::write(system.path().join(name), bytes).unwrap());
    let manifest = manifest(vec![Source::Folder { path: system.path().to_owned() }]);
    assert_eq!(quietly(&manifest, cache.path()).unwrap(), system.path());
    assert_eq!(cache.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_the_user_put_there_is_checked_and_never_replaced() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("tiny");
    fs::create_dir(&folder).unwrap();
    let manifest = manifest(vec![]);
    files().iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
    assert_eq!(quietly(&manifest, cache.path()).unwrap(), folder);

    fs::write(folder.join("t10k-labels-idx1-ubyte"), b"mine").unwrap();
    let message = quietly(&manifest, cache.path()).unwrap_err();
    let path = folder.display();
    assert_eq!(
        message,
        format!(
            "{path}: expected the published files of `tiny` (move this folder away to fetch them), found \
             {path}/t10k-labels-idx1-ubyte with 4 bytes of content instead of 9"
        )
    );
    assert_eq!(fs::read(folder.join("t10k-labels-idx1-ubyte")).unwrap(), b"mine");
}

#[test]
fn two_at_once_download_once() {
    let server = Server::start(packed(), First::Whole);
    let cache = tempfile::tempdir().unwrap();
    let manifest = manifest(vec![single_files(&server.url)]);
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| quietly(&manifest, cache.path())));
        for thread in both {
            assert_eq!(thread.join().unwrap().unwrap(), cache.path().join("tiny"));
        }
    });
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn digits_need_no_fetching() {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch("digits", cache.path(), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`digits` is built in: there is nothing to fetch, use it by its name");
}
