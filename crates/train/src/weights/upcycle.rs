//! A model of several paths or members from the weights of one network.

use std::collections::{HashMap, HashSet};

use mp_nn::{Entry, Init, Role, Store};
use mp_zoo::Upcycling;
use tch::Tensor;

use crate::Error;

/// Copies the tensors of a single network into all of their places in a model, but for those of `skipped`, and puts its routers
/// near the identity: the model then gives nearly the single network's logits.
///
/// Every trained tensor gets noise of `noise` times its own deviation, another at each place, drawn from `seed`: paths that were
/// alike to the last bit would stay so. What a path predicts the others by starts as such noise alone.
///
/// # Errors
/// [`Error::Torch`] where a shape is not that of its place, which is a fault of the zoo.
pub fn upcycle(
    single: &Store,
    model: &Store,
    plan: &Upcycling,
    skipped: &HashSet<String>,
    noise: f64,
    seed: u64,
) -> Result<(), Error> {
    let failed = |error: tch::TchError| Error::torch("copy weights into paths", &error);
    let by_name = |store: &Store| -> HashMap<String, Entry> {
        store.entries().into_iter().map(|entry| (entry.name.clone(), entry)).collect()
    };
    let (sources, targets) = (by_name(single), by_name(model));
    let target = |name: &str| targets.get(name).map(|entry| entry.tensor.shallow_clone());
    let _guard = tch::no_grad_guard();
    for copied in plan.tensors.iter().filter(|copied| !skipped.contains(&copied.name)) {
        let Some(source) = sources.get(&copied.name) else { continue };
        for place in &copied.places {
            let Some(mut target) = target(&place.name) else { continue };
            let around = noise_of(source, &target, noise, seed, &place.name).map_err(failed)?;
            match place.source {
                None => {
                    target.f_copy_(&source.tensor).map_err(failed)?;
                    if let Some(around) = around {
                        let _ = target.f_add_(&around).map_err(failed)?;
                    }
                }
                Some(source_path) => {
                    match around {
                        Some(around) => target.f_copy_(&around).map_err(failed)?,
                        None => drop(target.f_zero_().map_err(failed)?),
                    }
                    let path = source_path as i64;
                    let mut own = match source.tensor.size() {
                        shape if shape.len() == target.dim() => target.f_narrow(1, path * shape[1], shape[1]),
                        _ => target.f_select(0, path),
                    }
                    .map_err(failed)?;
                    let _ = own.f_add_(&source.tensor.to_device(own.device())).map_err(failed)?;
                }
            }
        }
    }
    for mut tensor in plan.cleared.iter().filter_map(|name| target(name)) {
        let _ = tensor.f_zero_().map_err(failed)?;
    }
    for (name, values) in &plan.routers {
        if let Some(mut tensor) = target(name) {
            let values = Tensor::from_slice(values).f_reshape(tensor.size()).map_err(failed)?;
            tensor.f_copy_(&values).map_err(failed)?;
        }
    }
    Ok(())
}

/// Noise of the shape of `target`, as a share of the deviation of `source`; none for buffers, and where there would be none.
fn noise_of(
    source: &Entry,
    target: &Tensor,
    noise: f64,
    seed: u64,
    name: &str,
) -> Result<Option<Tensor>, tch::TchError> {
    if noise == 0.0 || source.role == Role::Buffer || source.tensor.numel() < 2 {
        return Ok(None);
    }
    let deviation = source.tensor.f_std(false)?.f_double_value(&[])?;
    let values = Init::Normal { std: noise * deviation }.draw(target.numel(), seed, &format!("noise of {name}"));
    let values = Tensor::from_slice(&values).f_reshape(target.size())?;
    Ok(Some(values.f_to_kind(target.kind())?.f_to_device(target.device())?))
}

#[cfg(test)]
mod tests {
    use mp_nn::{Device, Kind};
    use mp_zoo::{Copied, Place};

    use super::*;

    /// One source tensor `w` of `[2, 1, 1, 1]` with values 1 and 3, whose deviation is 1, in two paths and as a prediction.
    fn upcycled(noise: f64) -> Store {
        let single = Store::new(Device::Cpu, 0);
        let _ = single.root().parameter("w", &[2, 1, 1, 1], Init::Values(vec![1.0, 3.0]), Role::Weight).unwrap();
        let model = Store::new(Device::Cpu, 0);
        for path in ["path1", "path2"] {
            let _ = (&model.root() / path).parameter("w", &[2, 1, 1, 1], Init::Zeros, Role::Weight).unwrap();
        }
        let _ = (&model.root() / "target2").parameter("w", &[2, 2, 1, 1], Init::Constant(9.0), Role::Weight).unwrap();
        let _ = model.root().parameter("stitch", &[2, 2], Init::Zeros, Role::Bias).unwrap();
        let place = |name: &str, source| Place { name: name.to_owned(), source };
        let places = vec![place("path1.w", None), place("path2.w", None), place("target2.w", Some(1))];
        let plan = Upcycling {
            single: "one".to_owned(),
            tensors: vec![Copied { name: "w".to_owned(), places }],
            cleared: Vec::new(),
            routers: vec![("stitch".to_owned(), vec![6.0, 0.0, 0.0, 6.0])],
        };
        upcycle(&single, &model, &plan, &HashSet::new(), noise, 3).unwrap();
        model
    }

    fn values(store: &Store, name: &str) -> Vec<f64> {
        let entry = store.entries().into_iter().find(|entry| entry.name == name).unwrap();
        Vec::try_from(entry.tensor.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
    }

    #[test]
    fn each_place_gets_the_weights_and_routers_their_values() {
        let model = upcycled(0.0);
        assert_eq!((values(&model, "path1.w"), values(&model, "path2.w")), (vec![1.0, 3.0], vec![1.0, 3.0]));
        // What source 2 predicts by is the second column.
        assert_eq!(values(&model, "target2.w"), [0.0, 1.0, 0.0, 3.0]);
        assert_eq!(values(&model, "stitch"), [6.0, 0.0, 0.0, 6.0]);
    }

    #[test]
    fn noise_differs_from_place_to_place_and_is_small() {
        let model = upcycled(0.01);
        let (one, other) = (values(&model, "path1.w"), values(&model, "path2.w"));
        assert_ne!(one, other);
        for found in [one, other] {
            assert!((found[0] - 1.0).abs() < 0.05 && (found[1] - 3.0).abs() < 0.05, "{found:?}");
        }
        assert_eq!(values(&model, "path1.w"), values(&upcycled(0.01), "path1.w"), "the seed decides it");
        let predicted = values(&model, "target2.w");
        assert!(predicted[0] != 0.0 && predicted[0].abs() < 0.05 && (predicted[3] - 3.0).abs() < 0.05, "{predicted:?}");
    }
}
