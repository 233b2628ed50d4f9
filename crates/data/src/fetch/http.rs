//! Downloads that go on where they stopped, and that lose nothing to an answer that is not the file.
//!
//! What has come stands in one file. An answer is added to it where it goes on from its end, or where it starts again with
//! the very bytes that are there. Any other answer, that of a portal that wants a login as well as that of a server with
//! another file, goes into a file beside it ([`Beside`]), which takes its place once it has the size and the sum that are
//! wanted, and is dropped otherwise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::header::{CONTENT_RANGE, ETAG, RANGE};
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::{cannot, content};
use crate::error::Line;
use crate::manifest::Download;

/// How often a broken connection is taken up again, as long as each one brings something.
const CONNECTIONS: usize = 8;

/// The client for all downloads: no limit on the whole, which may be long, but on every silence.
pub(super) fn agent() -> Agent {
    // The system's certificates, so that a company's own authority is trusted as it is everywhere else on the machine.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        // Sums are of the bytes as they are stored.
        .accept_encoding("identity")
        .user_agent(concat!("mp-data/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Completes the file at `path`, which may hold the beginning of it, and checks its size and sum.
///
/// If this fails, what was there before is there still, with what has come after it over the same connection or another.
pub(super) fn download(
    agent: &Agent,
    url: &str,
    wanted: &Download,
    path: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let before = size(path);
    let mut transfer = Transfer { agent, url, wanted, path, report };
    transfer.run(before).map_err(|reason| match size(path) {
        0 => reason,
        kept => format!("{reason}; the {kept} bytes that are here already are kept"),
    })
}

/// One file on its way.
struct Transfer<'a> {
    agent: &'a Agent,
    url: &'a str,
    wanted: &'a Download,
    path: &'a Path,
    report: &'a mut dyn FnMut(u64),
}

impl Transfer<'_> {
    fn run(&mut self, before: u64) -> Result<(), String> {
        self.complete()?;
        let Err(wrong) = check(self.wanted, self.path)? else { return forget(&version_path(self.path)) };
        forget(&version_path(self.path))?;
        if before == 0 {
            // All of it came just now, and is not the file.
            forget(self.path)?;
            return Err(wrong);
        }
        // Either what was there is the beginning of another file, or what was added to it is the end of one.
        if size(self.path) > before {
            self.cut(before)?;
        }
        self.replace().map_err(|reason| format!("{wrong}; from its start again: {reason}"))
    }

    /// Receives what is missing, over several connections if they break.
    fn complete(&mut self) -> Result<(), String> {
        let mut have = size(self.path);
        (self.report)(have);
        for _ in 0..CONNECTIONS {
            if have >= self.wanted.bytes {
                return Ok(());
            }
            let outcome = self.receive(have);
            let now = size(self.path);
            match outcome {
                Err(reason) if now <= have => return Err(reason),
                Ok(()) if now <= have => break,
                _ => have = now,
            }
        }
        match size(self.path) {
            bytes if bytes >= self.wanted.bytes => Ok(()),
            bytes => Err(format!("the connection ended after {bytes} of {} bytes", self.wanted.bytes)),
        }
    }

    /// Asks for what follows byte `have`, or for everything, and takes it in if it belongs to the file.
    fn receive(&mut self, have: u64) -> Result<(), String> {
        if have > 0
            && let Some(response) = self.ask(Some(have))?
        {
            if response.status() != StatusCode::PARTIAL_CONTENT {
                return self.compare(response, have);
            }
            if self.goes_on(&response, have)? {
                return self.append(response, have);
            }
        }
        // Nothing to go on from, or nothing after it: the whole file, which is compared with what is here.
        match self.ask(None)? {
            Some(response) => self.compare(response, have),
            None => Err("the server says that it has no such bytes".to_owned()),
        }
    }

    /// The answer, `None` if the server has nothing from that byte on.
    fn ask(&self, from: Option<u64>) -> Result<Option<Response<Body>>, String> {
        let mut request = self.agent.get(self.url);
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        match request.call() {
            Err(ureq::Error::StatusCode(416)) => Ok(None),
            response => response.map(Some).map_err(|error| one_line(&error)),
        }
    }

    /// Whether the part of a file that comes is of the wanted size and version and starts where it should.
    fn goes_on(&self, response: &Response<Body>, have: u64) -> Result<bool, String> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(CONTENT_RANGE).unwrap_or("nothing");
        let Some((first, last, total)) = parse_range(range) else {
            return Err(format!("asked for what follows byte {have}, the server sent {}", Line(range)));
        };
        if first != have || last < first || last >= self.wanted.bytes {
            return Err(format!("asked for what follows byte {have}, the server sent {}", Line(range)));
        }
        if let Some(total) = total.filter(|&total| total != self.wanted.bytes) {
            return Err(format!("the server has a file of {total} bytes: expected {}", self.wanted.bytes));
        }
        if let Some(length) = response.body().content_length().filter(|&length| length != last - first + 1) {
            return Err(format!("the server sent {} with {length} bytes", Line(range)));
        }
        // Of another version, it would only spoil what is here.
        let version = remembered(self.path);
        Ok(version.is_none() || header(ETAG).is_none() || version.as_deref() == header(ETAG))
    }

    /// Adds the body to what is here.
    fn append(&mut self, response: Response<Body>, have: u64) -> Result<(), String> {
        let mut file = OpenOptions::new().append(true).open(self.path).map_err(cannot("open", self.path))?;
        let mut body = response.into_body().into_reader().take(self.wanted.bytes - have);
        let outcome = self.copy(&mut body, &mut file, have);
        file.sync_all().map_err(cannot("write", self.path))?;
        outcome.map(drop)
    }

    /// Takes an answer with the whole file: its beginning is compared with what is here, and the rest is added. Where the
    /// two differ, it goes beside.
    fn compare(&mut self, response: Response<Body>, have: u64) -> Result<(), String> {
        let wanted = self.wanted.bytes;
        let promised = response.body().content_length();
        if let Some(offered) = promised.filter(|&offered| offered != wanted) {
            return Err(format!("the server offers {offered} bytes: expected {wanted}"));
        }
        let version = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = response.into_body().into_reader().take(wanted + 1);
        let equal = match have {
            0 => Ok(0),
            _ => self.equal_bytes(&mut body, have),
        };
        let (equal, other) = match equal {
            Ok(equal) => (equal, Vec::new()),
            Err(Differs::At(equal, other)) => (equal, other),
            Err(Differs::Unreadable(reason)) => return Err(reason),
        };
        if !other.is_empty() {
            return self.beside(equal, &other, &mut body);
        }
        if equal < have {
            return Err(format!("the connection ended after {equal} bytes, all of which are here"));
        }
        let open = || OpenOptions::new().create(true).append(true).open(self.path);
        let mut file = open().map_err(cannot("open", self.path))?;
        if have == 0 {
            remember(self.path, version.as_deref())?;
        }
        let outcome = self.copy(&mut body, &mut file, have);
        file.sync_all().map_err(cannot("write", self.path))?;
        let done = outcome?;
        // Nothing broke, and nothing said how much would come: it was all that the server has.
        if promised.is_none() && done < wanted {
            drop(file);
            let start = self.beginning();
            if have == 0 {
                forget(self.path)?
            } else {
                self.cut(have)?
            }
            return Err(format!("the server sent {done} bytes and no more ({start}): expected {wanted}"));
        }
        Ok(())
    }

    /// How many bytes of the body are those that are here, if all of them are; otherwise those before the first that is not,
    /// and what came from there on.
    fn equal_bytes(&self, body: &mut impl Read, have: u64) -> Result<u64, Differs> {
        let file = File::open(self.path).map_err(cannot("read", self.path)).map_err(Differs::Unreadable)?;
        let mut file = BufReader::new(file);
        let (mut theirs, mut ours) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut equal = 0;
        while equal < have {
            let most = usize::try_from(have - equal).unwrap_or(usize::MAX).min(theirs.len());
            let read = match body.read(&mut theirs[..most]) {
                Ok(0) => return Ok(equal),
                Ok(read) => read,
                Err(error) => return Err(Differs::Unreadable(broke(&error))),
            };
            file.read_exact(&mut ours[..read]).map_err(cannot("read", self.path)).map_err(Differs::Unreadable)?;
            match theirs[..read].iter().zip(&ours).position(|(theirs, ours)| theirs != ours) {
                None => equal += read as u64,
                Some(at) => return Err(Differs::At(equal + at as u64, theirs[at..read].to_vec())),
            }
        }
        Ok(equal)
    }

    /// Receives another file than the one that is here: the `equal` first bytes of that, `other`, and the rest of the body.
    fn beside(&mut self, equal: u64, other: &[u8], body: &mut impl Read) -> Result<(), String> {
        let beside = Beside::new(self.path);
        let write = || cannot("write", &beside.path);
        let mut file = File::create(&beside.path).map_err(write())?;
        let here = File::open(self.path).map_err(cannot("read", self.path))?;
        io::copy(&mut here.take(equal), &mut file).map_err(write())?;
        file.write_all(other).map_err(write())?;
        self.copy(body, &mut file, equal + other.len() as u64)?;
        file.sync_all().map_err(write())?;
        drop(file);
        beside.take_over(self.wanted, self.path)
    }

    /// Receives the whole file beside the one that is here, which proved to be wrong.
    fn replace(&mut self) -> Result<(), String> {
        let Some(response) = self.ask(None)? else { return Err("the server has no such bytes".to_owned()) };
        if let Some(offered) = response.body().content_length().filter(|&offered| offered != self.wanted.bytes) {
            return Err(format!("the server offers {offered} bytes: expected {}", self.wanted.bytes));
        }
        let mut body = response.into_body().into_reader().take(self.wanted.bytes + 1);
        self.beside(0, &[], &mut body)
    }

    /// Copies a body; the number of bytes that the file then has. What broke it off is the error.
    fn copy(&mut self, body: &mut impl Read, file: &mut File, start: u64) -> Result<u64, String> {
        let mut buffer = vec![0; 1 << 16];
        let mut done = start;
        (self.report)(done);
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(done),
                Ok(read) => {
                    file.write_all(&buffer[..read]).map_err(cannot("write", self.path))?;
                    done += read as u64;
                    (self.report)(done);
                }
                Err(error) => return Err(broke(&error)),
            }
        }
    }

    /// Takes away what follows byte `size`.
    fn cut(&self, size: u64) -> Result<(), String> {
        let file = OpenOptions::new().write(true).open(self.path).map_err(cannot("open", self.path))?;
        file.set_len(size).and_then(|()| file.sync_all()).map_err(cannot("write", self.path))
    }

    /// What the file begins with, for a message: a web page is known by it.
    fn beginning(&self) -> String {
        let mut start = Vec::new();
        let read = File::open(self.path).and_then(|file| file.take(24).read_to_end(&mut start));
        match read {
            Ok(_) => format!("beginning with \"{}\"", start.escape_ascii()),
            Err(_) => "unreadable".to_owned(),
        }
    }
}

