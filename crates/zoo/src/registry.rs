//! The list of models.

use crate::{FAMILIES, InputSize};

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

/// What is listed of every family; names with other widths, numbers of paths and members are built as well.
const VARIANTS: &[(&str, &str)] = &[
    ("", ""),
    ("_x2", "two paths without routing"),
    ("_x2_cc", "two paths, cross-connections"),
    ("_x2_cp", "two paths, cross-predictions"),
    ("_x2_stitch", "two paths, learned mixing that ignores the input"),
    ("_x3", "three paths without routing"),
    ("_x3_cc", "three paths, cross-connections"),
    ("_x3_cp", "three paths, cross-predictions"),
    ("_x3_stitch", "three paths, learned mixing that ignores the input"),
    ("_e2", "ensemble of two"),
    ("_e3", "ensemble of three"),
];

/// Every listed model: each family by itself, twice as wide, and in its multi-path forms.
pub fn models() -> Vec<ModelInfo> {
    let mut models = Vec::new();
    for family in FAMILIES {
        let wide = (format!("_w{}", 2 * family.width), "twice as wide");
        let variants = VARIANTS.iter().map(|(suffix, what)| ((*suffix).to_owned(), *what));
        for (suffix, what) in
            variants.take(1).chain([wide]).chain(VARIANTS.iter().skip(1).map(|(s, w)| ((*s).to_owned(), *w)))
        {
            let summary = if what.is_empty() { family.summary.to_owned() } else { what.to_owned() };
            models.push(ModelInfo { name: format!("{}{suffix}", family.name), summary, native: family.native });
        }
    }
    models
}
