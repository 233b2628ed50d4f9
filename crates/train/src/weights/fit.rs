//! By which names the tensors of a file are those of a network.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use mp_nn::{LoadReport, Mismatch, Renaming, StateDict, Store, read_state_dict};
use mp_zoo::schemes::SCHEMES;
use mp_zoo::{ModelOptions, Upcycling, build, upcycling};

use super::heads::Heads;
use super::{WeightFile, upcycle};
use crate::Error;

/// The weights of a file, with the names by which they fit a network.
pub struct Fit {
    dict: StateDict,
    /// The model that starts from them.
    model: String,
    options: ModelOptions,
    renaming: Renaming,
    /// Whose names those of the file are.
    names: String,
    /// Where they are those of the single network, not of the model itself.
    upcycling: Option<Upcycling>,
    heads: Heads,
    report: LoadReport,
}

/// A network that the file may be of, as it is built, with what its names may leave open.
struct Candidate {
    store: Store,
    base: Renaming,
    heads: Heads,
    name: String,
    upcycling: Option<Upcycling>,
}

impl Candidate {
    /// `plan` says where the tensors of a single network go in the model that starts from it.
    fn new(name: &str, options: &ModelOptions, upcycling: Option<Upcycling>) -> Result<Self, Error> {
        let store = Store::for_counting();
        build(name, options, &store.root())?;
        let heads = Heads::of(name, options)?;
        let base = heads.places.iter().fold(Renaming::new(), |renaming, place| renaming.head(place));
        let auxiliaries = mp_zoo::auxiliaries(name, options)?;
        let base = auxiliaries.iter().fold(base, |renaming, place| renaming.optional(place));
        Ok(Self { store, base, heads, name: name.to_owned(), upcycling })
    }
}

impl Fit {
    /// Finds the names of a file by trying: those of the model, then, for one of several paths or members, those of its single
    /// network, and then every scheme of names of single networks, until one fits as a whole. A scheme that the file was given
    /// is the only one that is tried.
    ///
    /// A head for other classes fits, and is not taken. Classifiers that only help to train may be missing. The state of a
    /// checkpoint beside its weights is passed over.
    ///
    /// # Errors
    /// A file that cannot be read; [`Error::NoFit`] with what is wrong by the names that come nearest.
    pub fn to_start(file: &WeightFile, model: &str, options: &ModelOptions) -> Result<Self, Error> {
        let plan = upcycling(model, options)?;
        let is_single = plan.single == canonical(model)?;
        Self::find(file, model, options, (!is_single).then_some(plan))
    }

    /// As [`Fit::to_start`], of the model itself: weights of its single network do not fit a model of several paths.
    ///
    /// # Errors
    /// As [`Fit::to_start`].
    pub fn to_apply(file: &WeightFile, model: &str, options: &ModelOptions) -> Result<Self, Error> {
        Self::find(file, model, options, None)
    }

