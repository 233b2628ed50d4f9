//! Downloads that go on where they stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::tls::{RootCerts, TlsConfig};

use super::{cannot, content};
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
/// If the connection breaks, what has come stays for the next time; what turns out to be wrong is removed.
pub(super) fn download(
    agent: &Agent,
    url: &str,
    wanted: &Download,
    path: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let resumed = size(path) > 0;
    complete(agent, url, wanted, path, report)?;
    let Err(wrong) = check(wanted, path)? else { return Ok(()) };
    if !resumed {
        return Err(wrong);
    }
    // The beginning may have been of another file: once more from the start.
    complete(agent, url, wanted, path, report)?;
    check(wanted, path)?
}

/// Receives what is missing, over several connections if they break.
fn complete(
    agent: &Agent,
    url: &str,
    wanted: &Download,
    path: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let mut have = size(path);
    report(have);
    for _ in 0..CONNECTIONS {
        if have >= wanted.bytes {
            return Ok(());
        }
        let outcome = receive(agent, url, wanted, path, have, report);
        let now = size(path);
        match outcome {
            Err(reason) if now == have => return Err(reason),
            Ok(()) if now == have => break,
            _ => have = now,
        }
    }
    match size(path) {
        bytes if bytes >= wanted.bytes => Ok(()),
        bytes => Err(format!("the connection ended after {bytes} of {} bytes", wanted.bytes)),
    }
}

/// Whether the file is the wanted one; if not, it is removed and the inner error says what it was.
fn check(wanted: &Download, path: &Path) -> Result<Result<(), String>, String> {
    let (bytes, sum) = File::open(path).and_then(content::sha256).map_err(cannot("read", path))?;
    if bytes == wanted.bytes && sum == wanted.sha256 {
        return Ok(Ok(()));
    }
    fs::remove_file(path).map_err(cannot("remove", path))?;
    let Download { name, bytes: expected, sha256 } = wanted;
    Ok(Err(format!("{name} came with {bytes} bytes and sha256 {sum}: expected {expected} bytes and {sha256}")))
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Asks for everything from byte `have` on and writes what comes, at most one byte too many.
fn receive(
    agent: &Agent,
    url: &str,
    wanted: &Download,
    path: &Path,
    have: u64,
    report: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = match request.call() {
        // There is nothing after what we have: it cannot be the beginning of this file.
        Err(ureq::Error::StatusCode(416)) if have > 0 => return fs::remove_file(path).map_err(cannot("remove", path)),
        response => response.map_err(|error| one_line(&error))?,
    };
    let continued = response.status() == StatusCode::PARTIAL_CONTENT;
    if continued {
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or("nothing");
        if !range.starts_with(&format!("bytes {have}-")) {
            return Err(format!("asked for what follows byte {have}, the server sent {range}"));
        }
    }
    let start = if continued { have } else { 0 };
    if let Some(offered) = response.body().content_length().filter(|&offered| start + offered != wanted.bytes) {
        return Err(format!("the server offers {} bytes: expected {}", start + offered, wanted.bytes));
    }

    let write = || cannot("write", path);
    let mut file =
        OpenOptions::new().create(true).truncate(false).write(true).append(continued).open(path).map_err(write())?;
    if !continued {
        file.set_len(0).map_err(write())?;
    }
    let mut body = response.into_body().into_reader().take(wanted.bytes - start + 1);
    let mut buffer = vec![0; 1 << 16];
    let mut done = start;
    report(done);
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Err(format!("the connection broke: {error}")),
        };
        file.write_all(&buffer[..read]).map_err(write())?;
        done += read as u64;
        report(done);
    }
    file.sync_all().map_err(write())
}

fn one_line(error: &ureq::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
