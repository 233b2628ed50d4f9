//! All processes of a run, from the moment they meet until one has failed or all are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use crate::group::{Group, Reach};
use crate::signs::{Heard, Signs};
use crate::store::Store;
use crate::{Error, Place};

/// How processes meet.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// How long all are waited for at the start.
    pub patience: Duration,
    /// How long an operation waits for the others, and how long one may be silent.
    pub timeout: Duration,
    /// Whether tensors on GPUs are summed, which takes NCCL.
    pub cuda: bool,
    /// The network interface that others reach this process by; empty: that of the machine's name, or loopback where all meet
    /// at 127.0.0.1.
    pub interface: String,
    /// The name of this machine, for messages.
    pub host: String,
    /// What must be the same on all processes before they connect: the version of the program.
    pub version: String,
}

/// All processes of a run. Dropping it ends the connections.
#[derive(Debug)]
pub struct World {
    place: Place,
    meeting: Meeting,
    hosts: Vec<String>,
    store: Arc<Store>,
    tensors: Arc<Group>,
    norms: Arc<Group>,
    meetings: AtomicU64,
    // Last: the others hear of this process until its groups are gone.
    _signs: Signs,
}

/// How often one looks whether others are there.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(200);
/// How long a word about a failure is waited for.
const WORD: Duration = Duration::from_millis(3500);

impl World {
    /// Meets the others and connects to them.
    ///
    /// # Errors
    /// [`Error::PortTaken`], [`Error::NoMaster`], [`Error::NeverCame`], [`Error::Disagree`] about the version, and what c10d
    /// says where processes cannot reach each other.
    pub fn join(place: Place, meeting: Meeting) -> Result<Self, Error> {
        let start = Instant::now();
        let prefix = format!("multipath/{}", place.attempt);
        let open = |serves, patience| Store::open(&place.host, place.port, serves, &prefix, patience);
        let store = open(place.serves, meeting.patience).map_err(|error| not_there(error, &place, meeting.patience))?;
        let begun = Arc::new(AtomicU64::new(0));
        let signs = Signs::begin(open(false, meeting.timeout)?, place.rank, Arc::clone(&begun));
        let hosts = hosts(&store, &place, &meeting, start)?;
        let loopback = matches!(place.host.as_str(), "127.0.0.1" | "localhost" | "::1");
        let reach = Reach {
            rank: place.rank,
            world: place.world,
            cuda: meeting.cuda,
            interface: meeting.interface.clone(),
            address: if loopback { "127.0.0.1".to_owned() } else { String::new() },
            timeout: meeting.timeout,
            begun,
        };
        // Sums of norms are begun in the backward pass, in an order of their own.
        let tensors = Arc::new(Group::open(&store, "tensors", &reach)?);
        let norms = Arc::new(Group::open(&store, "norms", &reach)?);
        Ok(Self {
            place,
            meeting,
            hosts,
            store: Arc::new(store),
            tensors,
            norms,
            meetings: AtomicU64::new(0),
            _signs: signs,
        })
    }

    /// Which process this is.
    pub fn rank(&self) -> usize {
        self.place.rank
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.place.world
    }

    /// Whether this process speaks and writes for all.
    pub fn is_first(&self) -> bool {
        self.place.rank == 0
    }

    /// Which of those on this machine it is: the number of its GPU.
    pub fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    /// What sums and copies go by.
    pub fn group(&self) -> &Arc<Group> {
        &self.tensors
    }

    /// What the statistics of norms go by, whose sums are begun in the backward pass.
    pub fn norms(&self) -> &Arc<Group> {
        &self.norms
    }

