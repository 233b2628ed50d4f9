//! Weights by formula: the same in every program that knows the rule, so that a full-size network is held to another
//! implementation without a weight file.

use std::f64::consts::TAU;

use tch::Tensor;

use crate::init::fnv1a;
use crate::{Error, Store};

/// The numbers of the tensor `name` of this shape, in row-major order.
///
/// Number `i` comes from `s_i = sin(2 pi k_i / 2^32)`, where `k_i` is the low 32 bits of `2654435769 i² + h`, and `h` the
/// 64-bit FNV-1a hash of the full name. It is, by the last part of the name and the number of axes,
///
/// | tensor | number |
/// |---|---|
/// | `running_var` | `1 + 0.5 s` |
/// | `running_mean` | `0.1 s` |
/// | `num_batches_tracked` | 0 |
/// | of two or more axes | `2 s / sqrt(fan_in)`, `fan_in` the product of all sizes but the first |
/// | any other whose name ends in `weight` | `1 + 0.1 s` |
/// | any other | `0.1 s` |
///
/// computed in float64 and rounded to float32. Signals so keep their size through many layers, and no two tensors are alike.
///
/// ```
/// use mp_nn::formula_values;
///
/// assert_eq!(formula_values("bn1.num_batches_tracked", &[]), [0.0]);
/// assert!(formula_values("bn1.running_var", &[64]).iter().all(|v| (0.5..=1.5).contains(v)));
/// ```
pub fn formula_values(name: &str, shape: &[i64]) -> Vec<f32> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let (middle, swing) = match last {
        "running_var" => (1.0, 0.5),
        "running_mean" => (0.0, 0.1),
        "num_batches_tracked" => (0.0, 0.0),
        _ if shape.len() > 1 => (0.0, 2.0 / (shape[1..].iter().product::<i64>() as f64).sqrt()),
        _ if last.ends_with("weight") => (1.0, 0.1),
        _ => (0.0, 0.1),
    };
    swinging(name, shape, middle, swing)
}

/// Images `[B, C, H, W]`, or another input, to go with [`formula_values`]: `s_i` itself for the name `input`, in float32 on
/// the CPU.
///
/// ```
/// assert_eq!(mp_nn::formula_input(&[1, 3, 8, 8]).size(), [1, 3, 8, 8]);
/// ```
///
/// # Panics
/// On a negative size.
pub fn formula_input(shape: &[i64]) -> Tensor {
    Tensor::from_slice(&swinging("input", shape, 0.0, 1.0)).view(shape)
}

/// Sets every parameter and buffer of the store to its [`formula_values`].
///
/// ```
/// use mp_nn::{Device, LinearConfig, Store, fill_by_formula, formula_values};
///
/// let store = Store::new(Device::Cpu, 0);
/// LinearConfig::new(4, 2).build(&(&store.root() / "fc"))?;
/// fill_by_formula(&store)?;
/// let weight = Vec::<f32>::try_from(store.entries()[0].tensor.view(-1)).expect("eight numbers");
/// assert_eq!(weight, formula_values("fc.weight", &[2, 4]));
/// # Ok::<(), mp_nn::Error>(())
/// ```
///
/// # Errors
/// libtorch cannot copy.
pub fn fill_by_formula(store: &Store) -> Result<(), Error> {
    let _no_grad = tch::no_grad_guard();
    for mut entry in store.entries() {
        let shape = entry.tensor.size();
        Tensor::f_from_slice(&formula_values(&entry.name, &shape))
            .and_then(|values| values.f_reshape(&shape))
            .and_then(|values| entry.tensor.f_copy_(&values))
            .map_err(|e| Error::torch(format!("fill `{}`", entry.name), &e))?;
    }
    Ok(())
}

fn swinging(name: &str, shape: &[i64], middle: f64, swing: f64) -> Vec<f32> {
    let phase = fnv1a(name.as_bytes());
    let count = shape.iter().product::<i64>().max(0) as u64;
    let one = |i: u64| {
        let step = i.wrapping_mul(i).wrapping_mul(2_654_435_769).wrapping_add(phase) as u32;
        (middle + swing * (TAU * f64::from(step) / 4_294_967_296.0).sin()) as f32
    };
    (0..count).map(one).collect()
}
