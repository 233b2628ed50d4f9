//! The processes that train one network together: one that is alone, or all that have met.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mp_data::{Share, Uneven};
use mp_nn::AllSum;
use mp_parallel::{Group, Reducer, Work, World};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::machine::DeviceChoice;

pub use mp_parallel::{Ended, Failure, Launch, Meeting, Place};

/// The processes that train one network together. All of them call the same methods in the same order; a process that is alone
/// finds in each what it had.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    world: Option<Arc<World>>,
}

impl Processes {
    /// A process by itself.
    pub fn alone() -> Self {
        Self::default()
    }

    /// Meets the others.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn join(place: Place, meeting: Meeting) -> Result<Self, Error> {
        Ok(Self { world: Some(Arc::new(World::join(place, meeting)?)) })
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.world.as_ref().map_or(1, |world| world.size())
    }

    /// Whether this process speaks and writes for all.
    pub fn is_first(&self) -> bool {
        self.world.as_ref().is_none_or(|world| world.is_first())
    }

    /// Which of them this is, from 0.
    pub fn rank(&self) -> usize {
        self.world.as_ref().map_or(0, |world| world.rank())
    }

    /// Whether this process is by itself.
    pub fn are_one(&self) -> bool {
        self.world.is_none()
    }

    /// The part of every epoch that falls to this process.
    pub fn share(&self, uneven: Uneven) -> Share {
        Share { rank: self.rank(), world: self.count(), uneven }
    }

    /// Returns once all are here, however long that takes, as long as something is heard of them.
    ///
    /// # Errors
    /// [`Error::Processes`], as in all methods.
    pub fn meet(&self) -> Result<(), Error> {
        self.with((), |world| world.meet())
    }

    /// Fails unless all have the same text.
    ///
    /// # Errors
    /// [`Error::Processes`], with the first line that differs.
    pub fn ensure_same(&self, what: &str, text: &str) -> Result<(), Error> {
        self.with((), |world| world.ensure_same(what, text))
    }

    /// Makes tensors those of the first process.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn make_equal(&self, what: &str, tensors: &[Tensor]) -> Result<(), Error> {
        self.with((), |world| world.make_equal(what, tensors))
    }

    /// Averages tensors of floating point.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn average(&self, tensors: &[Tensor]) -> Result<(), Error> {
        self.with((), |world| world.average(tensors))
    }

    /// The sums of numbers.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn sums(&self, numbers: &[f64]) -> Result<Vec<f64>, Error> {
        self.with(numbers.to_vec(), |world| world.group().sum_of(numbers))
    }

    /// Replaces a tensor by its sum.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn sum(&self, tensor: &Tensor) -> Result<(), Error> {
        self.with((), |world| world.group().sum(tensor))
    }

    /// What every process has, in the order of their ranks.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn gather<T: Serialize + DeserializeOwned>(&self, own: T) -> Result<Vec<T>, Error> {
        let Some(world) = &self.world else { return Ok(vec![own]) };
        let text = serde_json::to_string(&own).map_err(unreadable)?;
        let all = world.group().gather(text.as_bytes()).map_err(|error| world.explain(error))?;
        all.iter().map(|bytes| serde_json::from_slice(bytes).map_err(unreadable)).collect()
    }

    /// What the first process makes, which the others wait for, however long that takes.
    ///
    /// # Errors
    /// Those of `make`, on the first process; [`Error::Processes`].
    pub fn of_first<T: Serialize + DeserializeOwned>(
        &self,
        make: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(world) = &self.world else { return make() };
        let made = if world.is_first() { serde_json::to_vec(&make()?).map_err(unreadable)? } else { Vec::new() };
        self.meet()?;
        let bytes = world.group().bytes_of(0, &made).map_err(|error| world.explain(error))?;
        serde_json::from_slice(&bytes).map_err(unreadable)
    }

    /// Begins to ask whether anybody has `flag` set; a process by itself is asked when it answers.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn ask(&self, flag: &AtomicBool) -> Result<Asked, Error> {
        let Some(world) = &self.world else { return Ok(Asked(None)) };
        let sum = Tensor::from_slice(&[i64::from(flag.load(Ordering::Relaxed))]);
        let work = world.group().begin_sum(&sum).map_err(|error| world.explain(error))?;
        Ok(Asked(Some(Question { world: Arc::clone(world), sum, work })))
    }

    /// What averages the gradients of parameters, which there is nothing to do about for a process by itself.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn reducer(&self, parameters: &[Tensor]) -> Result<Option<Reducer>, Error> {
        let Some(world) = &self.world else { return Ok(None) };
        Ok(Some(Reducer::new(Arc::clone(world.group()), parameters).map_err(|error| world.explain(error))?))
    }

    /// What the statistics of norms are summed by.
    pub(crate) fn norm_sums(&self) -> Option<Arc<NormSums>> {
        let world = self.world.as_ref()?;
        Some(Arc::new(NormSums { group: Arc::clone(world.norms()), failure: Mutex::new(None) }))
    }

    /// What a failed operation with the others means.
    pub(crate) fn explain(&self, error: mp_parallel::Error) -> Error {
        match &self.world {
            Some(world) => world.explain(error).into(),
            None => error.into(),
        }
    }

    /// The device of this process: the GPU of its number among the processes of its machine, where the recipe leaves it to the
    /// machine.
    ///
    /// # Errors
    /// [`Error::NoDevice`]; [`Error::Invalid`] where a recipe names one GPU for all processes.
    pub fn device(choice: DeviceChoice, place: Option<&Place>) -> Result<Device, Error> {
        let Some(place) = place else { return choice.device() };
        match choice {
            DeviceChoice::Auto if choice.device()?.is_cuda() => DeviceChoice::Cuda(place.local_rank).device(),
            DeviceChoice::Cuda(0) => DeviceChoice::Cuda(place.local_rank).device(),
            DeviceChoice::Cuda(_) if place.world > 1 => Err(Error::Invalid {
                key: "train.device",
                value: format!("\"{choice}\" for {} processes", place.world),
                expected: "cuda, auto or cpu: each process takes the GPU of its number".to_owned(),
            }),
            other => other.device(),
        }
    }

    /// Leaves word for the others that this process fails, unless it fails because of one of them.
    pub fn leave(&self, error: &Error) {
        if let (Some(world), false) = (&self.world, matches!(error, Error::Processes(_))) {
            world.leave(&error.to_string());
        }
    }

    fn with<T>(&self, alone: T, together: impl FnOnce(&World) -> Result<T, mp_parallel::Error>) -> Result<T, Error> {
        match &self.world {
            Some(world) => together(world).map_err(|error| world.explain(error).into()),
            None => Ok(alone),
        }
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::Torch { action: "exchange results between processes", reason: error.to_string() }
}

