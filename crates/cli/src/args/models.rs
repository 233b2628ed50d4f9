//! The arguments of `mp-train models`.

use clap::{Args as ClapArgs, ValueEnum};
use mp_train::Spec;

/// A cost by which models are matched.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Numbers that are trained
    #[default]
    Parameters,
    /// Multiply-adds of one image
    MultiplyAdds,
    /// Milliseconds of a training step of 32 images on this machine, measured in turns
    Ms,
}

#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  mp-train models
  mp-train models resnet20_x3
  mp-train models resnet20_w28_x3_cc
  mp-train models resnet20_x3_cc@positions=blocks
  mp-train models --match resnet20_x3_cc
  mp-train models resnet --match resnet20_x3_cc --by multiply-adds

Names are base[_wWIDTH][_xPATHS[_cc|_cp|_stitch|_blind] | _eMEMBERS]. Any such name builds, also with widths, paths and
members that are not listed, and is shown with its cost where it is given in full.")]
pub(crate) struct Models {
    /// Models whose name contains this, with their forms, and the model of this name; without it, each family's own network
    pub(crate) pattern: Option<String>,
    /// List the size of every family that comes nearest to this model's cost, for the same images
    #[arg(long = "match", value_name = "MODEL")]
    pub(crate) to: Option<Spec>,
    /// The cost that is matched
    #[arg(long, value_enum, default_value_t, requires = "to")]
    pub(crate) by: By,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
