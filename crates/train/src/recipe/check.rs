//! What a recipe must be before anything is read or written.

use std::fmt::Display;

use mp_zoo::{ModelName, Positions, Variant};

use super::{DataConfig, HintsConfig, ModelConfig, ProcedureConfig, Recipe, RoutingConfig, numbers};
use crate::Error;

impl Recipe {
    /// Checks every value that can be checked without opening the data: each number by itself ([`NUMBERS`](super::NUMBERS)),
    /// then what must fit together.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        numbers::check(&self.to_table()?)?;
        self.check_model()?;
        self.check_data()?;
        self.check_procedure()?;
        self.optimiser.check()?;
        self.finetune.check()?;
        self.schedule.check(self.optimiser.lr, self.train.epochs)?;
        self.routing_loss
            .check()
            .map_err(|error| Error::Recipe { origin: "routing_loss".to_owned(), message: error.to_string() })
    }

    fn check_model(&self) -> Result<(), Error> {
        let ModelConfig { name, routing, init, init_scheme, .. } = &self.model;
        ensure(!name.is_empty(), "model.name", "empty", "a name that `mp-train models` lists")?;
        self.model.start()?;
        let alone = init.is_empty() && !init_scheme.is_empty();
        ensure(!alone, "model.init_scheme", init_scheme, "a file of weights beside it, as model.init")?;
        ensure_routes(name, routing)
    }

    fn check_procedure(&self) -> Result<(), Error> {
        let teacher = self.procedure.teacher();
        ensure(teacher != Some(""), "procedure.teacher", "empty", "the run folder of a trained network")?;
        let epochs = match &self.procedure {
            ProcedureConfig::Hints(HintsConfig { hint, guided, epochs, .. }) => {
                ensure(!hint.is_empty(), "procedure.hint", "empty", "a position in the teacher, such as stage2")?;
                ensure(!guided.is_empty(), "procedure.guided", "empty", "a position in the network, such as stage2")?;
                *epochs
            }
            ProcedureConfig::ScoreFunction(config) => config.epochs,
            ProcedureConfig::Supervised | ProcedureConfig::Distillation(_) => 0,
        };
        let expected = format!("at most train.epochs, which is {}", self.train.epochs);
        ensure(epochs <= self.train.epochs, "procedure.epochs", epochs, &expected)
    }

    fn check_data(&self) -> Result<(), Error> {
        let DataConfig { name, mean, std, .. } = &self.data;
        ensure(!name.is_empty(), "data.name", "empty", "a data set's name or the path of a folder or file")?;
        ensure(mean.len() == std.len(), "data.mean", format!("{mean:?}"), "as many numbers as data.std has")
    }
}

/// Fails for a model that is to route and has no place where it could.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn ensure_routes(name: &str, routing: &RoutingConfig) -> Result<(), Error> {
    // A name that is none is answered when the model is built.
    let routed = name.parse::<ModelName>().is_ok_and(|name| match name.variant {
        Variant::Paths { mechanism, .. } => mechanism.is_some(),
        Variant::Single | Variant::Ensemble { .. } => false,
    });
    let nowhere = matches!(&routing.positions, Positions::List(positions) if positions.is_empty());
    let expected = format!("\"stages\", \"blocks\" or at least one position: `{name}` routes");
    ensure(!(routed && nowhere), "model.routing.positions", "[]", &expected)
}