    fn find(file: &WeightFile, model: &str, options: &ModelOptions, through: Option<Upcycling>) -> Result<Self, Error> {
        let dict = read_state_dict(file.path())?;
        let named = file.scheme();
        let mut nearest: Option<(usize, Error)> = None;
        let single = through.map(|plan| Candidate::new(&plan.single.clone(), options, Some(plan))).transpose()?;
        let own = match (&single, named) {
            // A scheme is of the names of single networks.
            (Some(_), Some(_)) => None,
            _ => Some(Candidate::new(model, options, None)?),
        };
        for candidate in [own, single].into_iter().flatten() {
            let by_itself = candidate.base.clone().without("/")?;
            let own_names = named.is_none().then(|| (format!("the names of `{}`", candidate.name), Ok(by_itself)));
            let schemes = SCHEMES.iter().filter(|scheme| named.is_none_or(|named| named.name == scheme.name));
            let schemes = schemes
                .map(|scheme| (format!("the names of {}", scheme.name), scheme.renaming_onto(candidate.base.clone())));
            for (names, renaming) in own_names.into_iter().chain(schemes) {
                let renaming = renaming?;
                match dict.compare(&candidate.store, &renaming) {
                    Ok(report) => {
                        let Candidate { heads, upcycling, .. } = candidate;
                        let (model, options) = (model.to_owned(), options.clone());
                        return Ok(Self { dict, model, options, renaming, names, upcycling, heads, report });
                    }
                    Err(mp_nn::Error::OtherModel { mismatch, .. }) => {
                        let (faults, mismatch) = (faults(&mismatch), Box::new(mismatch));
                        if nearest.as_ref().is_none_or(|(least, _)| faults < *least) {
                            let (path, model) = (file.path().to_owned(), model.to_owned());
                            nearest = Some((faults, Error::NoFit { path, model, names, mismatch }));
                        }
                    }
                    // Names that become one by rules which they were not made for.
                    Err(error @ mp_nn::Error::Tensors { .. }) => {
                        nearest.get_or_insert((usize::MAX, error.into()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let none = || Error::Corrupt { path: file.path().to_owned(), message: "no names were tried".to_owned() };
        Err(nearest.map_or_else(none, |(_, error)| error))
    }

    /// Gives a model's tensors the weights of the file, or those of all its paths or members; [`upcycle`] says what `noise` and
    /// `seed` are for. What was not in the file stays as it was.
    ///
    /// # Errors
    /// A `store` that is not of the model.
    pub fn start(&self, store: &Store, noise: f64, seed: u64) -> Result<(), Error> {
        let Some(plan) = &self.upcycling else {
            self.dict.load_into(store, &self.renaming)?;
            return Ok(());
        };
        let single = Store::for_counting();
        build(&plan.single, &self.options, &single.root())?;
        self.dict.load_into(&single, &self.renaming)?;
        let heads = self.report.head.iter().map(|(name, ..)| name);
        let skipped: HashSet<String> = heads.chain(&self.report.absent).cloned().collect();
        upcycle(&single, store, plan, &skipped, noise, seed)
    }

    /// Gives the tensors of a network for [`Fit::classes`] the weights of the file, heads included.
    ///
    /// # Errors
    /// [`Error::NoFit`] where heads are for different numbers of classes.
    pub fn load(&self, store: &Store) -> Result<(), Error> {
        let report = self.dict.compare(store, &self.renaming)?;
        if !report.head.is_empty() {
            let mismatch = Box::new(Mismatch { mismatched: report.head, ..Mismatch::default() });
            let (path, model, names) = (self.dict.path.clone(), self.model.clone(), self.names.clone());
            return Err(Error::NoFit { path, model, names, mismatch });
        }
        self.dict.load_into(store, &self.renaming)?;
        Ok(())
    }

    /// Whether the file has every tensor of the network, but for a head for other classes.
    pub fn is_whole(&self) -> bool {
        self.report.absent.is_empty()
    }

    /// How many classes the file's head is for, where they are others than the network's.
    pub fn classes(&self) -> Option<i64> {
        self.other_classes().map(|(file, _)| file)
    }

    /// The classes of the file's head and of the network's, where they differ.
    fn other_classes(&self) -> Option<(i64, i64)> {
        self.report.head.iter().find_map(|(name, model, file)| {
            let axis = self.heads.axis(name)?;
            let (here, there) = (model.get(axis)?, file.get(axis)?);
            (here != there && model.len() == file.len()).then_some((*there, *here))
        })
    }
}

/// What was found, on one line: `122 tensors of resnet18.pth by the names of torchvision; the head fc (1000 classes, here 10)
/// starts anew`.
impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.dict.path;
        let file = path.file_name().map_or(path.as_path(), Path::new);
        write!(f, "{} tensors of {} by {}", self.report.loaded, file.display(), self.names)?;
        if let Some(places) = self.upcycling.as_ref().and_then(|plan| Some(plan.tensors.first()?.places.len())) {
            write!(f, ", each at {places} places of `{}`", self.model)?;
        }
        let is_open = |place: &&String| {
            let inside = |name: &str| name.strip_prefix(place.as_str()).is_some_and(|rest| rest.starts_with('.'));
            self.report.head.iter().any(|(name, ..)| inside(name))
        };
        let heads: Vec<&str> = self.heads.places.iter().filter(is_open).map(String::as_str).collect();
        let classes = self.other_classes();
        let classes = classes.map_or_else(String::new, |(there, here)| format!(" ({there} classes, here {here})"));
        match heads.as_slice() {
            [] => {}
            [one] => write!(f, "; the head {one}{classes} starts anew")?,
            several => write!(f, "; the heads {}{classes} start anew", several.join(", "))?,
        }
        if !self.report.absent.is_empty() {
            write!(f, "; {} that it lacks start anew", self.report.absent.len())?;
        }
        let left_out = self.report.dropped.iter().filter(|name| !name.contains('/')).count();
        if left_out > 0 {
            write!(f, "; {left_out} of its auxiliary classifiers left out")?;
        }
        Ok(())
    }
}

fn faults(mismatch: &Mismatch) -> usize {
    mismatch.missing.len() + mismatch.unexpected.len() + mismatch.mismatched.len()
}

/// The name as the zoo writes it.
fn canonical(model: &str) -> Result<String, Error> {
    Ok(model.parse::<mp_zoo::ModelName>()?.to_string())
}
