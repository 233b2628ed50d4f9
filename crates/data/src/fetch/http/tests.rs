//! Answers that are not what was asked for, from a server on this machine that gives them one after the other.

use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// 200,000 bytes in which no part is like another.
fn file() -> Vec<u8> {
    (0..50_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

const HALF: usize = 120_000;

/// An answer: what stands before the body, without the end of the line, and the body.
type Answer = (String, Vec<u8>);

fn whole(body: &[u8]) -> Answer {
    (format!("200 OK\r\nContent-Length: {}", body.len()), body.to_vec())
}

/// As a portal answers that wants a login: a page of unknown length.
fn portal() -> Answer {
    ("200 OK\r\nContent-Type: text/html".to_owned(), b"<!DOCTYPE html><title>Log in</title>".repeat(40))
}

fn part(range: &str, body: &[u8]) -> Answer {
    (format!("206 Partial Content\r\nContent-Range: {range}\r\nContent-Length: {}", body.len()), body.to_vec())
}

/// Gives the answers in turn and closes the connection after each; the ranges that were asked for.
fn serve(answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (head, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|l| l.to_lowercase()).collect();
            let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes=")).unwrap_or("all");
            log.lock().unwrap().push(range.to_owned());
            // A client that has seen enough hangs up.
            let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(&body);
        }
    });
    (url, asked)
}

/// What a download makes of `begun`, what is here of the file, when the server gives these answers: the outcome, what is
/// here then, and what was asked for.
fn download_from(begun: &[u8], answers: Vec<Answer>) -> (Result<(), String>, Vec<u8>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    if !begun.is_empty() {
        fs::write(&path, begun).unwrap();
    }
    let (outcome, asked) = download_into(&path, answers);
    let beside: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(beside.iter().all(|name| name == "file" || name == "file.etag"), "{beside:?}");
    (outcome, fs::read(&path).unwrap_or_default(), asked)
}

fn download_into(path: &Path, answers: Vec<Answer>) -> (Result<(), String>, Vec<String>) {
    let sum = content::sha256(&file()[..]).unwrap().1;
    let wanted = Download { name: "file".to_owned(), bytes: file().len() as u64, sha256: sum };
    let (url, asked) = serve(answers);
    let agent: Agent = Agent::config_builder().proxy(None).build().into();
    let outcome = download(&agent, &url, &wanted, path, &mut |_| ());
    let asked = asked.lock().unwrap().clone();
    (outcome, asked)
}

fn end(from: usize) -> Answer {
    let (file, last) = (file(), file().len() - 1);
    part(&format!("bytes {from}-{last}/{}", file.len()), &file[from..])
}

#[test]
fn no_wrong_answer_costs_what_is_here() {
    let file = file();
    let (begun, length) = (&file[..HALF], file.len());
    let other: Vec<u8> = file.iter().map(|byte| !byte).collect();
    let rest = &file[HALF..];
    for (answers, reason) in [
        (vec![portal()], "file came with 1440 bytes and sha256"),
        (vec![whole(&portal().1)], "the server offers 1440 bytes: expected 200000"),
        (vec![whole(&other)], "file came with 200000 bytes and sha256"),
        (vec![("200 OK".to_owned(), other.clone())], "file came with 200000 bytes and sha256"),
        (vec![(whole(&other).0, other[..150_000].to_vec())], "the connection broke"),
        (vec![("200 OK".to_owned(), file[..HALF - 1].to_vec())], "the connection ended after 119999 bytes"),
        (vec![("200 OK".to_owned(), [begun, b"x"].concat())], "the server sent 120001 bytes and no more"),
        (
            vec![part(&format!("bytes 0-{}/{length}", length - 1), &file)],
            "asked for what follows byte 120000, the server sent bytes 0-",
        ),
        (vec![part("bytes 120000-199999/300000", rest)], "the server has a file of 300000 bytes: expected 200000"),
        (vec![part("bytes 120000-299999/*", rest)], "asked for what follows byte 120000"),
        (vec![part("bytes 120000-199999/200000", &rest[..9])], "with 9 bytes"),
        (vec![part("nonsense", rest)], "asked for what follows byte 120000, the server sent"),
        (
            vec![("416 Range Not Satisfiable\r\nContent-Length: 0".to_owned(), vec![]), whole(b"short")],
            "the server offers 5 bytes",
        ),
        (vec![("404 Not Found\r\nContent-Length: 0".to_owned(), vec![])], "404"),
        (vec![("503 Busy\r\nContent-Length: 0".to_owned(), vec![])], "503"),
        // What follows is of another file, and so is the file itself.
        (
            vec![part("bytes 120000-199999/200000", &other[HALF..]), whole(&other)],
            "from its start again: file came with",
        ),
    ] {
        let (outcome, here, _) = download_from(begun, answers);
        let message = outcome.unwrap_err();
        assert!(message.contains(reason) && !message.contains('\n'), "{message}");
        assert!(message.ends_with("; the 120000 bytes that are here already are kept"), "{message}");
        assert!(here == begun, "{message}: {} bytes are left", here.len());
    }
}

