//! What a model costs.

use mp_nn::{Device, Kind, Store, Tensor};
use mp_routing::Pass;
use serde::{Deserialize, Serialize};

use crate::{Error, Interface, Model, ModelOptions, build};

/// Numbers that do not depend on the machine, nor on the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image that runs everything: convolutions, dense layers, gates and mixing.
    pub multiply_adds: u64,
    /// Those of them that run for every image, whatever it chooses: all of them where nothing is chosen.
    pub always: u64,
    /// Those of an image that makes the cheapest choice everywhere.
    pub least: u64,
}

/// The cost of a model whose parameters are those of `store`: counted by the meter while an empty batch passes, for which
/// everything is run.
pub fn cost(store: &Store, model: &Model, interface: &Interface) -> Cost {
    let _no_grad = tch::no_grad_guard();
    let images = Tensor::zeros(interface.input.batch(0), (Kind::Float, Device::Cpu)).to_device(store.device());
    let mut pass = Pass::eval();
    let (_, multiply_adds) = store.meter().measure(|| model.heads(&images, &mut pass));
    let choices = || pass.trace.layers.iter().map(|layer| &layer.decision.cost);
    let avoidable: u64 = choices().flatten().sum();
    let always = multiply_adds - avoidable;
    let least = always + choices().filter_map(|cost| cost.iter().min()).sum::<u64>();
    Cost { parameters: store.parameter_count(), multiply_adds, always, least }
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