/// A question to all processes; see [`Processes::ask`].
#[derive(Debug)]
#[must_use = "the answer is for all to hear"]
pub struct Asked(Option<Question>);

#[derive(Debug)]
struct Question {
    world: Arc<World>,
    sum: Tensor,
    work: Work,
}

impl Asked {
    /// Whether anybody has, once all have answered.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn answer(self, flag: &AtomicBool) -> Result<bool, Error> {
        let Some(Question { world, sum, work }) = self.0 else { return Ok(flag.load(Ordering::Relaxed)) };
        work.wait().map_err(|error| world.explain(error))?;
        Ok(sum.int64_value(&[0]) > 0)
    }
}

/// Sums the statistics of norms. A sum that fails is kept, and asked for after the pass: a forward pass returns no errors.
#[derive(Debug)]
pub(crate) struct NormSums {
    group: Arc<Group>,
    failure: Mutex<Option<mp_parallel::Error>>,
}

impl NormSums {
    /// What went wrong since the last time.
    pub(crate) fn failure(&self) -> Option<mp_parallel::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl AllSum for NormSums {
    fn all_sum(&self, x: &Tensor) -> Tensor {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_some() {
            return x.shallow_clone();
        }
        self.group.sum_through(x).unwrap_or_else(|error| {
            *failure = Some(error);
            x.shallow_clone()
        })
    }
}

/// Tensors of floating point, of which there are averages.
pub(crate) fn is_real(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_by_itself_finds_what_it_had() {
        let alone = Processes::alone();
        assert_eq!((alone.count(), alone.rank(), alone.is_first(), alone.are_one()), (1, 0, true, true));
        assert_eq!(alone.sums(&[1.5]).unwrap(), [1.5]);
        assert_eq!(alone.gather("x".to_owned()).unwrap(), ["x"]);
        assert_eq!(alone.of_first(|| Ok(7)).unwrap(), 7);
        let flag = AtomicBool::new(true);
        assert!(alone.ask(&flag).unwrap().answer(&flag).unwrap());
        assert!(alone.reducer(&[]).unwrap().is_none());
    }

    #[test]
    fn a_gpu_that_a_recipe_names_is_no_place_for_several() {
        let place =
            |world| Place { rank: 0, world, local_rank: 0, host: "a".to_owned(), port: 1, serves: true, attempt: 0 };
        assert_eq!(Processes::device(DeviceChoice::Cpu, Some(&place(2))).unwrap(), Device::Cpu);
        assert_eq!(
            Processes::device(DeviceChoice::Cuda(3), Some(&place(2))).unwrap_err().to_string(),
            "train.device is \"cuda:3\" for 2 processes, expected cuda, auto or cpu: each process takes the GPU of its number"
        );
    }
}