/// How an answer is not what is here.
enum Differs {
    /// After so many bytes, with what came then.
    At(u64, Vec<u8>),
    /// It could not be read, or what is here could not.
    Unreadable(String),
}

/// A file that may take the place of another; removed unless it does.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn new(path: &Path) -> Self {
        Self { path: with_ending(path, ".new") }
    }

    /// Puts it in the place of `path` if it is the wanted file.
    fn take_over(self, wanted: &Download, path: &Path) -> Result<(), String> {
        check(wanted, &self.path)??;
        fs::rename(&self.path, path).map_err(cannot("rename", &self.path))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Not there any more if it took the other's place.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the file is the wanted one; if not, the inner error says what it was.
fn check(wanted: &Download, path: &Path) -> Result<Result<(), String>, String> {
    let (bytes, sum) = File::open(path).and_then(content::sha256).map_err(cannot("read", path))?;
    if bytes == wanted.bytes && sum == wanted.sha256 {
        return Ok(Ok(()));
    }
    let Download { name, bytes: expected, sha256 } = wanted;
    Ok(Err(format!("{name} came with {bytes} bytes and sha256 {sum}: expected {expected} bytes and {sha256}")))
}

/// First and last byte and, where the server says so, the size of the whole: `bytes 10-99/100`.
fn parse_range(range: &str) -> Option<(u64, u64, Option<u64>)> {
    let (bytes, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

/// Where the version of a file that came in part is kept.
fn version_path(path: &Path) -> PathBuf {
    with_ending(path, ".etag")
}

/// The version that the server gave the file, where it gives any.
fn remembered(path: &Path) -> Option<String> {
    fs::read_to_string(version_path(path)).ok()
}

fn remember(path: &Path, version: Option<&str>) -> Result<(), String> {
    let place = version_path(path);
    match version {
        Some(version) => fs::write(&place, version).map_err(cannot("write", &place)),
        None => forget(&place),
    }
}

/// Removes a file that may be there.
fn forget(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path)(error)),
        _ => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn broke(error: &io::Error) -> String {
    format!("the connection broke: {error}")
}

fn one_line(error: &ureq::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
