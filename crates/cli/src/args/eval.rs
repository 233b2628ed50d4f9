//! The arguments of `mp-train eval`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use mp_train::Spec;
use mp_train::evaluate;
use mp_train::split::Split;

use super::{DataDir, OnDevice, State, share, spec};

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train eval runs/quickstart
  mp-train eval runs/quickstart --checkpoint best --split test --json
  mp-train eval runs/quickstart --classes --confusion
  mp-train eval runs/averaged --checkpoint best --ema
  mp-train eval runs/quickstart --routes frozen
  mp-train eval runs/quickstart --data elsewhere/of/the/data --predictions predictions.csv
  mp-train eval --model resnet18 --weights resnet18.safetensors --data my/folder
  mp-train eval --model resnet20 --weights resnet20_cifar10.pth --scheme pytorchcv-resnet --data cifar10

Images are brought to the network's size and normalised as the checkpoint says, exactly as predict does.")]
pub(crate) struct Eval {
    /// The run folder, unless --weights is given
    #[arg(required_unless_present = "weights", conflicts_with = "weights")]
    pub(crate) run: Option<PathBuf>,
    /// The data set's name or path, in place of the run's
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// The model whose weights are in --weights, with its routing as bench takes it; a checkpoint knows its own routing
    #[arg(long, requires = "weights", value_parser = spec)]
    pub(crate) model: Option<Spec>,
    /// A checkpoint, or a file with the model's weights (.safetensors, .pth, .pt, .th), in place of a run
    #[arg(long, value_name = "FILE", requires = "model", requires = "data")]
    pub(crate) weights: Option<PathBuf>,
    /// Whose names the tensors in --weights have, such as torchvision or timm [default: found by trying]
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub(crate) scheme: Option<String>,
    /// Which state of the run
    #[arg(long, value_enum, default_value = "last", conflicts_with = "weights")]
    pub(crate) checkpoint: State,
    /// Its averaged weights, which a run trained with [train.ema] has
    #[arg(long, conflicts_with = "weights")]
    pub(crate) ema: bool,
    /// Which images: those that validated the run, or the test images of the data set
    #[arg(long, value_enum, default_value = "valid")]
    pub(crate) split: Images,
    /// Which routes each image takes: its own, or others, under which accuracy falls by what its own are worth
    #[arg(long, value_enum, default_value = "own")]
    pub(crate) routes: RoutesFrom,
    /// What decides which image takes whose routes with --routes shuffled
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) routes_seed: u64,
    /// Let images skip so much that they cost this share of the multiply-adds on average: finds the threshold on held-out images,
    /// and keeps it with the run
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) budget: Option<f64>,
    /// Also show the accuracy of each class
    #[arg(long)]
    pub(crate) classes: bool,
    /// Also show which class is taken for which: a matrix or, of more than 20 classes, the pairs that are confused most
    #[arg(long)]
    pub(crate) confusion: bool,
    /// Write a line for each image: its file, its class, the predicted one, and the probabilities of all classes
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) predictions: Option<PathBuf>,
    /// Replace the file of --predictions if it is there already
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON, classes and confusion included
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) on: OnDevice,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
}

/// Which images a run is evaluated on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Images {
    /// Those that the run was validated on
    Valid,
    /// The test images of the data set
    Test,
}

impl From<Images> for Split {
    fn from(images: Images) -> Self {
        match images {
            Images::Valid => Self::Valid,
            Images::Test => Self::Test,
        }
    }
}

/// Which routes the images take that a network is judged by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoutesFrom {
    /// Those that the network takes itself
    Own,
    /// The mean of each layer's routes over all images, for every image
    Frozen,
    /// Those of another image
    Shuffled,
    /// All weights of a layer alike
    Uniform,
}

impl RoutesFrom {
    /// The routes, those of another image being drawn by `seed`.
    pub(crate) fn seeded(self, seed: u64) -> evaluate::Routes {
        match self {
            Self::Own => evaluate::Routes::Own,
            Self::Frozen => evaluate::Routes::Frozen,
            Self::Shuffled => evaluate::Routes::Shuffled { seed },
            Self::Uniform => evaluate::Routes::Uniform,
        }
    }
}
