//! What a study compares: its file, and the recipe of each of its runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use mp_data::Holdout;
use mp_train::Recipe;
use mp_train::recipe::{Override, embedded};
use mp_zoo::{ModelName, families};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::Error;

/// A study: entrants that are trained under one recipe with the same seeds.
///
/// ```toml
/// recipe = "fashion.toml"             # one that comes with the binary, or a file beside this one
/// seeds = [1, 2, 3, 4, 5]
/// reference = "cc"                    # the entrant that the others are compared with; default: the first
/// match = { to = "cc", by = "parameters", tolerance = 0.01 }
/// rates = { factors = [0.33, 1.0, 3.0], epochs = 3, seed = 1 }
///
/// [[entrant]]
/// name = "cc"
/// model = "base_cnn_x3_cc"
/// set = { "model.routing.mixer.input" = "standardised" }
///
/// [[entrant]]
/// name = "widened"
/// family = "base_cnn"                 # gets the size that matches
/// ```
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name: that of the folder that its file is in, or of the file if that is not `study.toml`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What is compared, in order.
    pub entrants: Vec<Entrant>,
    /// Every entrant is trained with each of them.
    pub seeds: Vec<u64>,
    /// The place among the entrants of the one that the others are compared with.
    pub reference: usize,
    /// What entrants with a family alone are matched to.
    pub matched: Option<Match>,
    /// How the learning rate of each entrant is searched; none: all have the recipe's.
    pub rates: Option<Rates>,
    /// The validation accuracy whose time is told; none: what every entrant reaches.
    pub target: Option<f64>,
    recipe: String,
    set: Table,
}

/// What is compared.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// Its name in tables and files.
    pub name: String,
    /// Its network.
    pub network: Network,
    /// What its recipe has beside the study's.
    pub set: Table,
}

/// Which network an entrant trains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The one of this name.
    Model(String),
    /// The size of this family that matches.
    Family(String),
}

/// What is held equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The entrant whose cost is the measure.
    pub to: String,
    /// Which cost.
    pub by: MatchBy,
    /// How far off a size may be, as a share.
    #[serde(default = "Match::tolerance")]
    pub tolerance: f64,
}

impl Match {
    fn tolerance() -> f64 {
        0.01
    }
}

/// By which cost networks are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchBy {
    /// Numbers that are trained.
    Parameters,
    /// Multiply-adds of one image.
    MultiplyAdds,
    /// Milliseconds of a training step, measured in turns.
    Ms,
}

impl MatchBy {
    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            MatchBy::Parameters => "parameters",
            MatchBy::MultiplyAdds => "multiply-adds",
            MatchBy::Ms => "ms",
        }
    }
}

/// How the learning rate of each entrant is searched: one short run with each factor of the recipe's rate, of which the one
/// that is best on the validation images is taken.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Factors of the recipe's rate.
    #[serde(default = "Rates::factors")]
    pub factors: Vec<f64>,
    /// Epochs of these runs; 0: as many as the recipe has.
    #[serde(default)]
    pub epochs: u64,
    /// Their seed.
    #[serde(default = "Rates::seed")]
    pub seed: u64,
}

impl Rates {
    fn factors() -> Vec<f64> {
        vec![1.0 / 3.0, 1.0, 3.0]
    }

