//! What a model costs.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Interface, Model, ModelOptions, build};

/// Numbers that do not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image: convolutions, dense layers, gates and mixing.
    pub multiply_adds: u64,
}

/// The cost of a model whose parameters are those of `store`: counted by the meter while an empty batch passes.
pub fn cost(store: &Store, model: &Model, interface: &Interface) -> Cost {
    let _no_grad = tch::no_grad_guard();
    let images = Tensor::zeros(interface.input.batch(0), (Kind::Float, Device::Cpu)).to_device(store.device());
    let (_, multiply_adds) = store.meter().measure(|| model.forward(&images, Mode::Eval));
    Cost { parameters: store.parameter_count(), multiply_adds }
}

/// The cost of the model of a name, without drawing its starting values.
///
/// # Errors
/// As [`build`].
pub fn cost_of(name: &str, options: &ModelOptions) -> Result<Cost, Error> {
    let store = Store::for_counting();
    let model = build(name, options, &store.root())?;
    Ok(cost(&store, &model, &options.interface))
}
