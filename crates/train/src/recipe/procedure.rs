//! How a run learns from its batches: `[procedure]` of a recipe.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::choice::{self, Choice};

/// How a run learns from its batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum Form {
    Supervised {},
    Distillation(DistillationConfig),
    Hints(HintsConfig),
    ScoreFunction(ScoreFunctionConfig),
}

/// How a run learns from its batches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Form")]
pub enum ProcedureConfig {
    /// By the labels.
    #[default]
    Supervised,
    /// By the labels and by the answers of a trained network.
    Distillation(DistillationConfig),
    /// First by features half way of a trained network, then by its answers.
    Hints(HintsConfig),
    /// First by the labels, then by what drawn decisions cost and bring.
    ScoreFunction(ScoreFunctionConfig),
}

/// Learning from a teacher's answers beside the labels: `H(y, P) + weight H(P_teacher^T, P^T)`, `P^T` being the softmax of
/// logits over the temperature. Hinton et al., arXiv 1503.02531, with the falling weight of Romero et al., arXiv 1412.6550.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// The teacher's run folder.
    pub teacher: String,
    /// `T`, above 0.
    pub temperature: f64,
    /// Weight of the teacher's part at the first step.
    pub weight: f64,
    /// Weight of the teacher's part at the last step; it falls in a straight line.
    pub final_weight: f64,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self { teacher: String::new(), temperature: 3.0, weight: 4.0, final_weight: 1.0 }
    }
}

/// FitNets (Romero et al., arXiv 1412.6550): for some epochs the first part of the network learns to foretell a teacher's
/// features half way, through a convolution that is then dropped; then the whole network learns as in
/// [`DistillationConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HintsConfig {
    /// The teacher's run folder.
    pub teacher: String,
    /// The position in the teacher whose features are the hint.
    pub hint: String,
    /// The position in the network that learns to foretell them.
    pub guided: String,
    /// Epochs of learning from the hint alone.
    pub epochs: u64,
    /// `T`, above 0.
    pub temperature: f64,
    /// Weight of the teacher's answers at the first step after the hints.
    pub weight: f64,
    /// Weight of the teacher's answers at the last step.
    pub final_weight: f64,
}

impl Default for HintsConfig {
    fn default() -> Self {
        let DistillationConfig { teacher, temperature, weight, final_weight } = DistillationConfig::default();
        Self { teacher, hint: String::new(), guided: String::new(), epochs: 1, temperature, weight, final_weight }
    }
}

impl HintsConfig {
    /// What follows the hints.
    pub fn distillation(&self) -> DistillationConfig {
        let Self { teacher, temperature, weight, final_weight, .. } = self.clone();
        DistillationConfig { teacher, temperature, weight, final_weight }
    }
}

/// SkipNet's second phase (Wang et al., arXiv 1711.09485): decisions are drawn, and each learns by the score function from
/// what came of it, `R_i = -H(y, P) + sum over j >= i of reward / N · (1 - z_j)` for the i-th of N blocks, `z` being 1 where it
/// runs: `H(y, P) - weight · sum_i R_i log π(z_i)`, the mean over the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreFunctionConfig {
    /// Epochs by the labels alone, before it begins.
    pub epochs: u64,
    /// What an image gains that skips every block.
    pub reward: f64,
    /// Weight of the decisions' part. The authors' 0.01 is of a sum over batches of 128.
    pub weight: f64,
}

impl Default for ScoreFunctionConfig {
    fn default() -> Self {
        Self { epochs: 0, reward: 0.1, weight: 1.28 }
    }
}

impl Choice for Form {
    const NAMES: &'static [&'static str] = &["supervised", "distillation", "hints", "score_function"];
    const ONCE_COMPLETE: &'static [&'static str] = &["name"];
}

impl TryFrom<Table> for ProcedureConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        Ok(match choice::read::<Form>(&table, &[])? {
            Form::Supervised {} => Self::Supervised,
            Form::Distillation(config) => Self::Distillation(config),
            Form::Hints(config) => Self::Hints(config),
            Form::ScoreFunction(config) => Self::ScoreFunction(config),
        })
    }
}

impl From<ProcedureConfig> for Form {
    fn from(config: ProcedureConfig) -> Self {
        match config {
            ProcedureConfig::Supervised => Form::Supervised {},
            ProcedureConfig::Distillation(config) => Form::Distillation(config),
            ProcedureConfig::Hints(config) => Form::Hints(config),
            ProcedureConfig::ScoreFunction(config) => Form::ScoreFunction(config),
        }
    }
}

impl ProcedureConfig {
    /// Drops the keys of the procedure that a table no longer names.
    pub(crate) fn drop_others(table: &mut Table) {
        choice::drop_others::<Form>(table, &[]);
    }

    /// The teacher's run folder, where there is a teacher, to be changed.
    pub(crate) fn teacher_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Supervised | Self::ScoreFunction(_) => None,
            Self::Distillation(config) => Some(&mut config.teacher),
            Self::Hints(config) => Some(&mut config.teacher),
        }
    }

    /// The teacher's run folder, where there is a teacher.
    pub fn teacher(&self) -> Option<&str> {
        match self {
            Self::Supervised | Self::ScoreFunction(_) => None,
            Self::Distillation(config) => Some(&config.teacher),
            Self::Hints(config) => Some(&config.teacher),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProcedureConfig, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_procedure_is_named_with_its_own_keys() {
        assert_eq!(read("").unwrap(), ProcedureConfig::Supervised);
        let hints = read("name = \"hints\"\nteacher = \"runs/t\"\nhint = \"stage2\"\nguided = \"stage2.1\"").unwrap();
        assert_eq!(hints.teacher(), Some("runs/t"));
        let text = toml::to_string(&hints).unwrap();
        assert_eq!(read(&text).unwrap(), hints);
    }

    #[test]
    fn keys_of_another_procedure_are_refused() {
        assert!(read("name = \"supervised\"\nteacher = \"x\"").unwrap_err().contains("unknown field `teacher`"));
        assert!(read("name = \"distillation\"\nhint = \"x\"").unwrap_err().contains("unknown field `hint`"));
        assert!(
            read("name = \"hint\"")
                .unwrap_err()
                .contains("expected one of `supervised`, `distillation`, `hints`, `score_function`")
        );
    }
}
