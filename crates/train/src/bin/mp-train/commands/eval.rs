//! `mp-train eval`.

use mp_train::{RunFolder, evaluate};
use serde_json::json;

use crate::args::Eval;
use crate::output::{self, thousands};

pub(crate) fn run(args: Eval) -> anyhow::Result<()> {
    let folder = RunFolder::open(&args.run)?;
    let recipe = folder.recipe()?;
    let cache = args.data_dir.resolve_for(&recipe.data.name)?;
    let (split, found) = evaluate::of_run(&folder, args.checkpoint.into(), args.split.into(), &cache)?;
    if args.json {
        return output::json(&json!({
            "model": recipe.model.name,
            "data": recipe.data.name,
            "split": split,
            "images": found.images,
            "correct": found.correct,
            "accuracy": found.accuracy(),
            "loss": found.loss,
        }));
    }
    output::text(&format!(
        "{} on {} {split} images of {}: accuracy {:.2}% ({} right), loss {:.4}",
        recipe.model.name,
        thousands(found.images),
        recipe.data.name,
        100.0 * found.accuracy(),
        thousands(found.correct),
        found.loss,
    ))
}
