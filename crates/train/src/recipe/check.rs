//! The range of every number in a recipe, checked before anything is read or written.

use std::fmt::Display;

use mp_data::Holdout;

use super::{OptimiserName, Recipe, ScheduleName};
use crate::Error;

impl Recipe {
    /// Checks every value that can be checked without opening the data.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        self.check_names()?;
        self.check_data()?;
        self.check_train()?;
        self.check_optimiser()?;
        self.check_schedule()?;
        self.routing_loss
            .check()
            .map_err(|error| Error::Recipe { origin: "routing_loss".to_owned(), message: error.to_string() })
    }

    fn check_names(&self) -> Result<(), Error> {
        let (model, data) = (&self.model.name, &self.data.name);
        ensure(!model.is_empty(), "model.name", "empty", "a name that `mp-train models` lists")?;
        ensure(!data.is_empty(), "data.name", "empty", "a data set's name or the path of a folder or file")
    }

    fn check_data(&self) -> Result<(), Error> {
        let data = &self.data;
        ensure(data.workers <= 4096, "data.workers", data.workers, "at most 4096")?;
        ensure((1..=1024).contains(&data.prefetch), "data.prefetch", data.prefetch, "1 to 1024 batches")?;
        ensure(data.size <= 4096, "data.size", data.size, "at most 4096 pixels, or 0 for the data set's size")?;
        let fits = match data.holdout {
            Holdout::Count(_) => true,
            Holdout::Fraction(share) => (0.0..1.0).contains(&share),
        };
        let expected = "a number of images, or a share below 1 such as 0.1";
        ensure(fits, "data.holdout", data.holdout, expected)?;
        let crop = data.crop;
        ensure((0.0..=1.0).contains(&crop), "data.crop", crop, "a share above 0 and at most 1, or 0 for the default")?;
        ensure(data.shard_group >= 1, "data.shard_group", data.shard_group, "at least 1 file")?;
        let (mean, std) = (&data.mean, &data.std);
        let given = format!("{mean:?}");
        ensure(mean.iter().all(|value| value.is_finite()), "data.mean", &given, "finite numbers, one per channel")?;
        ensure(mean.len() == std.len(), "data.mean", &given, "as many numbers as data.std has")?;
        let valid = std.iter().all(|value| value.is_finite() && *value > 0.0);
        ensure(valid, "data.std", format!("{std:?}"), "finite numbers above 0, one per channel")
    }

    fn check_train(&self) -> Result<(), Error> {
        let train = &self.train;
        ensure(train.epochs >= 1, "train.epochs", train.epochs, "at least 1")?;
        ensure(train.batch_size >= 1, "train.batch_size", train.batch_size, "at least 1")?;
        ensure(train.accumulate >= 1, "train.accumulate", train.accumulate, "at least 1 batch per step")?;
        ensure(train.log_every >= 1, "train.log_every", train.log_every, "at least 1 step")?;
        ensure(i64::try_from(train.seed).is_ok(), "train.seed", train.seed, "at most 9223372036854775807")?;
        ensure(train.threads <= 4096, "train.threads", train.threads, "at most 4096")?;
        let smoothing = train.label_smoothing;
        ensure((0.0..1.0).contains(&smoothing), "train.label_smoothing", smoothing, "at least 0 and below 1")?;
        for (key, alpha) in [("train.mixup", train.mixup), ("train.cutmix", train.cutmix)] {
            let valid = alpha == 0.0 || (0.001..=1000.0).contains(&alpha);
            ensure(valid, key, alpha, "0.001 to 1000, or 0 to turn it off")?;
        }
        let probability = train.mix_probability;
        ensure((0.0..=1.0).contains(&probability), "train.mix_probability", probability, "0 to 1")?;
        not_negative("train.clip_norm", train.clip_norm)
    }

    fn check_optimiser(&self) -> Result<(), Error> {
        let optimiser = &self.optimiser;
        positive("optimiser.lr", optimiser.lr)?;
        not_negative("optimiser.weight_decay", optimiser.weight_decay)?;
        match optimiser.name {
            OptimiserName::Sgd => {
                let momentum = optimiser.momentum;
                ensure((0.0..1.0).contains(&momentum), "optimiser.momentum", momentum, "at least 0 and below 1")?;
                let looks_ahead = !optimiser.nesterov || momentum > 0.0;
                ensure(looks_ahead, "optimiser.momentum", momentum, "above 0, or optimiser.nesterov = false")
            }
            OptimiserName::Adamw => {
                let betas = optimiser.betas;
                let valid = betas.iter().all(|beta| (0.0..1.0).contains(beta));
                ensure(valid, "optimiser.betas", format!("{betas:?}"), "two numbers of at least 0 and below 1")?;
                positive("optimiser.eps", optimiser.eps)
            }
        }
    }

    fn check_schedule(&self) -> Result<(), Error> {
        let schedule = &self.schedule;
        not_negative("schedule.warmup_epochs", schedule.warmup_epochs)?;
        let short = schedule.warmup_epochs <= self.train.epochs as f64;
        let expected = format!("at most train.epochs, which is {}", self.train.epochs);
        ensure(short, "schedule.warmup_epochs", schedule.warmup_epochs, &expected)?;
        not_negative("schedule.min_lr", schedule.min_lr)?;
        let lr = self.optimiser.lr;
        ensure(schedule.min_lr <= lr, "schedule.min_lr", schedule.min_lr, &format!("at most optimiser.lr, {lr}"))?;
        if schedule.name == ScheduleName::Step {
            positive("schedule.gamma", schedule.gamma)?;
            let milestones = &schedule.milestones;
            let valid = !milestones.is_empty() && milestones.iter().all(|epoch| epoch.is_finite() && *epoch >= 0.0);
            let expected = "one or more epochs, such as [100, 150]";
            ensure(valid, "schedule.milestones", format!("{milestones:?}"), expected)?;
        }
        Ok(())
    }
}

