//! A model with its routing, in one word.

use std::fmt;
use std::str::FromStr;

use mp_zoo::RoutingConfig;

use super::{Override, Recipe, ensure_routes};
use crate::Error;

/// A model of the zoo and how it routes, written `NAME[@KEY=VALUE]...`: `resnet20_x3_cc`,
/// `resnet20_x3_cc@positions=blocks`, `resnet20_x3_cp@positions=["stage2"]@form=gated`. The keys are those of a recipe's
/// `model.routing`; what is not said is its default.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name in the zoo, which is not checked here.
    pub name: String,
    /// How it routes.
    pub routing: RoutingConfig,
    text: String,
}

impl Spec {
    /// A model that routes so; it is written as its name alone.
    pub fn new(name: &str, routing: RoutingConfig) -> Self {
        Self { name: name.to_owned(), routing, text: name.to_owned() }
    }
}

impl FromStr for Spec {
    type Err = Error;

    /// # Errors
    /// [`Error::Recipe`] for a key or value that routing does not have.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |message| Error::Recipe { origin: text.to_owned(), message };
        let mut parts = text.split('@');
        let name = parts.next().unwrap_or_default().to_owned();
        let overrides: Vec<Override> = parts
            .map(|part| match part.split_once('=') {
                Some((key, _)) if !key.trim().is_empty() => format!("model.routing.{}", part.trim()).parse(),
                _ => Err(format!("\"{part}\" after the @, expected KEY=VALUE, for example positions=blocks")),
            })
            .collect::<Result<_, _>>()
            .map_err(refuse)?;
        let recipe = Recipe::merged(None, &overrides).map_err(|error| match error {
            Error::Recipe { message, .. } => refuse(message),
            other => other,
        })?;
        let routing = recipe.model.routing;
        ensure_routes(&name, &routing)?;
        Ok(Self { name, routing, text: text.to_owned() })
    }
}

impl fmt::Display for Spec {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_zoo::Positions;

    fn message(text: &str) -> String {
        text.parse::<Spec>().unwrap_err().to_string()
    }

    #[test]
    fn routing_follows_the_name() {
        let plain: Spec = "resnet20_x3_cc".parse().unwrap();
        assert_eq!((plain.name.as_str(), plain.routing), ("resnet20_x3_cc", RoutingConfig::default()));

        let spec: Spec = "resnet20_x3_cp@positions=blocks@form=gated".parse().unwrap();
        assert_eq!(spec.name, "resnet20_x3_cp");
        assert_eq!(spec.routing.positions, Positions::Blocks);
        assert_eq!(spec.routing.form, mp_routing::Form::Gated);
        assert_eq!(spec.to_string(), "resnet20_x3_cp@positions=blocks@form=gated");

        let listed: Spec = r#"x@positions=["stage2", "stage3.1"]"#.parse().unwrap();
        assert_eq!(listed.routing.positions, Positions::List(vec!["stage2".to_owned(), "stage3.1".to_owned()]));
    }

    #[test]
    fn a_fault_is_named_with_what_was_expected() {
        let wrong = message("x@position=blocks");
        assert!(wrong.starts_with("x@position=blocks: unknown key `position`, did you mean `positions`?"), "{wrong}");
        assert!(message("x@positions=block").contains("expected \"stages\", \"blocks\" or a list"));
        for text in ["x@blocks", "x@", "x@=blocks"] {
            assert!(message(text).ends_with("expected KEY=VALUE, for example positions=blocks"), "{}", message(text));
        }
    }
}