    /// Returns once all processes are here, however long some of them take, as long as something is heard of them.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub fn meet(&self) -> Result<(), Error> {
        let number = self.meetings.fetch_add(1, Ordering::Relaxed);
        let (store, timeout) = (Arc::clone(&self.store), self.meeting.timeout);
        let (own, world) = (self.rank(), self.size());
        let answered = Arc::new(AtomicU64::new(0));
        let answers = Arc::clone(&answered);
        let (send, receive) = mpsc::channel();
        // As in `soon`, but as long as the store answers.
        std::thread::spawn(move || {
            send.send(gathered(&store, &format!("meet/{number}"), own, world, timeout, &answers))
        });
        let mut before = 0;
        loop {
            match receive.recv_timeout(timeout) {
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some((rank, cause)))) => return Err(self.lost(rank, cause)),
                Ok(Err(_)) => return Err(self.lost(0, GONE.to_owned())),
                Err(_) => match answered.load(Ordering::Relaxed) {
                    now if now == before => return Err(self.lost(0, GONE.to_owned())),
                    now => before = now,
                },
            }
        }
    }

    /// Fails unless all processes give the same text, with the first line that differs from rank 0's.
    ///
    /// # Errors
    /// [`Error::Disagree`] on every process.
    pub fn ensure_same(&self, what: &str, text: &str) -> Result<(), Error> {
        let all = self.tensors.gather(text.as_bytes())?;
        let Some(rank) = all.iter().position(|other| *other != all[0]) else { return Ok(()) };
        let [first, other] = [&all[0], &all[rank]].map(|bytes| String::from_utf8_lossy(bytes));
        let host = self.hosts[rank].clone();
        Err(Error::Disagree { rank, host, what: what.to_owned(), difference: difference(&first, &other) })
    }

    /// Makes tensors equal to rank 0's, and checks that they are.
    ///
    /// # Errors
    /// [`Error::Disagree`] where they are not, or where the processes have others; another process that is not there.
    pub fn make_equal(&self, what: &str, tensors: &[Tensor]) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let shapes: Vec<String> = tensors.iter().map(|x| format!("{:?} {:?}", x.kind(), x.size())).collect();
        self.ensure_same(what, &shapes.join("\n"))?;
        for tensor in tensors {
            let copy = tensor.detach().contiguous();
            self.tensors.broadcast(&copy, 0)?;
            tensor.detach().copy_(&copy);
        }
        self.ensure_same(what, &format!("hash {}", hash(tensors)?))
    }

    /// Averages tensors of floating point over all processes, in place and as one. Sums are of float64, so that numbers of
    /// float32 that are equal everywhere stay as they are.
    ///
    /// # Errors
    /// Another process that is not there.
    pub fn average(&self, tensors: &[Tensor]) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        if tensors.is_empty() {
            return Ok(());
        }
        let flat: Vec<Tensor> =
            tensors.iter().map(|tensor| tensor.detach().to_kind(Kind::Double).reshape([-1])).collect();
        let sum = Tensor::cat(&flat, 0);
        self.tensors.sum(&sum)?;
        let mean = sum / self.size() as f64;
        let mut start = 0;
        for tensor in tensors {
            let count = tensor.numel() as i64;
            tensor.detach().copy_(&mean.narrow(0, start, count).view_as(tensor));
            start += count;
        }
        Ok(())
    }

    /// Leaves word for the others that this process ends, and why; rank 0 waits until they have read it, some seconds at most.
    pub fn leave(&self, cause: &str) {
        let line = cause.lines().next().unwrap_or_default();
        let (store, rank, word) = (Arc::clone(&self.store), self.rank(), format!("ended: {line}"));
        let _ = soon(move || leave_word(&store, rank, &word));
        self.linger();
    }

    /// Which process is to blame for an operation with the others that failed, where that can be found out.
    pub fn explain(&self, error: Error) -> Error {
        if !matches!(error, Error::Torch { .. }) {
            return error;
        }
        let (store, world, timeout) = (Arc::clone(&self.store), self.size(), self.meeting.timeout);
        let answer = soon(move || blame(&store, world, timeout));
        let (rank, cause) = match answer {
            Some(Ok(Some(found))) if found.0 != self.rank() => {
                // The others need not find out by themselves.
                let (store, (rank, cause)) = (Arc::clone(&self.store), found.clone());
                let _ = soon(move || leave_word(&store, rank, &cause));
                self.linger();
                found
            }
            // Rank 0 serves the store, or the launcher that started it.
            None | Some(Err(_)) if !self.is_first() => (0, GONE.to_owned()),
            _ => return error,
        };
        self.lost(rank, cause)
    }

    /// Where rank 0 serves the store: until others have had the time to read it.
    fn linger(&self) {
        if self.place.serves && self.size() > 1 {
            std::thread::sleep(WORD);
        }
    }

    fn lost(&self, rank: usize, cause: String) -> Error {
        Error::Lost { rank, host: self.hosts[rank].clone(), cause }
    }
}

