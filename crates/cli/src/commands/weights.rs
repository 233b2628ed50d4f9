//! `mp-train weights`.

use std::path::{Path, PathBuf};

use mp_train::apply::{self, Names};
use mp_train::folder::OutputFile;
use mp_train::machine::DeviceChoice;
use mp_train::{RunFolder, Spec};

use crate::args::Weights;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Weights) -> anyhow::Result<()> {
    // One of the two is required.
    let file: PathBuf = args.out.as_ref().or(args.file.as_ref()).cloned().unwrap_or_default();
    let names = args.names.map_or(Names::Own, Names::from);
    let folder = Path::new(&args.source);
    // No name of a model has a slash.
    let is_run = folder.is_dir() || args.source.contains('/');
    let read: &[&Path] = if is_run { &[folder] } else { &[] };
    let output = OutputFile::new(&file, args.force, read)?;
    let (model, parameters) = if is_run {
        let trained = super::trained(&RunFolder::open(folder)?, args.checkpoint, args.ema, DeviceChoice::Cpu)?;
        let model = trained.identity.model.clone();
        let parameters = output.write_by(|file| apply::save_weights(&model, trained.store(), names, file))?;
        (model, parameters)
    } else {
        let model: Spec = args.source.parse()?;
        let parameters = output.write_by(|file| apply::save_starting_weights(&model, args.seed, names, file))?;
        (model.to_string(), parameters)
    };
    let said = format!("{model}: {} parameters in {}", thousands(parameters), file.display());
    output::text_beside(&output, &said)
}