#[test]
fn a_server_that_ignores_ranges_still_brings_the_rest() {
    let file = file();
    let begun = &file[..HALF];
    let (outcome, here, asked) = download_from(begun, vec![whole(&file)]);
    assert_eq!((outcome, here == file, asked), (Ok(()), true, vec!["120000-".to_owned()]));

    // The connection breaks twice: before the end of what is here, which brings nothing and ends the attempt, and after it.
    let broken = |bytes: usize| (whole(&file).0, file[..bytes].to_vec());
    let (outcome, here, _) = download_from(begun, vec![broken(HALF - 5)]);
    assert!(outcome.unwrap_err().contains("the connection broke") && here == begun);
    let (outcome, here, asked) = download_from(begun, vec![broken(HALF + 5), whole(&file)]);
    assert_eq!((outcome, here == file, asked), (Ok(()), true, vec!["120000-".to_owned(), "120005-".to_owned()]));
}

#[test]
fn what_was_begun_of_another_file_is_replaced_once_the_right_one_is_whole() {
    let file = file();
    for begun in [&b"<!DOCTYPE html>"[..], &[0; HALF], &[&file[..50], &[1, 2, 3]].concat()] {
        // The server goes on from there, and then sends the whole; or it sends the whole at once.
        for answers in [vec![end(begun.len()), whole(&file)], vec![whole(&file)]] {
            let (outcome, here, _) = download_from(begun, answers);
            assert_eq!((outcome, here == file), (Ok(()), true));
        }
    }
}

#[test]
fn what_a_portal_says_is_not_kept_as_a_beginning() {
    let (outcome, here, asked) = download_from(&[], vec![portal()]);
    let message = outcome.unwrap_err();
    let expected =
        "the server sent 1440 bytes and no more (beginning with \"<!DOCTYPE html><title>Lo\"): expected 200000";
    assert_eq!((message.as_str(), here.len(), asked), (expected, 0, vec!["all".to_owned()]));
}

#[test]
fn a_part_of_another_version_is_not_added() {
    let file = file();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let tagged = |(head, body): Answer, tag: &str| (format!("{head}\r\nETag: \"{tag}\""), body);
    let broken = (whole(&file).0, file[..HALF].to_vec());
    // The connection breaks, and its other end is closed to a second attempt.
    assert!(download_into(&path, vec![tagged(broken, "one")]).0.is_err());
    assert!(fs::read(&path).unwrap() == file[..HALF]);

    let wrong = part("bytes 120000-199999/200000", &vec![0; 80_000]);
    let (outcome, asked) = download_into(&path, vec![tagged(wrong, "two"), tagged(whole(&file), "two")]);
    assert_eq!((outcome, asked), (Ok(()), vec!["120000-".to_owned(), "all".to_owned()]));
    assert!(fs::read(&path).unwrap() == file);
    assert!(!version_path(&path).exists());
}
