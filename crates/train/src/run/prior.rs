//! What a run folder holds that a run can go on from.

use std::fs;
use std::path::Path;

use crate::atomic::{self, Existing};
use crate::checkpoint::{self, Checkpoint, Position, Which};
use crate::folder::{Lock, RunFolder};
use crate::watch::{MetricsLog, read_events, read_rows};
use crate::{Error, Recipe};

/// A run that was begun, taken for this process alone.
#[derive(Debug)]
pub(super) struct Prior {
    pub(super) folder: RunFolder,
    /// None of a process that another writes for.
    pub(super) lock: Option<Lock>,
    /// Where it goes on from; `None` before its first checkpoint.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The checkpoint that was named, if one was: what was reported after it is dropped.
    from: Option<Which>,
    /// What is worth saying.
    pub(super) notes: Vec<String>,
}

impl Prior {
    /// Finds the checkpoint to go on from: the one that `from` names, otherwise the last, if nothing shows that the run was
    /// further. Of the folder it changes only the lock, if this process `writes` it, and clears what a killed
    /// process left half-written.
    ///
    /// # Errors
    /// [`Error::NotARun`], [`Error::Locked`], [`Error::SetBack`], [`Error::LastUnreadable`], [`Error::NoCheckpoint`], and
    /// what is wrong with the checkpoint.
    pub(super) fn read(out: &Path, from: Option<Which>, writes: bool) -> Result<Self, Error> {
        let folder = RunFolder::open(out)?;
        let lock = if writes { Some(folder.lock()?) } else { None };
        let mut notes = Vec::new();
        let checkpoint = match from {
            None => {
                let last = last(&folder)?;
                ensure_furthest(&folder, last.as_ref())?;
                if last.is_none() {
                    notes.push("the run has no checkpoint yet: it starts again from its beginning".to_owned());
                }
                last
            }
            Some(which) => {
                let chosen = Checkpoint::load(&folder.checkpoint(which)?)?;
                notes.extend(dropped(&folder, chosen.header.position)?);
                Some(chosen)
            }
        };
        Ok(Self { folder, lock, checkpoint, from, notes })
    }

    /// The recipe that the run was started with: the checkpoint's, or, where it has none, the one in the folder.
    pub(super) fn recipe(&self) -> Result<Recipe, Error> {
        let of_checkpoint = self.checkpoint.as_ref().map(|checkpoint| checkpoint.header.recipe()).transpose()?;
        of_checkpoint.flatten().map_or_else(|| self.folder.recipe(), Ok)
    }

    /// Makes a checkpoint that was named the last one, and drops whatever the folder holds of later epochs. The checkpoint
    /// comes first: after a kill in between, the same `--from` does it again, and nothing goes on with reports missing.
    pub(super) fn settle(&self) -> Result<(), Error> {
        let (Some(from), Some(chosen)) = (self.from, &self.checkpoint) else { return Ok(()) };
        let position = chosen.header.position;
        let checkpoints = self.folder.checkpoints();
        let best = checkpoint::best(&checkpoints);
        match from {
            Which::Best => {
                let bytes = fs::read(&best).map_err(Error::io("read", &best))?;
                atomic::write(&checkpoint::last(&checkpoints), &bytes, Existing::Replace)?;
            }
            Which::Last => {
                let is_later = |best: Checkpoint| best.header.position.epoch > position.epoch;
                if Checkpoint::load(&best).is_ok_and(is_later) {
                    fs::remove_file(&best).map_err(Error::io("remove", &best))?;
                }
            }
        }
        self.folder.remove_results(dropped(&self.folder, position)?.is_some())?;
        MetricsLog::resume(&self.folder, position)?;
        Ok(())
    }
}

/// The last checkpoint, where there is one.
fn last(folder: &RunFolder) -> Result<Option<Checkpoint>, Error> {
    let path = checkpoint::last(&folder.checkpoints());
    if !path.exists() {
        return Ok(None);
    }
    match Checkpoint::load(&path) {
        Ok(last) => Ok(Some(last)),
        Err(source) => Err(match Checkpoint::load(&checkpoint::best(&folder.checkpoints())) {
            Ok(best) => Error::LastUnreadable {
                path: folder.path().to_owned(),
                epoch: best.header.position.epoch,
                source: Box::new(source),
            },
            Err(_) => source,
        }),
    }
}

/// Fails where the files show that the run was further than its last checkpoint.
fn ensure_furthest(folder: &RunFolder, last: Option<&Checkpoint>) -> Result<(), Error> {
    let reached = last.map_or_else(Position::default, |last| last.header.position);
    let best = checkpoint::best(&folder.checkpoints());
    let best = if last.is_none() { Checkpoint::load(&best).ok() } else { None };
    let Some(evidence) = further(folder, reached, best.as_ref())? else { return Ok(()) };
    let found = match last {
        Some(_) => format!("checkpoints/last.safetensors is of step {}", reached.step),
        None => "checkpoints/last.safetensors is missing".to_owned(),
    };
    let advice = match (last, best) {
        (Some(_), _) => {
            "put the later one back, or go on from this one with `--from last`, which drops later reports".to_owned()
        }
        (None, Some(best)) => format!(
            "put it back, or go on from the best checkpoint, of epoch {}, with `--from best`, which drops later reports",
            best.header.position.epoch
        ),
        (None, None) => "put it back, or start a new run with --out".to_owned(),
    };
    Err(Error::SetBack { path: folder.path().to_owned(), found, evidence, advice })
}

/// What shows that there was a later checkpoint than that of `reached`. One that is reported was written; the end of an epoch
/// is reported before its checkpoint, so that one epoch more proves nothing.
fn further(folder: &RunFolder, reached: Position, best: Option<&Checkpoint>) -> Result<Option<String>, Error> {
    if folder.events().exists() {
        let saved = read_events(&folder.events(), "checkpoint")?;
        let saved = saved.iter().filter_map(|event| Some((event["epoch"].as_u64()?, event["step"].as_u64()?))).max();
        if let Some((_, step)) = saved.filter(|saved| *saved > (reached.epoch, reached.step)) {
            return Ok(Some(format!("events.jsonl reports one after step {step}")));
        }
    }
    if folder.metrics().exists()
        && let Some(row) = read_rows(&folder.metrics())?.last().filter(|row| row.epoch > reached.epoch + 1)
    {
        return Ok(Some(format!("metrics.csv has epoch {}", row.epoch)));
    }
    // One that cannot be read is written anew.
    if let Some(summary) = folder.summary().ok().flatten().filter(|summary| summary.steps > reached.step) {
        return Ok(Some(format!("summary.json has {} steps", summary.steps)));
    }
    let best = best.map(|best| best.header.position.epoch).filter(|epoch| *epoch > reached.epoch + 1);
    Ok(best.map(|epoch| format!("checkpoints/best.safetensors is of epoch {epoch}")))
}

/// What going on from `position` leaves of the reports, where it leaves something out.
fn dropped(folder: &RunFolder, position: Position) -> Result<Option<String>, Error> {
    if !folder.metrics().exists() {
        return Ok(None);
    }
    let later = read_rows(&folder.metrics())?.iter().filter(|row| row.epoch > position.epoch).count();
    Ok((later > 0).then(|| format!("the reports of {later} epochs after step {} are dropped", position.step)))
}
