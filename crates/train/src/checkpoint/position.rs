//! Where a run stands.

/// Where in the run something happened. Later is greater.
///
/// The end of an epoch has two positions: before its evaluation it is the last step of epoch `e`, after it is step 0 of
/// epoch `e + 1`. So a run that continues from position `p` repeats exactly what was reported with a greater one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Epochs that are complete.
    pub epoch: u64,
    /// Steps of the optimiser taken in this epoch.
    pub step_in_epoch: u64,
    /// Steps of the optimiser taken in the whole run.
    pub step: u64,
}
