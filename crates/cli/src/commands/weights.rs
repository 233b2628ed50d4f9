//! `mp-train weights`.

use mp_train::apply;
use mp_train::folder::OutputFile;

use crate::args::Weights;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Weights) -> anyhow::Result<()> {
    let output = OutputFile::new(&args.file, args.force, &[])?;
    let parameters = output.write_by(|file| apply::save_starting_weights(&args.model, args.seed, file))?;
    let said = format!("{}: {} parameters in {}", args.model, thousands(parameters), args.file.display());
    output::text_beside(&output, &said)
}
