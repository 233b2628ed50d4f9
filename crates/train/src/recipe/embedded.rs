//! The recipes that come with the binary.

/// A recipe that comes with the binary.
#[derive(Debug)]
pub struct Embedded {
    /// What `mp-train train` calls it.
    pub name: &'static str,
    /// Its TOML text; the first line is a comment that says what it is for.
    pub text: &'static str,
}

impl Embedded {
    /// What it is for, in one sentence.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

/// All of them, in the order in which they are listed.
pub fn embedded() -> &'static [Embedded] {
    &[
        Embedded { name: "quickstart", text: include_str!("../../recipes/quickstart.toml") },
        Embedded { name: "digits", text: include_str!("../../recipes/digits.toml") },
        Embedded { name: "digits-aig", text: include_str!("../../recipes/digits-aig.toml") },
        Embedded { name: "digits-skipnet", text: include_str!("../../recipes/digits-skipnet.toml") },
        Embedded { name: "cifar10-resnet20", text: include_str!("../../recipes/cifar10-resnet20.toml") },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_embedded_recipe_is_valid_and_survives_a_round_trip() {
        for recipe in embedded() {
            let resolved = Recipe::resolve(Some(recipe.name), &[]).unwrap();
            let text = resolved.to_toml().unwrap();
            assert_eq!(Recipe::from_toml(&text, "recipe.toml").unwrap(), resolved, "{}", recipe.name);
            assert!(recipe.text.starts_with("# ") && recipe.summary().ends_with('.'), "{}", recipe.name);
        }
    }
}