    fn seed() -> u64 {
        1
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyFile {
    recipe: String,
    #[serde(default)]
    set: Table,
    seeds: Vec<u64>,
    reference: Option<String>,
    #[serde(rename = "match")]
    matched: Option<Match>,
    rates: Option<Rates>,
    target: Option<f64>,
    #[serde(default, rename = "entrant")]
    entrants: Vec<EntrantFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntrantFile {
    name: Option<String>,
    model: Option<String>,
    family: Option<String>,
    #[serde(default)]
    set: Table,
}

impl Study {
    /// Reads a study and checks all of it that can be checked without data.
    ///
    /// # Errors
    /// [`Error::Study`] naming the key; a recipe that cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read the study", path))?;
        let refuse = |message: String| Error::study(path, message);
        let file: StudyFile = toml::from_str(&text).map_err(|error| refuse(in_one_line(&error, &text)))?;
        let entrants = file
            .entrants
            .into_iter()
            .map(|entrant| Entrant::of(entrant).map_err(refuse))
            .collect::<Result<Vec<_>, _>>()?;
        if entrants.is_empty() {
            return Err(refuse("no entrant, expected at least one [[entrant]] with a model".to_owned()));
        }
        let mut names = HashSet::new();
        if let Some(twice) = entrants.iter().find(|entrant| !names.insert(entrant.name.as_str())) {
            return Err(refuse(format!("two entrants are called `{}`: give each a name of its own", twice.name)));
        }
        if file.seeds.is_empty() {
            return Err(refuse("seeds is [], expected one or more, such as [1, 2, 3]".to_owned()));
        }
        let mut seeds = HashSet::new();
        if let Some(twice) = file.seeds.iter().find(|seed| !seeds.insert(**seed)) {
            return Err(refuse(format!("seeds has {twice} twice: the same run would count twice")));
        }
        let study = Study {
            name: name_of(path),
            path: path.to_owned(),
            reference: 0,
            entrants,
            seeds: file.seeds,
            matched: file.matched,
            rates: file.rates,
            target: file.target,
            recipe: file.recipe,
            set: file.set,
        };
        let reference = match &file.reference {
            Some(name) => study.place(name, "reference")?,
            None => 0,
        };
        let study = Study { reference, ..study };
        study.check()?;
        Ok(study)
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::study(&self.path, message));
        match &self.matched {
            Some(matched) => {
                let to = self.place(&matched.to, "match.to")?;
                if matches!(self.entrants[to].network, Network::Family(_)) {
                    return refuse(format!(
                        "match.to is `{}`, which is to be matched itself: name an entrant with a model",
                        matched.to
                    ));
                }
                if !(matched.tolerance > 0.0 && matched.tolerance < 1.0) {
                    return refuse(format!(
                        "match.tolerance is {}, expected a share above 0 and below 1",
                        matched.tolerance
                    ));
                }
            }
            None => {
                if let Some(entrant) =
                    self.entrants.iter().find(|entrant| matches!(entrant.network, Network::Family(_)))
                {
                    return refuse(format!(
                        "entrant `{}` has a family and no size: expected match = {{ to = \"...\", by = \"parameters\" }}, or a model",
                        entrant.name
                    ));
                }
            }
        }
        if let Some(rates) = &self.rates {
            let valid = |factor: &f64| *factor > 0.0 && factor.is_finite();
            if rates.factors.is_empty() || !rates.factors.iter().all(valid) {
                return refuse(format!(
                    "rates.factors is {:?}, expected numbers above 0, such as [0.33, 1.0, 3.0]",
                    rates.factors
                ));
            }
        }
        if let Some(target) = self.target.filter(|target| !(*target > 0.0 && *target < 1.0)) {
            return refuse(format!("target is {target}, expected an accuracy above 0 and below 1"));
        }
        for (at, entrant) in self.entrants.iter().enumerate() {
            match &entrant.network {
                Network::Model(name) => {
                    name.parse::<ModelName>()
                        .map_err(|error| Error::study(&self.path, format!("entrant `{}`: {error}", entrant.name)))?;
                    let recipe = self.recipe_of(at, name, self.seeds[0])?;
                    if self.rates.is_some() && recipe.data.holdout == Holdout::default() {
                        return refuse("data.holdout is 0: the learning rates would be chosen by the test images; set it to some images of the training set".to_owned());
                    }
                }
                Network::Family(name) => {
                    if !families().iter().any(|family| family.name == *name) {
                        return refuse(format!(
                            "entrant `{}`: no family is called `{name}`; `mp-train models` lists them",
                            entrant.name
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The place of the entrant of that name.
    ///
    /// # Errors
    /// [`Error::Study`] with the names that there are.
    pub fn place(&self, name: &str, key: &str) -> Result<usize, Error> {
        let found = self.entrants.iter().position(|entrant| entrant.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.entrants.iter().map(|entrant| entrant.name.as_str()).collect();
            Error::study(
                &self.path,
                format!("{key} names `{name}`, which is no entrant; there are {}", names.join(", ")),
            )
        })
    }

    /// The recipe of an entrant's run, with the network's name and a seed, at the study's learning rate.
    ///
    /// # Errors
    /// A recipe that cannot be read, keys that it does not have, values out of their range.
    pub fn recipe_of(&self, entrant: usize, model: &str, seed: u64) -> Result<Recipe, Error> {
        let entrant = &self.entrants[entrant];
        let source = if embedded().iter().any(|known| known.name == self.recipe) {
            self.recipe.clone()
        } else {
            let folder = self.path.parent().unwrap_or(Path::new(""));
            folder.join(&self.recipe).to_string_lossy().into_owned()
        };
        let mut overrides = Vec::new();
        for (key, value) in flat(&self.set).into_iter().chain(flat(&entrant.set)) {
            let change = format!("{key}={value}").parse::<Override>();
            overrides
                .push(change.map_err(|error| {
                    Error::study(&self.path, format!("set of entrant `{}`: {error}", entrant.name))
                })?);
        }
        overrides.push(Override::string("model.name", model));
        let with_seed = format!("train.seed={seed}").parse::<Override>();
        overrides.push(with_seed.map_err(|error| Error::study(&self.path, error))?);
        Ok(Recipe::resolve(Some(&source), &overrides)?)
    }

    /// The recipe of a short run that tries a factor of the learning rate.
    ///
    /// # Errors
    /// As [`Study::recipe_of`].
    pub fn trial_of(&self, entrant: usize, model: &str, rates: &Rates, factor: f64) -> Result<Recipe, Error> {
        let mut recipe = at_rate(&self.recipe_of(entrant, model, rates.seed)?, factor);
        if rates.epochs > 0 {
            recipe.train.epochs = rates.epochs;
        }
        recipe.check()?;
        Ok(recipe)
    }
}

impl Entrant {
    fn of(file: EntrantFile) -> Result<Self, String> {
        let network = match (file.model, file.family) {
            (Some(model), None) => Network::Model(model),
            (None, Some(family)) => Network::Family(family),
            (Some(_), Some(_)) => {
                return Err("an entrant has both a model and a family: expected one of them".to_owned());
            }
            (None, None) => {
                return Err("an entrant has no model: expected model = \"...\", or a family to be matched".to_owned());
            }
        };
        let name = file.name.unwrap_or_else(|| match &network {
            Network::Model(name) | Network::Family(name) => name.clone(),
        });
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
        if name.is_empty() || name.len() > 60 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(format!(
                "an entrant is called {name:?}, expected 1 to 60 letters, digits, `_`, `-`, `+` or `.`, of which files are named"
            ));
        }
        Ok(Entrant { name, network, set: file.set })
    }
}

/// A recipe at so many times its learning rate.
pub(crate) fn at_rate(recipe: &Recipe, factor: f64) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.optimiser.lr *= factor;
    recipe
}

/// Keys and values, those in tables with the tables' names before them.
fn flat(table: &Table) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                found.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => found.push((key.clone(), value.to_string())),
        }
    }
    found
}

fn name_of(path: &Path) -> String {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match text(absolute.parent().and_then(Path::file_name)) {
        Some(folder) if stem == "study" => folder,
        _ => stem,
    }
}

/// What serde says, with the line.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) if !before.is_empty() => format!("line {}: {message}", before.matches('\n').count() + 1),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Study, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trial.toml");
        std::fs::write(&path, text).unwrap();
        Study::read(&path)
    }

