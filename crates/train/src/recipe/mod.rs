//! Recipes: everything that decides what a run computes, as one TOML file.
//!
//! A recipe comes from the binary ([`embedded`]), from a file, or from the defaults; `--set key=value` changes single
//! keys ([`Recipe::resolve`]). What comes out is complete and checked, and is what a run folder keeps as `recipe.toml`.

mod check;
mod class_weights;
mod difference;
mod embedded;
mod finetune;
mod numbers;
mod overrides;
mod parse;
mod precision;
mod procedure;
mod spec;
mod tables;

use mp_data::{AugmentConfig, BatchMix, CutMix, Holdout, Mixup, OnDamage, Sampler};
use mp_routing::RoutingLossConfig;
use serde::{Deserialize, Serialize};

pub(crate) use check::ensure_routes;
pub use class_weights::ClassWeights;
pub use difference::Difference;
pub use embedded::{Embedded, embedded};
pub use finetune::FinetuneConfig;
use mp_zoo::Drops;
pub use mp_zoo::RoutingConfig;
pub use numbers::{NUMBERS, Number};
pub use overrides::Override;
pub use precision::Precision;
pub use procedure::{DistillationConfig, HintsConfig, ProcedureConfig, ScoreFunctionConfig};
pub use spec::Spec;

use crate::Error;
pub use crate::machine::DeviceChoice;
pub use crate::metric::MetricName;
use crate::optim::OptimiserConfig;
use crate::schedule::{Schedule, ScheduleConfig};
use crate::weights::WeightFile;

/// Everything that decides what a run computes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The network.
    pub model: ModelConfig,
    /// The images and what is done to them.
    pub data: DataConfig,
    /// The loop.
    pub train: TrainConfig,
    /// How it learns from its batches.
    pub procedure: ProcedureConfig,
    /// How gradients move parameters.
    pub optimiser: OptimiserConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// What is not trained, and what learns faster or slower; by default all learns alike.
    pub finetune: FinetuneConfig,
    /// Auxiliary losses on the gates; all off by default.
    pub routing_loss: RoutingLossConfig,
}

/// The network, by its name in the zoo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// A name that `mp-train models` lists.
    pub name: String,
    /// A file of weights that a new run starts from; empty: the weights are drawn.
    pub init: String,
    /// The scheme of the names in that file; empty: it is found by trying.
    pub init_scheme: String,
    /// Where one network starts several paths or members: the deviation of the noise on each tensor, as a share of its own.
    pub init_noise: f64,
    /// Stochastic depth: with which probability an image skips the branch of the last residual block in training, less in
    /// earlier ones; 0: never.
    pub drop_path: f64,
    /// The rate of dropout; absent: what the family has by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// The share of the maps of the last two stages that DropBlock drops in training; 0: none.
    pub drop_block: f64,
    /// Where and how paths exchange features.
    pub routing: RoutingConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            init: String::new(),
            init_scheme: String::new(),
            init_noise: 0.01,
            drop_path: 0.0,
            dropout: None,
            drop_block: 0.0,
            routing: RoutingConfig::default(),
        }
    }
}

impl ModelConfig {
    /// What the network drops at random while it trains.
    pub fn drops(&self) -> Drops {
        Drops { path: self.drop_path, dropout: self.dropout, block: self.drop_block }
    }

    /// The weights that a new run starts from, if they are not drawn.
    ///
    /// # Errors
    /// [`Error::UnknownScheme`].
    pub fn start(&self) -> Result<Option<WeightFile>, Error> {
        (!self.init.is_empty()).then(|| WeightFile::under(&self.init, &self.init_scheme)).transpose()
    }
}

/// The images and what is done to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A known data set, or the path of a folder or file.
    pub name: String,
    /// Training images kept for validation, so many or such a share of them; 0: the validation images of the data set are, or its
    /// test images where it has no others.
    pub holdout: Holdout,
    /// Whether the classes are as frequent among them as among all.
    pub stratify: bool,
    /// Only so many training images, evenly spaced over all, for trials; 0: all.
    pub limit: usize,
    /// Height and width of the images that the network sees; 0: that of the data set.
    pub size: usize,
    /// Evaluation shows the middle: this share of the shorter side. 0: 0.875 where training crops at random and resizes, otherwise 1.
    pub crop: f64,
    /// Mean of each channel, pixels scaled to 0..1; empty: the data set's.
    pub mean: Vec<f32>,
    /// Deviation of each channel; empty: the data set's.
    pub std: Vec<f32>,
    /// In which order, and how often, training images come.
    pub sampler: SamplerName,
    /// `shards`: files whose images are mixed with each other.
    pub shard_group: usize,
    /// What happens where an image cannot be read.
    pub damaged: OnDamage,
    /// Random changes to each training image.
    pub augment: AugmentConfig,
    /// Threads that prepare batches; 0: as many as there are cores.
    pub workers: usize,
    /// Batches that may wait ready.
    pub prefetch: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            holdout: Holdout::default(),
            stratify: false,
            limit: 0,
            size: 0,
            crop: 0.0,
            mean: Vec::new(),
            std: Vec::new(),
            sampler: SamplerName::Shuffled,
            shard_group: 8,
            damaged: OnDamage::Fail,
            augment: AugmentConfig::default(),
            workers: 0,
            prefetch: 4,
        }
    }
}

/// In which order, and how often, training images come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerName {
    /// Each once, in a random order.
    #[default]
    Shuffled,
    /// Each once, in the order of the data set.
    Sequential,
    /// Each class equally often.
    ClassBalanced,
    /// Each once; files in a random order, and images within `shard_group` of them.
    Shards,
}

