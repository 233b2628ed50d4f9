//! Temperatures of gates that fall while a network trains.

use mp_nn::{Role, Store};
use mp_routing::{GateConfig, MixerConfig};
use mp_zoo::ModelOptions;
use tch::Tensor;

/// The end of the names of the buffers that gates keep their temperatures in.
const BUFFER: &str = "gate.temperature";

/// The temperatures of a network's gates, which are set before each step. They are buffers: a checkpoint holds them, and whoever
/// applies the network reads what they were.
pub(super) struct FallingTemperature {
    gate: GateConfig,
    buffers: Vec<Tensor>,
}

impl FallingTemperature {
    /// Those of the network in `store`; none where no temperature falls.
    pub(super) fn of(options: &ModelOptions, store: &Store) -> Option<Self> {
        let MixerConfig::Gate(gate) = &options.routing.mixer else { return None };
        let is_one = |name: &str| name == BUFFER || name.ends_with(&format!(".{BUFFER}"));
        let entries = store.entries().into_iter().filter(|entry| entry.role == Role::Buffer && is_one(&entry.name));
        let buffers: Vec<Tensor> = entries.map(|entry| entry.tensor).collect();
        (gate.final_temperature != 0.0 && !buffers.is_empty()).then(|| Self { gate: gate.clone(), buffers })
    }

    /// Sets them to what they are when the share `done` of training is over.
    pub(super) fn set(&mut self, done: f64) {
        let _guard = tch::no_grad_guard();
        let temperature = self.gate.temperature_at(done);
        for buffer in &mut self.buffers {
            let _ = buffer.fill_(temperature);
        }
    }
}
