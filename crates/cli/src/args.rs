//! The command line.

mod compare;
mod doctor;
mod eval;
mod launch;
mod models;

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use mp_train::Spec;
use mp_train::apply::Names;
use mp_train::bench::Pass;
use mp_train::checkpoint::Which;
use mp_train::recipe::{DeviceChoice, Override, Precision};

use crate::commands::Command;

pub(crate) use compare::Compare;
pub(crate) use doctor::Doctor;
pub(crate) use eval::{Eval, Images};
pub(crate) use launch::{Launch, Waits};
pub(crate) use models::{By, Models};

/// Trains, evaluates, applies and times multi-path networks.
#[derive(Parser)]
#[command(
    name = "mp-train",
    version,
    about,
    max_term_width = 120,
    disable_help_subcommand = false,
    after_help = "\
Exit codes: 0 done; 1 the work failed, as when training diverges; 2 the command line, a file, the data or the system does
not allow it; 128 + N training was stopped by signal N and can be resumed (130 after Ctrl-C)."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where networks run.
#[derive(Clone, Copy, ClapArgs)]
pub(crate) struct OnDevice {
    /// Where the network runs: auto (a GPU where there is one), cpu, cuda, or a number such as cuda:1
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceChoice,
}

/// Where downloaded data sets are.
#[derive(Clone, ClapArgs)]
pub(crate) struct DataDir {
    /// Folder of downloaded data sets [default: $MULTIPATH_DATA, or multipath/data in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train train quickstart
  mp-train train mine.toml --set train.epochs=30 --set optimiser.lr=0.05
  mp-train train --model resnet20_x3_cc --data cifar10 --out runs/mine
  mp-train train --model resnet18 --init resnet18.pth --data my/folder
  mp-train train --model resnet18_x2_cc --init resnet18.pth --data my/folder
  mp-train train --resume --out runs/mine
  mp-train train --resume --out runs/mine --set train.epochs=60
  mp-train train --resume --out runs/mine --data /new/place
  mp-train train --resume --out runs/mine --from best
  mp-train train mine.toml --out runs/mine --auto-resume

Recipes that come with the binary: quickstart, digits, digits-aig, digits-skipnet, cifar10-resnet20.
Ctrl-C saves the run and ends it, and so do SIGTERM, SIGHUP and SIGUSR1; --resume continues it as if it had never
stopped. A run that is continued keeps its recipe, in which --data and --set may change the place of the data,
train.epochs, and what changes no number, such as data.workers or train.checkpoint_every. Anything else would be
another run, and is refused.")]
pub(crate) struct Train {
    /// A recipe that comes with the binary, or the path of a .toml file
    pub(crate) recipe: Option<String>,
    /// The model, in place of the recipe's model.name
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The data set's name or path, in place of the recipe's data.name
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Weights that a new run starts from (.safetensors, .pth, .pt, .th), in place of the recipe's model.init; those of a single
    /// network start every path or member that is made of it
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) init: Option<String>,
    /// Whose names the tensors in --init have, such as torchvision or timm [default: found by trying]
    #[arg(long, value_name = "NAME", requires = "init")]
    pub(crate) scheme: Option<String>,
    /// Change one key of the recipe; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// The run folder [default: the next of runs/NAME, runs/NAME-2, ...]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continue the run in --out, or the recipe's latest, from its last checkpoint
    #[arg(long)]
    pub(crate) resume: bool,
    /// Continue the run in --out, or the recipe's latest, if there is one, and start it otherwise: for jobs that are requeued
    #[arg(long, conflicts_with = "resume")]
    pub(crate) auto_resume: bool,
    /// Continue from this checkpoint, and drop what the run has reported since
    #[arg(long, value_enum, value_name = "STATE", requires = "resume")]
    pub(crate) from: Option<State>,
    /// Where the network runs, in place of the recipe's train.device: auto, cpu, cuda, or a number such as cuda:1
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
    /// Save and end when standard input ends, for programs that start runs and may be killed themselves
    #[arg(long)]
    pub(crate) stop_with_input: bool,
    #[command(flatten)]
    pub(crate) waits: Waits,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
}