const GONE: &str = "is not heard of any more: it was ended or stopped, or its machine is cut off";

/// Waits until all have come to a place, and counts what the store answers; gives who was lost meanwhile.
fn gathered(
    store: &Store,
    key: &str,
    own: usize,
    world: usize,
    timeout: Duration,
    answered: &AtomicU64,
) -> Result<Option<(usize, String)>, Error> {
    store.add(key, 1)?;
    let mut heard = Heard::new(world);
    let mut pause = SHORTEST;
    let mut listened = Instant::now();
    while store.add(key, 0)? < world as i64 {
        answered.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
        // All of them ask the store about all of them: the more there are, the less often.
        if listened.elapsed() > Duration::from_secs(1) + world as u32 * Duration::from_millis(20) {
            listened = Instant::now();
            if let Some(found) = word(store, Some(own))? {
                return Ok(Some(found));
            }
            heard.listen(store)?;
            if let Some(rank) = heard.silent(timeout) {
                return Ok(Some((rank, GONE.to_owned())));
            }
        }
    }
    Ok(None)
}

/// What `ask` finds, on a thread that may be left behind: nothing bounds the wait for a store whose machine is cut off.
fn soon<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(ask()));
    receive.recv_timeout(WORD * 3).ok()
}

/// Leaves word of the end of a process, unless there is some of it already.
pub(crate) fn leave_word(store: &Store, rank: usize, cause: &str) -> Result<(), Error> {
    let key = format!("left/{rank}");
    if !store.has(&key)? {
        store.set(&key, cause.as_bytes())?;
        // Where it is looked for: the first to be left is the one to blame.
        if !store.has(LEFT)? {
            store.set(LEFT, format!("{rank} {cause}").as_bytes())?;
        }
    }
    Ok(())
}

const LEFT: &str = "left";

/// The process that word was left of first, and the word.
fn word(store: &Store, but: Option<usize>) -> Result<Option<(usize, String)>, Error> {
    if !store.has(LEFT)? {
        return Ok(None);
    }
    let text = store.get(LEFT, Duration::from_secs(5))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = text.split_once(' ').and_then(|(rank, cause)| Some((rank.parse().ok()?, cause.to_owned())));
    Ok(found.filter(|(rank, _)| Some(*rank) != but))
}

/// Who it was: word that was left, else who gives no signs, else who is behind.
fn blame(store: &Store, world: usize, timeout: Duration) -> Result<Option<(usize, String)>, Error> {
    let start = Instant::now();
    let mut heard = Heard::new(world);
    while start.elapsed() < WORD {
        if let Some(found) = word(store, None)? {
            return Ok(Some(found));
        }
        heard.listen(store)?;
        std::thread::sleep(LONGEST);
    }
    // The first look counts as a sign.
    let quiet = WORD - Duration::from_millis(500);
    if let Some(rank) = heard.silent(quiet) {
        return Ok(Some((rank, GONE.to_owned())));
    }
    let behind = |rank| (rank, format!("hangs: the others waited for it for {} s", timeout.as_secs()));
    Ok(heard.behind().map(behind))
}