fn positive(key: &'static str, value: f64) -> Result<(), Error> {
    ensure(value.is_finite() && value > 0.0, key, value, "a finite number above 0")
}

fn not_negative(key: &'static str, value: f64) -> Result<(), Error> {
    ensure(value.is_finite() && value >= 0.0, key, value, "a finite number of at least 0")
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

    #[test]
    fn every_range_is_checked_and_the_message_names_key_value_and_range() {
        let cases = [
            ("[train]\nepochs = 0", "train.epochs is 0, expected at least 1"),
            ("[train]\nbatch_size = 0", "train.batch_size is 0, expected at least 1"),
            ("[train]\naccumulate = 0", "train.accumulate is 0, expected at least 1 batch per step"),
            ("[train]\nlog_every = 0", "train.log_every is 0, expected at least 1 step"),
            ("[train]\nlabel_smoothing = 1.0", "train.label_smoothing is 1, expected at least 0 and below 1"),
            ("[train]\nmixup = -0.2", "train.mixup is -0.2, expected 0.001 to 1000, or 0 to turn it off"),
            ("[train]\ncutmix = inf", "train.cutmix is inf, expected 0.001 to 1000, or 0 to turn it off"),
            ("[train]\nmix_probability = 1.5", "train.mix_probability is 1.5, expected 0 to 1"),
            ("[train]\nclip_norm = -1.0", "train.clip_norm is -1, expected a finite number of at least 0"),
            ("[data]\nprefetch = 0", "data.prefetch is 0, expected 1 to 1024 batches"),
            ("[data]\nsize = 5000", "data.size is 5000, expected at most 4096 pixels, or 0 for the data set's size"),
            (
                "[data]\nholdout = 1.0",
                "data.holdout is 1.0, expected a number of images, or a share below 1 such as 0.1",
            ),
            (
                "[data]\nholdout = -0.1",
                "data.holdout is -0.1, expected a number of images, or a share below 1 such as 0.1",
            ),
            (
                "[data]\nholdout = nan",
                "data.holdout is NaN, expected a number of images, or a share below 1 such as 0.1",
            ),
            ("[data]\ncrop = 1.5", "data.crop is 1.5, expected a share above 0 and at most 1, or 0 for the default"),
            ("[data]\nshard_group = 0", "data.shard_group is 0, expected at least 1 file"),
            ("[data]\nmean = [0.5]", "data.mean is [0.5], expected as many numbers as data.std has"),
            (
                "[data]\nmean = [0.5]\nstd = [0.0]",
                "data.std is [0.0], expected finite numbers above 0, one per channel",
            ),
            ("[optimiser]\nlr = 0.0", "optimiser.lr is 0, expected a finite number above 0"),
            ("[optimiser]\nlr = nan", "optimiser.lr is NaN, expected a finite number above 0"),
            ("[optimiser]\nmomentum = 1.0", "optimiser.momentum is 1, expected at least 0 and below 1"),
            ("[optimiser]\nmomentum = 0.0", "optimiser.momentum is 0, expected above 0, or optimiser.nesterov = false"),
            (
                "[optimiser]\nname = \"adamw\"\nbetas = [0.9, 1.0]",
                "optimiser.betas is [0.9, 1.0], expected two numbers of at least 0 and below 1",
            ),
            (
                "[schedule]\nwarmup_epochs = 11.0",
                "schedule.warmup_epochs is 11, expected at most train.epochs, which is 10",
            ),
            ("[schedule]\nmin_lr = 0.5", "schedule.min_lr is 0.5, expected at most optimiser.lr, 0.1"),
            (
                "[schedule]\nname = \"step\"",
                "schedule.milestones is [], expected one or more epochs, such as [100, 150]",
            ),
        ];
        for (text, expected) in cases {
            let mut recipe = Recipe::from_toml(text, "").unwrap();
            recipe.model.name = "resnet20".to_owned();
            recipe.data.name = "digits".to_owned();
            assert_eq!(recipe.check().unwrap_err().to_string(), expected, "{text}");
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