fn ensure(valid: bool, key: &'static str, value: impl Display, expected: &str) -> Result<(), Error> {
    if valid {
        return Ok(());
    }
    Err(Error::Invalid { key, value: value.to_string(), expected: expected.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let mut recipe = Recipe::from_toml(text, "").unwrap();
        recipe.model.name = "resnet20".to_owned();
        recipe.data.name = "digits".to_owned();
        recipe.check().unwrap_err().to_string()
    }

    #[test]
    fn the_message_names_key_value_and_range() {
        for (text, expected) in [
            ("[train]\nepochs = 0", "train.epochs is 0, expected a whole number of epochs, 1 to 1000000"),
            (
                "[train]\nepochs = 4611686018427387904",
                "train.epochs is 4611686018427387904, expected a whole number of epochs, 1 to 1000000",
            ),
            (
                "[data]\nlimit = 9223372036854775807",
                "data.limit is 9223372036854775807, expected a whole number of images, 0 to 1000000000",
            ),
            (
                "[train]\nlabel_smoothing = 1.0",
                "train.label_smoothing is 1.0, expected a number, at least 0 and below 1",
            ),
            ("[train]\nmixup = -0.2", "train.mixup is -0.2, expected a number, 0.001 to 1000, or 0 for off"),
            ("[data]\nsize = 5000", "data.size is 5000, expected a whole number of pixels, 0 to 4096"),
            ("[data]\ncrop = 1.5", "data.crop is 1.5, expected a number, 0.01 to 1, or 0 for the default"),
            ("[data]\nmean = [0.5]", "data.mean is [0.5], expected as many numbers as data.std has"),
            ("[data]\nmean = [0.5]\nstd = [0.0]", "data.std is [0.0], expected a number, 1e-6 to 1000"),
            ("[optimiser]\nlr = nan", "optimiser.lr is nan, expected a number, above 0 and at most 1e30"),
            ("[optimiser]\nmomentum = 0.0", "optimiser.momentum is 0, expected above 0, or optimiser.nesterov = false"),
            (
                "[schedule]\nwarmup_epochs = 11.0",
                "schedule.warmup_epochs is 11, expected at most train.epochs, which is 10",
            ),
            ("[schedule]\nmin_lr = 0.5", "schedule.min_lr is 0.5, expected at most optimiser.lr, 0.1"),
            (
                "[schedule]\nname = \"step\"",
                "schedule.milestones is [], expected one or more epochs, such as [100, 150]",
            ),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_checked_whether_they_matter_or_not() {
        for (text, key) in [
            ("[optimiser]\nname = \"adamw\"\nbetas = [0.9, nan]", "optimiser.betas is [0.9, nan]"),
            ("[schedule]\nname = \"step\"\ngamma = -1.0", "schedule.gamma is -1.0"),
            ("[data]\nsampler = \"sequential\"\nshard_group = 0", "data.shard_group is 0"),
            (
                "[data.augment.random_erasing]\nprobability = 0.0\nratio = [nan, 1.0]",
                "data.augment.random_erasing.ratio is",
            ),
            (
                "[data.augment.gaussian_blur]\nkernel = 4",
                "data.augment.gaussian_blur.kernel is 4, expected an odd number",
            ),
            (
                "[data.augment.random_resized_crop]\nscale = [0.9, 0.1]",
                "data.augment.random_resized_crop.scale is [0.9, 0.1]",
            ),
            ("[model.routing.mixer]\nkind = \"learned\"\ntemperature = nan", "model.routing.mixer.temperature is nan"),
            ("[routing_loss]\nload_sigma = 0.0", "routing_loss.load_sigma is 0.0"),
        ] {
            assert!(message(text).starts_with(key), "{text}: {}", message(text));
        }
    }

    #[test]
    fn a_model_that_routes_needs_a_place_for_it() {
        for name in ["resnet20_x3_cc", "base_cnn_x2_cp", "vgg13_unbiased_cifar_x2_stitch", "resnet20_x3_blind"] {
            let mut recipe =
                Recipe::from_toml("[model.routing]\npositions = []\n[data]\nname = \"digits\"", "").unwrap();
            recipe.model.name = name.to_owned();
            let expected = format!(
                "model.routing.positions is [], expected \"stages\", \"blocks\" or at least one position: `{name}` routes"
            );
            assert_eq!(recipe.check().unwrap_err().to_string(), expected);
            // Without routing, nothing reads them.
            recipe.model.name = "resnet20_x3".to_owned();
            recipe.check().unwrap();
        }
    }

    #[test]
    fn a_recipe_must_name_a_model_and_data() {
        let mut recipe = Recipe::default();
        assert!(recipe.check().unwrap_err().to_string().starts_with("model.name is empty, expected a name"));
        recipe.model.name = "resnet20".to_owned();
        assert!(recipe.check().unwrap_err().to_string().starts_with("data.name is empty, expected a data set's"));
        recipe.data.name = "digits".to_owned();
        recipe.check().unwrap();
    }
}