/// Whose names a file's tensors get.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PublicNames {
    /// Those of torchvision
    Torchvision,
    /// Those of timm
    Timm,
}

impl From<PublicNames> for Names {
    fn from(names: PublicNames) -> Self {
        match names {
            PublicNames::Torchvision => Self::Torchvision,
            PublicNames::Timm => Self::Timm,
        }
    }
}

/// Which state of a run.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum State {
    /// The last checkpoint
    Last,
    /// The checkpoint of the epoch with the greatest validation accuracy
    Best,
}

impl From<State> for Which {
    fn from(state: State) -> Self {
        match state {
            State::Last => Self::Last,
            State::Best => Self::Best,
        }
    }
}

#[derive(ClapArgs)]
#[command(
    override_usage = "mp-train predict [OPTIONS] RUN INPUT...\n       mp-train predict [OPTIONS] --model MODEL --weights FILE INPUT...",
    after_help = "\
Examples:
  mp-train predict runs/quickstart photo.png other.jpg --top 3
  mp-train predict runs/quickstart my/folder --csv --top 1 > classes.csv
  find my/folder -name '*.png' | mp-train predict runs/quickstart --list -
  mp-train predict runs/quickstart batch.npy --logits logits.npy
  mp-train predict --model resnet20 --weights runs/mine/checkpoints/best.safetensors photo.png

Pictures are read, brought to the network's size and normalised exactly as eval does. A .npy array is float32
[B, C, H, W], normalised already, or uint8 pixels [B, H, W, C]. Results appear as they come, and memory does not grow
with the number of pictures. What cannot be read is named on standard error, and the exit code is 1 in the end; with
--logits it ends the command."
)]
pub(crate) struct Predict {
    /// The run folder, unless --weights is given; then images (PNG, JPEG, BMP, WebP), folders of them, or .npy tensors
    #[arg(required_unless_present = "weights", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also the images named in a file, a path a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// The model whose weights are in --weights, with its routing as bench takes it; a checkpoint knows its own routing
    #[arg(long, requires = "weights", value_parser = spec)]
    pub(crate) model: Option<Spec>,
    /// A checkpoint, or a file with the model's weights (.safetensors, .pth, .pt, .th)
    #[arg(long, value_name = "FILE", requires = "model")]
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
    /// Let images skip as much as `eval --budget` found for this share of the multiply-adds
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "weights")]
    pub(crate) budget: Option<f64>,
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// How many classes to show of each image
    #[arg(long, default_value_t = 5, value_name = "K", value_parser = count(1, 1_000_000))]
    pub(crate) top: usize,
    /// Write the logits [B, N] to a .npy file in place of the table
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "json"])]
    pub(crate) logits: Option<PathBuf>,
    /// Replace the file of --logits if it is there already
    #[arg(long)]
    pub(crate) force: bool,
    /// Print CSV: image, rank, class, probability
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train routes runs/quickstart
  mp-train routes runs/quickstart --classes
  mp-train routes runs/quickstart --worth
  mp-train routes runs/quickstart --worth --split test --json")]
