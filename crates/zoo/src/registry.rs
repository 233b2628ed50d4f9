//! The list of models.

use crate::{InputSize, Make, Mechanism, Size, families, mechanisms};

/// A listed model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub summary: String,
    /// The input that it was made for.
    pub native: InputSize,
}

/// Numbers of paths that are listed, and of members; names with others are built as well.
const LISTED: [(usize, &str); 2] = [(2, "two"), (3, "three")];

/// Every listed model: each family by itself, twice as large, and in its multi-path forms.
pub fn models() -> Vec<ModelInfo> {
    let mut models = Vec::new();
    for family in families() {
        let mut list = |suffix: String, summary: String| {
            models.push(ModelInfo { name: format!("{}{suffix}", family.name), summary, native: family.native });
        };
        list(String::new(), family.summary.to_owned());
        let knob = &family.knob;
        list(format!("_{}{}", knob.letter, 2 * knob.default), "twice as wide".to_owned());
        if let Make::Chain(make) = family.make {
            let size = Size { name: family.name, value: knob.default, published: knob.default };
            let plan = make(&size, &family.native.into());
            for (paths, number) in LISTED {
                list(format!("_x{paths}"), format!("{number} paths without routing"));
                let fits = |mechanism: &&Mechanism| plan.as_ref().is_ok_and(|plan| mechanism.fits(plan));
                for mechanism in mechanisms().into_iter().filter(fits) {
                    let summary = format!("{number} paths, {}", mechanism.summary);
                    list(format!("_x{paths}_{}", mechanism.suffix), summary);
                }
            }
        }
        for (members, number) in LISTED {
            list(format!("_e{members}"), format!("ensemble of {number}"));
        }
    }
    models
}