/// The hosts of all processes, once all are there. Rank 0 reads what each has said and says it to all: the store answers as often as
/// there are processes, not as often as there are pairs of them.
fn hosts(store: &Store, place: &Place, meeting: &Meeting, start: Instant) -> Result<Vec<String>, Error> {
    store.set(&hello(place.rank), format!("{}\n{}", meeting.host, meeting.version).as_bytes())?;
    store.add("come", 1)?;
    let mut pause = SHORTEST;
    while store.add("come", 0)? < place.world as i64 {
        if let Some((rank, cause)) = word(store, Some(place.rank))? {
            return Err(Error::Lost { rank, host: meeting.host.clone(), cause });
        }
        if start.elapsed() > meeting.patience {
            return Err(never_came(store, place, meeting)?);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
    if place.is_first() {
        let mut all = Vec::new();
        for rank in 0..place.world {
            all.push(store.get(&hello(rank), meeting.timeout)?);
        }
        store.set("all", &all.join(&SEPARATOR))?;
    }
    let all = store.get("all", meeting.patience)?;
    let all: Vec<String> =
        all.split(|byte| *byte == SEPARATOR).map(|hello| String::from_utf8_lossy(hello).into_owned()).collect();
    let (hosts, versions): (Vec<&str>, Vec<&str>) =
        all.iter().map(|hello| hello.split_once('\n').unwrap_or((hello, ""))).unzip();
    match versions.iter().position(|version| *version != versions[0]) {
        None => Ok(hosts.into_iter().map(str::to_owned).collect()),
        Some(rank) => Err(Error::Disagree {
            rank,
            host: hosts[rank].to_owned(),
            what: "version of the program".to_owned(),
            difference: difference(versions[0], versions[rank]),
        }),
    }
}

/// Between what processes say; in no name and no version.
const SEPARATOR: u8 = 0;

fn hello(rank: usize) -> String {
    format!("hello/{rank}")
}

fn never_came(store: &Store, place: &Place, meeting: &Meeting) -> Result<Error, Error> {
    let mut missing = Vec::new();
    for rank in 0..place.world {
        if !store.has(&hello(rank))? {
            missing.push(rank);
        }
    }
    Ok(Error::NeverCame { missing, world: place.world, seconds: meeting.patience.as_secs() })
}

/// What c10d's store says where it cannot be opened, in the terms of whoever starts the processes.
fn not_there(error: Error, place: &Place, patience: Duration) -> Error {
    let Error::Torch { reason, .. } = &error else { return error };
    let (host, port) = (place.host.clone(), place.port);
    let taken = ["EADDRINUSE", "already in use", "failed to listen", "EADDRNOTAVAIL"];
    if place.serves && taken.iter().any(|sign| reason.contains(sign)) {
        return Error::PortTaken { host, port };
    }
    match place.serves {
        true => error,
        false => Error::NoMaster { rank: place.rank, host, port, seconds: patience.as_secs() },
    }
}

/// The first line in which two texts differ.
fn difference(first: &str, other: &str) -> String {
    let (mut of_first, mut of_other) = (first.lines(), other.lines());
    loop {
        match (of_first.next(), of_other.next()) {
            (Some(first), Some(other)) if first == other => {}
            (None, None) => return "their ends of lines".to_owned(),
            (first, other) => {
                return format!("`{}` in place of `{}`", other.unwrap_or("nothing"), first.unwrap_or("nothing"));
            }
        }
    }
}

/// SHA-256 over the bytes of tensors.
fn hash(tensors: &[Tensor]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for tensor in tensors {
        let bytes = tensor.detach().to_device(tch::Device::Cpu).contiguous().view([-1]).view_dtype(Kind::Uint8);
        let bytes = Vec::<u8>::try_from(&bytes)
            .map_err(|error| Error::Torch { action: "read weights", reason: error.to_string() })?;
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_in_a_line() {
        assert_eq!(difference("a = 1\nb = 2", "a = 1\nb = 3"), "`b = 3` in place of `b = 2`");
        assert_eq!(difference("a = 1", "a = 1\nb = 3"), "`b = 3` in place of `nothing`");
    }

    #[test]
    fn equal_tensors_have_equal_hashes_whatever_their_layout() {
        let x = Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).view([2, 3, 2, 2]);
        let channels_last = x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        assert_eq!(hash(&[x.shallow_clone()]).unwrap(), hash(&[channels_last]).unwrap());
        assert_ne!(hash(&[x.shallow_clone()]).unwrap(), hash(&[x + 1e-7]).unwrap());
    }
}