pub(crate) struct Routes {
    /// The run folder
    pub(crate) run: PathBuf,
    /// Also show the mean gates of each class
    #[arg(long)]
    pub(crate) classes: bool,
    /// Also judge the last checkpoint with frozen, shuffled and uniform routes, as eval --routes does: accuracy falls by what
    /// the network's own are worth
    #[arg(long)]
    pub(crate) worth: bool,
    /// Which images --worth judges: those that validated the run, or the test images of the data set
    #[arg(long, value_enum, default_value = "valid", requires = "worth")]
    pub(crate) split: Images,
    /// The data set's name or path for --worth, in place of the run's
    #[arg(long, requires = "worth")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) on: OnDevice,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train weights resnet20_x3_cc start.safetensors
  mp-train weights resnet20_x3_cc@positions=blocks start.safetensors --seed 7
  mp-train weights runs/mine --checkpoint best --as torchvision --out resnet18.safetensors

Those of a model are the ones that training starts from under the same train.seed, and that bench times; those of a run are
what it has learnt, without the state of its training.")]
pub(crate) struct Weights {
    /// Name of a model, with its routing as bench takes it, or a run folder
    #[arg(value_name = "MODEL|RUN")]
    pub(crate) source: String,
    /// The safetensors file to write
    #[arg(value_name = "FILE", required_unless_present = "out")]
    pub(crate) file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) out: Option<PathBuf>,
    /// Write them under public names, which single networks have [default: our own names]
    #[arg(long = "as", value_enum, value_name = "NAMES")]
    pub(crate) names: Option<PublicNames>,
    /// Which state of the run
    #[arg(long, value_enum, default_value = "last")]
    pub(crate) checkpoint: State,
    /// Its averaged weights, which a run trained with [train.ema] has
    #[arg(long)]
    pub(crate) ema: bool,
    /// Replace a file that is there already
    #[arg(long)]
    pub(crate) force: bool,
    /// What they are drawn from
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: u64,
}

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train bench resnet20 resnet20_x3 resnet20_x3_cc
  mp-train bench resnet20_x3 resnet20_x3_cc --precision bf16 --batch 64 --json
  mp-train bench resnet20_x3 resnet20_x3_cc resnet20_x3_cc@positions=blocks
  mp-train bench resnet20_x3_cc@positions=blocks --precision bf16 --profile
  mp-train bench resnet20_x3_cc --precision bf16 --explain

