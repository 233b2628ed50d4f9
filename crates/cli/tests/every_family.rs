//! Every family of the zoo, killed in the middle of a run: it goes on to the same last bit. Some minutes; small versions are
//! among the other tests.
//!
//! ```sh
//! cargo nextest run -p mp-cli --test every_family --run-ignored only --no-capture
//! ```
#![cfg(unix)]

mod process;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use process::*;

/// Narrow forms of all families with the size of their images, from the tests of the zoo, which hold the list to be whole.
fn networks() -> Vec<(String, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zoo/tests");
    let mut networks = Vec::new();
    for file in ["families_a.rs", "families_b.rs"] {
        let text = fs::read_to_string(tests.join(file)).unwrap();
        networks.extend(text.lines().filter_map(|line| {
            let (_, rest) = line.trim().split_once(": \"")?;
            let (name, size) = rest.split_once("\" ")?;
            size.parse::<u32>().ok()?;
            // They change the colours of images, and digits have one only.
            if name.contains("_transform") {
                return None;
            }
            Some((name.to_owned(), size.to_owned()))
        }));
    }
    networks
}

/// Five steps on digits, each of them saved.
fn five_steps(name: &str, size: &str, out: &Path, resume: bool) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mp-train"));
    command.args(["train", "digits", "--model", name, "--out"]).arg(out);
    let size = format!("data.size={size}");
    for setting in [
        size.as_str(),
        "data.limit=40",
        "data.workers=1",
        "train.epochs=1",
        "train.batch_size=8",
        "train.threads=1",
        "train.log_every=1",
        "train.checkpoint_every=1",
        "optimiser.lr=0.001",
    ] {
        command.args(["--set", setting]);
    }
    command.args(resume.then_some("--resume")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
#[ignore = "takes minutes"]
fn a_killed_run_of_each_goes_on_to_the_same_weights() {
    let networks = networks();
    assert!(networks.len() > 100, "{} networks", networks.len());
    let mut failed = Vec::new();
    for (name, size) in &networks {
        let root = tempfile::tempdir().unwrap();
        let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
        let done = five_steps(name, size, &whole, false).output().unwrap();
        if !done.status.success() {
            println!("{name}: {}", stderr(&done).trim());
            failed.push(name);
            continue;
        }
        let output = signal_after(five_steps(name, size, &killed, false).spawn().unwrap(), &killed, 3, SIGKILL);
        // The last steps of a small network are quicker than a signal: then there is nothing to go on with.
        let in_time = output.status.signal() == Some(SIGKILL);
        assert_done(&five_steps(name, size, &killed, true).output().unwrap());
        assert_same(&whole, &killed);
        println!("{name}: the same{}", if in_time { "" } else { ", though it had ended before the signal" });
    }
    assert!(failed.is_empty(), "{failed:?}");
}
