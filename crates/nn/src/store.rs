//! Parameters: ordered, named once, and shared with the layers that use them.

use std::collections::HashSet;
use std::ops::Div;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::{AllSum, Error, Init, Meter};

/// What a stored tensor is for; weight decay goes to [`Role::Weight`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A weight of a convolution, a dense layer or a gate.
    Weight,
    /// A bias.
    Bias,
    /// The scale or shift of a norm.
    Norm,
    /// State that is saved but not trained, as the running statistics of a norm.
    Buffer,
}

/// A stored tensor with its name.
#[derive(Debug)]
pub struct Entry {
    /// The full name, as in a weight file: `stage1.0.path2.conv1.weight`.
    pub name: String,
    /// The tensor itself; it shares its memory with the layer that uses it.
    pub tensor: Tensor,
    /// What it is for.
    pub role: Role,
}

impl Entry {
    fn share(&self) -> Entry {
        Entry { name: self.name.clone(), tensor: self.tensor.shallow_clone(), role: self.role }
    }
}

/// Owns the parameters and buffers of a model, in the order in which its constructors named them.
#[derive(Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: Device,
    kind: Kind,
    start: Start,
    meter: Meter,
    all_sum: OnceLock<Arc<dyn AllSum>>,
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    entries: Vec<Entry>,
    names: HashSet<String>,
}

/// Where starting values come from.
#[derive(Debug)]
enum Start {
    Seed(u64),
    Nowhere,
}

impl Shared {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        // The contents are whole after every statement, so a panic elsewhere while the lock was held did no harm.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// An empty store of float32 parameters; `seed` decides all their starting values.
    pub fn new(device: Device, seed: u64) -> Self {
        Self::with_kind(device, Kind::Float, seed)
    }

    /// An empty store of another element type: float64 for checks by finite differences.
    pub fn with_kind(device: Device, kind: Kind, seed: u64) -> Self {
        Self::starting(device, kind, Start::Seed(seed))
    }

    /// An empty store whose parameters have shapes but no values, whatever their layer asks for: to count a model that will
    /// not run, where drawing or even clearing its values would take seconds.
    pub fn for_counting() -> Self {
        Self::unwritten(Device::Cpu)
    }

    /// An empty store whose parameters have shapes but no values: for a model every tensor of which is loaded before it runs.
    pub fn unwritten(device: Device) -> Self {
        Self::starting(device, Kind::Float, Start::Nowhere)
    }

    fn starting(device: Device, kind: Kind, start: Start) -> Self {
        let (meter, all_sum, contents) = (Meter::default(), OnceLock::new(), Mutex::default());
        Store(Arc::new(Shared { device, kind, start, meter, all_sum, contents }))
    }

    /// Lets every batch norm that is built from now on take its statistics over all that `sum` sums over. The first call counts.
    pub fn normalise_over(&self, sum: Arc<dyn AllSum>) {
        let _ = self.0.all_sum.set(sum);
    }

    /// The path without a name, from which a model's constructor starts.
    pub fn root(&self) -> Params {
        Params { shared: Arc::clone(&self.0), path: String::new(), renames: Arc::new([]) }
    }

    /// Where the parameters are.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// Everything that a weight file holds, in the order of creation.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.contents().entries.iter().map(Entry::share).collect()
    }

    /// What is trained: all but the buffers, in the order of creation.
    pub fn parameters(&self) -> Vec<Entry> {
        self.0.contents().entries.iter().filter(|e| e.role != Role::Buffer).map(Entry::share).collect()
    }

    /// Stops the training of every parameter whose name `chosen` picks: it gets no gradient any more. Where that is the scale of
    /// a batch norm, its running statistics stay as they are too. Gives how many there are.
    ///
    /// ```
    /// use mp_nn::{LinearConfig, Store};
    /// let store = Store::new(mp_nn::Device::Cpu, 0);
    /// LinearConfig::new(2, 3).build(&(&store.root() / "fc"))?;
    /// assert_eq!(store.freeze(|name| name.ends_with(".bias")), 1);
    /// assert!(store.parameters().iter().all(|entry| entry.tensor.requires_grad() == (entry.name == "fc.weight")));
    /// # Ok::<(), mp_nn::Error>(())
    /// ```
    pub fn freeze(&self, chosen: impl Fn(&str) -> bool) -> usize {
        let frozen: Vec<Entry> = self.parameters().into_iter().filter(|entry| chosen(&entry.name)).collect();
        for entry in &frozen {
            let _ = entry.tensor.set_requires_grad(false);
        }
        frozen.len()
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> u64 {
        self.parameters().iter().map(|e| e.tensor.numel() as u64).sum()
    }

    /// The meter to which every layer of this store reports.
    pub fn meter(&self) -> Meter {
        self.0.meter.clone()
    }
}

/// A place in a [`Store`] by which a constructor names and takes its parameters; `&params / "gate"` is the place below.
#[derive(Clone, Debug)]
pub struct Params {
    shared: Arc<Shared>,
    path: String,
    /// Full names, and what they are called instead.
    renames: Arc<[(String, String)]>,
}