impl DataConfig {
    /// The sampler of the training images.
    pub fn sampler(&self) -> Sampler {
        match self.sampler {
            SamplerName::Shuffled => Sampler::Shuffled,
            SamplerName::Sequential => Sampler::Sequential,
            SamplerName::ClassBalanced => Sampler::ClassBalanced,
            SamplerName::Shards => Sampler::Shards { group: self.shard_group },
        }
    }

    /// The share of the shorter side that evaluation shows: `crop`, or what suits the augmentation.
    pub fn crop_share(&self) -> f64 {
        match self.crop {
            0.0 if self.augment.random_resized_crop.is_some() => 0.875,
            0.0 => 1.0,
            share => share,
        }
    }
}

/// The loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per forward pass.
    pub batch_size: usize,
    /// Batches whose gradients are averaged into one step of the optimiser.
    pub accumulate: usize,
    /// Decides initial weights, order of images, augmentation and dropout.
    pub seed: u64,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Where the network runs.
    pub device: DeviceChoice,
    /// Whether a GPU gives the same bits in every run, so that a run that is gone on with is the unbroken one to the last bit; as on
    /// the CPU, which always does. It takes longer.
    pub deterministic: bool,
    /// Whether a step is recorded once as a CUDA graph and then started as a whole, where the network allows it.
    pub graphs: bool,
    /// Whether batch norms take their statistics over the images of all processes that train together, not over those of each.
    pub sync_batch_norm: bool,
    /// Share of the target probability spread over all classes, 0 to below 1.
    pub label_smoothing: f64,
    /// How much the images of each class count in the loss.
    pub class_weights: ClassWeights,
    /// How much of the gradient each path of a network, and each member of an ensemble, gets.
    pub path_gradients: PathGradients,
    /// Weight of the losses that parallel paths have each by itself, beside that of their merged answer; 0: none.
    pub path_loss: f64,
    /// The figure of the validation images by which epochs are compared.
    pub metric: MetricName,
    /// Epochs without a better one after which a run ends early; 0: never.
    pub patience: u64,
    /// Blends the images of a batch, and their labels: the parameter of [`Mixup`]; 0: not at all.
    pub mixup: f64,
    /// Pastes parts of other images of the batch, and mixes labels: the parameter of [`CutMix`]; 0: not at all.
    pub cutmix: f64,
    /// How many batches are mixed, where mixing is on.
    pub mix_probability: f64,
    /// Greatest Euclidean norm of the whole gradient, or of that of each member of an ensemble; 0: no limit.
    pub clip_norm: f64,
    /// Averages the weights over the run, and judges it by the averages.
    pub ema: Option<EmaConfig>,
    /// Threads of libtorch; 0: as many as there are cores.
    pub threads: usize,
    /// Measures each layer of parallel paths before a new run and computes it in its quickest way, where
    /// `model.routing.execution` says nothing. The choice is kept with the run.
    pub tune_paths: bool,
    /// Steps between two reports; the loss is read from the device only then.
    pub log_every: u64,
    /// Steps between two checkpoints; 0: at the end of each epoch only.
    pub checkpoint_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 128,
            accumulate: 1,
            seed: 1,
            precision: Precision::Fp32,
            device: DeviceChoice::Auto,
            deterministic: false,
            graphs: true,
            sync_batch_norm: false,
            label_smoothing: 0.0,
            class_weights: ClassWeights::Equal,
            path_gradients: PathGradients::Full,
            path_loss: 0.0,
            metric: MetricName::Accuracy,
            patience: 0,
            mixup: 0.0,
            cutmix: 0.0,
            mix_probability: 1.0,
            clip_norm: 0.0,
            ema: None,
            threads: 0,
            tune_paths: false,
            log_every: 20,
            checkpoint_every: 0,
        }
    }
}

impl Recipe {
    /// The learning rates of a run whose epochs have so many steps.
    pub fn rates(&self, steps_per_epoch: u64) -> Schedule {
        Schedule::new(&self.schedule, self.optimiser.lr, self.train.epochs, steps_per_epoch)
    }
}

impl TrainConfig {
    /// Steps of the optimiser in an epoch of so many batches.
    pub fn steps(&self, batches: usize) -> u64 {
        batches.div_ceil(self.accumulate) as u64
    }

    /// How the images of a batch are mixed, if they are.
    pub fn mix(&self) -> Option<BatchMix> {
        let mixup = (self.mixup > 0.0).then_some(Mixup { alpha: self.mixup });
        let cutmix = (self.cutmix > 0.0).then_some(CutMix { alpha: self.cutmix });
        let mix = BatchMix { mixup, cutmix, probability: self.mix_probability };
        (mixup.is_some() || cutmix.is_some()).then_some(mix)
    }
}

/// Averages of the weights over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// How much of an average each step keeps; less in the first steps.
    pub decay: f64,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { decay: 0.9999 }
    }
}

/// How much of the gradient each path of a network, and each member of an ensemble, gets.
///
/// The answer of P paths is the mean of their logits, and the loss of an ensemble the mean of its members' losses, so that
/// each path or member has a gradient of 1/P of what it would have alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathGradients {
    /// As much as if its answer were the whole network's: the gradient is that of P times the loss. A path then learns as fast
    /// as a network of one path does at the same rate, and members are the networks that they would be alone.
    #[default]
    Full,
    /// 1/P of that, as runs of earlier versions had it, which go on with it.
    Mean,
}
