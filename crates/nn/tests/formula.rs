//! Weights by formula, held to a few lines of Python:
//!
//! ```python
//! import math
//! def s(name, i):
//!     h = 0xcbf29ce484222325
//!     for b in name.encode():
//!         h = (h ^ b) * 0x100000001b3 % 2**64
//!     return math.sin(2 * math.pi * ((i * i * 2654435769 + h) % 2**32) / 2**32)
//! print([s("input", i) for i in range(3)])
//! print([1 + 0.5 * s("bn1.running_var", i) for i in range(3)])
//! print([0.1 * s("bn1.running_mean", i) for i in range(3)])
//! print([1 + 0.1 * s("bn1.weight", i) for i in range(3)])
//! print([0.1 * s("bn1.bias", i) for i in range(3)])
//! print([s("conv1.weight", i) * 2 / math.sqrt(12) for i in (0, 1, 47)])
//! ```

use mp_nn::{
    BatchNorm2dConfig, Conv2dConfig, Device, Kind, Store, Tensor, fill_by_formula, formula_input, formula_values,
};

fn close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{found:?}, {expected:?}");
}

fn values(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.detach().to_kind(Kind::Float).contiguous().view(-1)).unwrap()
}

const RUNNING_VAR: [f64; 3] = [1.3412742657413506, 0.9951927321528323, 0.6002930355229468];
const RUNNING_MEAN: [f64; 3] = [-0.09455664964634111, 0.09170554033725493, 0.08744282298934208];
const NORM_WEIGHT: [f64; 3] = [1.079009814100701, 0.9003343933168413, 0.9328749823462];
const NORM_BIAS: [f64; 3] = [0.03945267765954431, 0.03297857565662909, -0.0548548924400018];

#[test]
fn the_numbers_are_those_of_the_python() {
    close(&formula_values("bn1.running_var", &[3]), &RUNNING_VAR);
    close(&formula_values("bn1.running_mean", &[3]), &RUNNING_MEAN);
    close(&formula_values("bn1.weight", &[3]), &NORM_WEIGHT);
    close(&formula_values("bn1.bias", &[3]), &NORM_BIAS);
    let weight = formula_values("conv1.weight", &[4, 3, 2, 2]);
    close(&[weight[0], weight[1], weight[47]], &[-0.2432493937155567, -0.1743261236204635, 0.5021580958927706]);
    let input = formula_input(&[1, 1, 1, 3]);
    close(&values(&input), &[0.8305783695284003, -0.23626090638514013, -0.91488395726549]);
}

#[test]
fn a_store_is_filled_whatever_its_layout_and_types() {
    let store = Store::new(Device::Cpu, 0);
    Conv2dConfig { bias: false, ..Conv2dConfig::new(3, 4, 2) }.build(&(&store.root() / "conv1")).unwrap();
    BatchNorm2dConfig::new(3).build(&(&store.root() / "bn1")).unwrap();
    let mut counter = store.entries().pop().unwrap().tensor;
    let _ = counter.fill_(7);
    fill_by_formula(&store).unwrap();
    let filled: Vec<Vec<f32>> = store.entries().iter().map(|e| values(&e.tensor)).collect();
    // The weights lie channels-last in memory; the formula counts in row-major order.
    assert_eq!(filled[0], formula_values("conv1.weight", &[4, 3, 2, 2]));
    close(&filled[1], &NORM_WEIGHT);
    close(&filled[2], &NORM_BIAS);
    close(&filled[3], &RUNNING_MEAN);
    close(&filled[4], &RUNNING_VAR);
    assert_eq!(filled[5], [0.0]);
    assert!(store.entries()[0].tensor.requires_grad(), "what was trained still is");
}
