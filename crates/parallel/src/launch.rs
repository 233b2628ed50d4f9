//! Several processes on this machine, started, watched and ended together.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, Server, affinity};

/// What is started, and how.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, the same for all.
    pub arguments: Vec<OsString>,
    /// How many processes.
    pub processes: usize,
    /// The GPUs that they see, one for each; empty: all that there are.
    pub devices: Vec<String>,
    /// Where they meet; 0: a port that is free.
    pub port: u16,
    /// How often they are started again after one has failed.
    pub restarts: u64,
    /// Whether each is bound to processors of its own, where there are at least as many as processes.
    pub binds: bool,
    /// The exit code of a process that refuses to work at all, which another start would not change.
    pub refusal: i32,
}

/// How a process ended that should not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub rank: usize,
    /// How: "was killed by signal 9".
    pub cause: String,
    /// The exit code of rank 0 if it has ended by itself, with a message of its own.
    pub spoken: Option<i32>,
}

/// How a launch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All processes are done.
    Done,
    /// They were asked to stop, and rank 0 ended with this code.
    Stopped(i32),
    /// One failed, and no start is left.
    Failed(Failure),
}

const BEAT: Duration = Duration::from_millis(20);
/// How long the others may take to notice that one is gone, to say so and to end.
const GRACE: Duration = Duration::from_secs(6);

impl Launch {
    /// Runs the processes to their end. Signals that come through `signals` are passed on; `restarts` hears of each failure
    /// after which they are started again, with the number of that start.
    ///
    /// Rank 0 writes to the terminal, or wherever this process does; of the others, the last line of standard error is kept.
    ///
    /// # Errors
    /// [`Error::PortTaken`], and a program that cannot be started.
    pub fn run(&self, signals: &Receiver<i32>, restarts: &mut dyn FnMut(u64, &Failure)) -> Result<Ended, Error> {
        let server = Server::open(self.port)?;
        for attempt in 0.. {
            let mut group = Processes::start(self, &server, attempt)?;
            let ended = group.watch(&server, signals);
            match ended {
                Ended::Failed(failure) if attempt < self.restarts && group.first_code() != Some(self.refusal) => {
                    restarts(attempt + 1, &failure);
                }
                ended => return Ok(ended),
            }
        }
        unreachable!("the last attempt returns")
    }

    fn command(&self, server: &Server, attempt: u64, rank: usize) -> Command {
        let mut command = Command::new(&self.program);
        let texts = [
            ("RANK", rank.to_string()),
            ("LOCAL_RANK", rank.to_string()),
            ("WORLD_SIZE", self.processes.to_string()),
            ("LOCAL_WORLD_SIZE", self.processes.to_string()),
            ("MASTER_ADDR", Server::HOST.to_owned()),
            ("MASTER_PORT", server.port().to_string()),
            ("TORCHELASTIC_USE_AGENT_STORE", "True".to_owned()),
            ("TORCHELASTIC_RESTART_COUNT", attempt.to_string()),
        ];
        command.args(&self.arguments).envs(texts).stdin(Stdio::null());
        if !self.devices.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", self.devices.join(","));
        }
        if rank > 0 {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        // In a group of their own: Ctrl-C comes once, through this process.
        command.process_group(0);
        command
    }
}

struct Processes {
    attempt: u64,
    all: Vec<Process>,
    /// The first that failed.
    first: Option<usize>,
}

struct Process {
    rank: usize,
    child: Child,
    ended: Option<ExitStatus>,
    last_line: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Processes {
    fn start(launch: &Launch, server: &Server, attempt: u64) -> Result<Self, Error> {
        let mut all = Self { attempt, all: Vec::new(), first: None };
        for rank in 0..launch.processes {
            let spawn = || launch.command(server, attempt, rank).spawn();
            let spawned = match launch.binds {
                true => affinity::bound(rank, launch.processes, spawn),
                false => spawn(),
            };
            let mut child = spawned.map_err(|error| Error::Start {
                program: launch.program.display().to_string(),
                reason: error.to_string(),
            })?;
            let last_line = Arc::new(Mutex::new(String::new()));
            let into = Arc::clone(&last_line);
            let reader = child.stderr.take().map(|stderr| {
                std::thread::spawn(move || {
                    for line in BufReader::new(stderr).lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
                        *into.lock().unwrap_or_else(PoisonError::into_inner) = line;
                    }
                })
            });
            all.all.push(Process { rank, child, ended: None, last_line, reader });
        }
        Ok(all)
    }