impl Params {
    /// A new trained tensor of the store's element type. One of four axes, the weights of a convolution, lies channels-last
    /// in memory, as maps do: no copy in that layout is then made of it in every step.
    ///
    /// # Errors
    /// A name that is taken or malformed, a negative size, or values that do not fill the shape.
    pub fn parameter(&self, name: &str, shape: &[i64], init: Init, role: Role) -> Result<Tensor, Error> {
        let tensor = self.create(name, shape, &init)?;
        let tensor = match shape.len() {
            4 => tensor
                .f_permute([0, 2, 3, 1])
                .and_then(|t| t.f_contiguous())
                .and_then(|t| t.f_permute([0, 3, 1, 2]))
                .map_err(|e| Error::torch(format!("create `{}`", self.full_name(name)), &e))?,
            _ => tensor,
        };
        self.insert(name, tensor.set_requires_grad(role != Role::Buffer), role)
    }

    /// A new tensor that is saved but not trained.
    ///
    /// # Errors
    /// As [`Params::parameter`].
    pub fn buffer(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, Error> {
        self.insert(name, self.create(name, shape, &init)?, Role::Buffer)
    }

    /// A new counter: one 64-bit integer that is saved but not trained. It lies on the CPU, wherever the rest does: on a GPU,
    /// counting takes as long as computing.
    ///
    /// # Errors
    /// A name that is taken or malformed.
    pub fn counter(&self, name: &str) -> Result<Tensor, Error> {
        self.insert(name, Tensor::zeros([0_i64; 0], (Kind::Int64, Device::Cpu)), Role::Buffer)
    }

    /// Where the parameters are.
    pub fn device(&self) -> Device {
        self.shared.device
    }

    /// What batch norms take their statistics over, if not their own batch.
    pub(crate) fn all_sum(&self) -> Option<Arc<dyn AllSum>> {
        self.shared.all_sum.get().cloned()
    }

    /// Their element type.
    pub fn kind(&self) -> Kind {
        self.shared.kind
    }

    /// The store's meter.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// The full name of this place, empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The full name of `name` below this place.
    pub fn full_name(&self, name: &str) -> String {
        let full = self.join(name);
        let renamed = self.renames.iter().find(|(from, _)| *from == full);
        renamed.map_or(full, |(_, to)| to.clone())
    }

    /// The same place, below which some places and tensors are called otherwise: pairs of our dotted name and the other
    /// one. With it a constructor that names its layers one way takes part in public weight files that name them another.
    ///
    /// ```
    /// use mp_nn::{Device, LinearConfig, Store};
    /// let store = Store::new(Device::Cpu, 0);
    /// let place = (&store.root() / "classifier").renaming(&[("dense1".to_owned(), "6".to_owned())]);
    /// LinearConfig::new(2, 3).build(&(&place / "dense1"))?;
    /// assert_eq!(store.entries()[0].name, "classifier.6.weight");
    /// # Ok::<(), mp_nn::Error>(())
    /// ```
    #[must_use]
    pub fn renaming(&self, names: &[(String, String)]) -> Params {
        let renames = names.iter().map(|(from, to)| (self.join(from), self.join(to))).collect();
        Params { renames, ..self.clone() }
    }

    /// `name` below this place, whatever it is called.
    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn create(&self, name: &str, shape: &[i64], init: &Init) -> Result<Tensor, Error> {
        let full = self.full_name(name);
        if let Some(size) = shape.iter().find(|size| **size < 0) {
            return Err(Error::config(format!("shape of `{full}`"), "sizes of at least 0", size));
        }
        let Start::Seed(seed) = self.shared.start else {
            return Ok(Tensor::empty(shape, (self.kind(), self.device())));
        };
        let count = shape.iter().product::<i64>() as usize;
        let values = init.draw(count, seed, &full);
        if values.len() != count {
            return Err(Error::config(
                format!("starting values of `{full}`"),
                format!("{count} for {shape:?}"),
                values.len(),
            ));
        }
        Tensor::f_from_slice(&values)
            .and_then(|t| t.f_reshape(shape))
            .and_then(|t| t.f_to_kind(self.kind()))
            .and_then(|t| t.f_to_device(self.device()))
            .map_err(|e| Error::torch(format!("create `{full}`"), &e))
    }

    fn insert(&self, name: &str, tensor: Tensor, role: Role) -> Result<Tensor, Error> {
        let full = self.full_name(name);
        // Checked here for the whole path, since `/` cannot return an error.
        if full.split('.').any(|part| part.is_empty() || part.contains(char::is_whitespace)) || name.contains('.') {
            return Err(Error::BadName(full));
        }
        let mut contents = self.shared.contents();
        if !contents.names.insert(full.clone()) {
            return Err(Error::DuplicateName(full));
        }
        contents.entries.push(Entry { name: full, tensor: tensor.shallow_clone(), role });
        Ok(tensor)
    }
}

impl Div<&str> for &Params {
    type Output = Params;

    fn div(self, name: &str) -> Params {
        Params { path: self.full_name(name), ..self.clone() }
    }
}

impl Div<&str> for Params {
    type Output = Params;

    fn div(self, name: &str) -> Params {
        &self / name
    }
}

impl Div<usize> for &Params {
    type Output = Params;

    fn div(self, index: usize) -> Params {
        self / index.to_string().as_str()
    }
}
