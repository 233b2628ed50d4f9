//! `mp-train weights`.

use mp_train::trained;

use crate::args::Weights;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Weights) -> anyhow::Result<()> {
    let parameters = trained::save_starting_weights(&args.model, args.seed, &args.file)?;
    output::text(&format!("{}: {} parameters in {}", args.model, thousands(parameters), args.file.display()))
}