    /// Waits until all have ended, and ends those that do not once one has failed.
    fn watch(&mut self, server: &Server, signals: &Receiver<i32>) -> Ended {
        let mut deadline = None;
        let mut asked = false;
        while self.all.iter().any(|process| process.ended.is_none()) {
            for signal in signals.try_iter() {
                asked = true;
                self.send(signal);
            }
            let ended: Vec<usize> = (0..self.all.len()).filter(|rank| self.all[*rank].has_just_ended()).collect();
            for rank in ended {
                let process = &self.all[rank];
                // One that was asked to stop and has saved ends as a shell says that a signal ended it; the others stop with it.
                asked |= process.code().is_some_and(|code| code > 128);
                if process.code() == Some(0) || asked {
                    continue;
                }
                self.first.get_or_insert(rank);
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
                server.note_end(self.attempt, rank, &process.cause());
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                self.send(libc::SIGKILL);
            }
            std::thread::sleep(BEAT);
        }
        let code = self.all[0].code();
        match self.first {
            Some(rank) => {
                Ended::Failed(Failure { rank, cause: self.all[rank].cause(), spoken: code.filter(|code| *code != 0) })
            }
            None if asked => Ended::Stopped(code.unwrap_or(1)),
            None => Ended::Done,
        }
    }

    fn first_code(&self) -> Option<i32> {
        self.all.get(self.first?)?.code()
    }

    fn send(&self, signal: i32) {
        for process in self.all.iter().filter(|process| process.ended.is_none()) {
            // SAFETY: signals a child that has not been waited for, whose number nobody else can have.
            unsafe { libc::kill(process.child.id() as libc::pid_t, signal) };
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.send(libc::SIGKILL);
        for process in &mut self.all {
            let _ = process.child.wait();
        }
    }
}

impl Process {
    fn has_just_ended(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.ended = self.child.try_wait().ok().flatten();
        if self.ended.is_some()
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        self.ended.is_some()
    }

    /// The exit code, if it ended by itself.
    fn code(&self) -> Option<i32> {
        self.ended?.code()
    }

    fn cause(&self) -> String {
        let line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = line.split_once("error: ").map_or(line.as_str(), |(_, message)| message);
        // It may have named itself already.
        let itself = said.starts_with(&format!("rank {} on ", self.rank));
        let said = said.split_once(": ").filter(|_| itself).map_or(said, |(_, message)| message);
        match self.ended {
            Some(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("was killed by signal {signal}"),
                (None, code) if said.is_empty() => format!("ended with exit code {}", code.unwrap_or_default()),
                (None, _) => format!("ended: {said}"),
            },
            None => "has not ended".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn launch(script: &str, processes: usize, restarts: u64) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            processes,
            devices: Vec::new(),
            port: 0,
            restarts,
            binds: false,
            refusal: 2,
        }
    }

    fn run(script: &str, processes: usize, restarts: u64) -> (Ended, Vec<(u64, Failure)>) {
        let (_send, signals) = channel();
        let mut heard = Vec::new();
        let ended = launch(script, processes, restarts)
            .run(&signals, &mut |attempt, failure| heard.push((attempt, failure.clone())))
            .unwrap();
        (ended, heard)
    }

    #[test]
    fn every_process_learns_its_place() {
        let folder = std::env::temp_dir().join(format!("mp-launch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let script = format!("echo $RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR > {}/$RANK", folder.display());
        assert_eq!(run(&script, 2, 0).0, Ended::Done);
        let said = [0, 1].map(|rank| std::fs::read_to_string(folder.join(rank.to_string())).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(said, ["0 0 2 127.0.0.1\n", "1 1 2 127.0.0.1\n"]);
    }

    #[test]
    fn one_that_fails_is_named_and_the_others_end() {
        let script = "[ $RANK = 0 ] && { sleep 1; kill -9 $$; }
                      echo first >&2; echo 'mp-train: error: rank 1 on a: no data: none' >&2; exit 1";
        let (ended, heard) = run(script, 2, 0);
        let failure = Failure { rank: 1, cause: "ended: no data: none".to_owned(), spoken: None };
        assert_eq!((ended, heard.len()), (Ended::Failed(failure), 0));
    }

    #[test]
    fn they_are_started_again_unless_they_refuse() {
        // Fails on its first two starts.
        let script = "[ $TORCHELASTIC_RESTART_COUNT -ge 2 ] || kill -9 $$";
        let (ended, heard) = run(script, 1, 3);
        assert_eq!((ended, heard.len()), (Ended::Done, 2));
        assert_eq!(heard[0].1, Failure { rank: 0, cause: "was killed by signal 9".to_owned(), spoken: None });
        let (ended, heard) = run("exit 2", 1, 3);
        let failure = Failure { rank: 0, cause: "ended with exit code 2".to_owned(), spoken: Some(2) };
        assert_eq!((ended, heard.len()), (Ended::Failed(failure), 0));
    }

    #[test]
    fn signals_are_passed_on() {
        let (send, signals) = channel();
        let launch = launch("trap 'exit 143' TERM; while :; do sleep 0.02; done", 2, 3);
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            send.send(libc::SIGTERM).unwrap();
            // Kept open until they are all told.
            std::thread::sleep(Duration::from_millis(300));
        });
        assert_eq!(launch.run(&signals, &mut |_, _| panic!("not a failure")).unwrap(), Ended::Stopped(143));
        sender.join().unwrap();
    }
}