A model is NAME, or NAME@KEY=VALUE with a key of a recipe's model.routing; more may follow: NAME@KEY=VALUE@KEY=VALUE.
Each round times every model once, so that all of them meet the same state of the machine. The first rounds are not
counted.")]
pub(crate) struct Bench {
    /// Names of models, each with its routing if need be; ratios are to the first
    #[arg(required = true, value_name = "MODEL", value_parser = spec)]
    pub(crate) models: Vec<Spec>,
    /// Time training steps: forward, loss, backward, optimiser (the default)
    #[arg(long, conflicts_with = "forward")]
    pub(crate) train: bool,
    /// Time forward passes in evaluation
    #[arg(long)]
    pub(crate) forward: bool,
    /// Number format of the forward pass: fp32 or bf16; on a GPU tf32 or fp16 too
    #[arg(long, default_value = "fp32", value_parser = precision)]
    pub(crate) precision: Precision,
    /// Images of one pass
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = count(1, 65_536))]
    pub(crate) batch: usize,
    /// Rounds that are counted
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count(1, 1_000_000))]
    pub(crate) rounds: usize,
    /// Passes of a model in a round between two waits for the device; the time of a round is their mean
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count(1, 10_000), conflicts_with = "profile")]
    pub(crate) passes: usize,
    #[command(flatten)]
    pub(crate) on: OnDevice,
    /// On a GPU, start a training step op by op, not as a whole
    #[arg(long, conflicts_with = "forward")]
    pub(crate) no_graphs: bool,
    /// On a GPU, compute with libtorch's operations alone, not with kernels of our own
    #[arg(long)]
    pub(crate) no_kernels: bool,
    /// On a GPU, compute gates with our own kernel too, which no GPU has run yet: check it with --agree
    #[arg(long, conflicts_with = "no_kernels")]
    pub(crate) gate_kernels: bool,
    /// Threads of libtorch; 0: as many as the process may use
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = count(0, 256))]
    pub(crate) threads: usize,
    /// Also time products of large matrices: the machine's peak, next to GFLOP/s of the models
    #[arg(long)]
    pub(crate) peak: bool,
    /// Let the images of models that skip layers skip so much that they cost this share of the multiply-adds on average
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "forward")]
    pub(crate) budget: Option<f64>,
    /// In place of timing, show how far the device is from the CPU in float32: logits, gradients and a step from the same weights
    #[arg(long, conflicts_with_all = ["peak", "profile", "explain", "forward", "budget", "weights"])]
    pub(crate) agree: bool,
    /// Show the time of each kind of op in place of the comparison
    #[arg(long, conflicts_with = "peak")]
    pub(crate) profile: bool,
    /// Show, layer by layer, which way of computing the parallel paths is the quickest here, measured once a machine; of models
    /// that skip blocks, what skipping saves in each
    #[arg(long, conflicts_with_all = ["peak", "profile", "forward"])]
    pub(crate) explain: bool,
    /// Weights that every model starts from (.safetensors, .pth, .pt, .th), as train --init takes them
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    pub(crate) weights: Option<PathBuf>,
    /// Whose names the tensors in --weights have, such as torchvision or timm [default: found by trying]
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub(crate) scheme: Option<String>,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Take turns with another program: see benches/peers
    #[arg(long, conflicts_with_all = ["peak", "profile", "explain", "json"], hide = true)]
    pub(crate) turns: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Data {
    /// Fetch a known data set into the cache
    #[command(after_help = "\
Examples:
  mp-train data fetch fashion-mnist
  mp-train data fetch cifar10 --data-dir /data
  mp-train data fetch emnist-letters

A broken download goes on where it stopped; every file is checked before it is used. What is there already is checked
and kept.")]
    Fetch {
        /// fashion-mnist, mnist, emnist-balanced (-byclass, -bymerge, -digits, -letters, -mnist), cifar10, cifar100, svhn, stl10,
        /// imagenette, tiny-imagenet; imagenet and qmnist must be brought, and are answered with how
        name: String,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Show what a data set holds: counts, sizes, channel means, damaged images, files that are not used
    #[command(after_help = "\
Examples:
  mp-train data inspect digits
  mp-train data inspect my/folder --sheet sheet.png --force
  mp-train data inspect cifar10 --json")]
    Inspect {
        /// A known name, or the path of a data set
        name: String,
        /// Also draw some images of every class into a PNG file
        #[arg(long, value_name = "FILE")]
        sheet: Option<PathBuf>,
        /// Replace the file of --sheet if it is there already
        #[arg(long)]
        force: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Write a data set into one file that is read where it lies
    #[command(after_help = "\
Examples:
  mp-train data pack my/folder my.mpd --size 160
  mp-train data pack my/folder my.mpd --encoded --force
  mp-train train --model resnet18 --data my.mpd --set data.size=112

Images of one size are stored as pixels, unless --encoded keeps the JPEG, PNG, WebP or BMP files that they are. Those
of several sizes are stored as these files, unless --size brings them to one. The file appears when it is whole.")]
    Pack {
        /// A known name, or the path of a data set
        name: String,
        /// The file to write; its name ends with .mpd
        #[arg(value_name = "OUT")]
        out: PathBuf,
        /// Scale the shorter side of each image to so many pixels and cut out the middle
        #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
        size: Option<u32>,
        /// Keep the bytes of the image files
        #[arg(long, conflicts_with = "size")]
        encoded: bool,
        /// Replace a file that is there already
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data_dir: DataDir,
    },
}

impl Bench {
    pub(crate) fn pass(&self) -> Pass {
        if self.forward { Pass::Forward } else { Pass::Train }
    }
}

/// A whole number in a range: what is refused names both.
fn count(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number, such as 0.6".to_owned())?;
    if number > 0.0 && number <= 1.0 { Ok(number) } else { Err("expected a number, above 0 and at most 1".to_owned()) }
}

fn spec(text: &str) -> Result<Spec, String> {
    text.parse().map_err(|error: mp_train::Error| error.to_string())
}

fn precision(text: &str) -> Result<Precision, String> {
    Precision::ALL
        .into_iter()
        .find(|precision| precision.name() == text)
        .ok_or_else(|| "expected fp32, tf32, bf16 or fp16".to_owned())
}