    fn message(text: &str) -> String {
        let message = read(text).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message.split("trial.toml: ").last().unwrap().to_owned()
    }

    const HEAD: &str = "recipe = \"digits\"\nseeds = [1, 2]\n";

    #[test]
    fn entrants_share_the_recipe_and_differ_in_what_they_set() {
        let study = read(&format!(
            "{HEAD}set = {{ \"train.epochs\" = 3 }}\nreference = \"sharp\"\n\
             [[entrant]]\nmodel = \"base_cnn\"\n\
             [[entrant]]\nname = \"sharp\"\nmodel = \"base_cnn_x2_cc\"\nset = {{ model.routing.mixer.temperature = 0.5 }}"
        ))
        .unwrap();
        assert_eq!((study.name.as_str(), study.reference), ("trial", 1));
        let plain = study.recipe_of(0, "base_cnn", 2).unwrap();
        let sharp = at_rate(&study.recipe_of(1, "base_cnn_x2_cc", 2).unwrap(), 3.0);
        assert_eq!((plain.train.epochs, sharp.train.epochs, plain.train.seed), (3, 3, 2));
        assert!((sharp.optimiser.lr / plain.optimiser.lr - 3.0).abs() < 1e-12);
        let differences = plain.differences(&sharp).unwrap();
        let keys: Vec<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["model.name", "model.routing.mixer.temperature", "optimiser.lr"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let entrant = "[[entrant]]\nmodel = \"base_cnn\"\n";
        for (text, expected) in [
            ("recipe = \"digits\"\n[[entrant]]\nmodel = \"base_cnn\"".to_owned(), "missing field `seeds`"),
            (
                format!("recipe = \"digits\"\nseeds = []\n{entrant}"),
                "seeds is [], expected one or more, such as [1, 2, 3]",
            ),
            (
                format!("recipe = \"digits\"\nseeds = [4, 4]\n{entrant}"),
                "seeds has 4 twice: the same run would count twice",
            ),
            (HEAD.to_owned(), "no entrant, expected at least one [[entrant]] with a model"),
            (format!("{HEAD}{entrant}{entrant}"), "two entrants are called `base_cnn`: give each a name of its own"),
            (
                format!("{HEAD}reference = \"x\"\n{entrant}"),
                "reference names `x`, which is no entrant; there are base_cnn",
            ),
            (
                format!("{HEAD}[[entrant]]\nfamily = \"base_cnn\""),
                "entrant `base_cnn` has a family and no size: expected match = { to = \"...\", by = \"parameters\" }, or a model",
            ),
            (
                format!("{HEAD}match = {{ to = \"y\", by = \"parameters\" }}\n{entrant}"),
                "match.to names `y`, which is no entrant; there are base_cnn",
            ),
            (
                format!("{HEAD}rates = {{ factors = [0.0] }}\n{entrant}"),
                "rates.factors is [0.0], expected numbers above 0, such as [0.33, 1.0, 3.0]",
            ),
            (
                format!("{HEAD}[[entrant]]\nname = \"a/b\"\nmodel = \"base_cnn\""),
                "an entrant is called \"a/b\", expected 1 to 60 letters, digits, `_`, `-`, `+` or `.`, of which files are named",
            ),
        ] {
            assert_eq!(message(&text), expected, "{text}");
        }
        let unknown = message(&format!("{HEAD}[[entrant]]\nmodel = \"base_cn\""));
        assert!(unknown.starts_with("entrant `base_cn`: ") && unknown.contains("base_cnn"), "{unknown}");
        let key = message(&format!("{HEAD}{entrant}set = {{ \"train.epoch\" = 3 }}"));
        assert!(key.contains("did you mean `epochs`?"), "{key}");
        let misspelt = message(&format!("{HEAD}sedes = [1]\n{entrant}"));
        assert!(misspelt.starts_with("line 3: unknown field `sedes`"), "{misspelt}");
    }
}
