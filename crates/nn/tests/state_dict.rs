//! Tensors of a file under other names, into a model: what fits, and that nothing is changed where something does not.

use std::path::PathBuf;

use mp_nn::{BatchNorm2dConfig, Conv2dConfig, Device, Error, Kind, LinearConfig, Renaming, StateDict, Store, Tensor};

/// `stem.conv` (`[2, 1, 1, 1]`, no bias), `stem.norm` of 2 channels, `fc` (2 to 3).
fn model() -> Store {
    let store = Store::new(Device::Cpu, 0);
    let stem = &store.root() / "stem";
    Conv2dConfig { bias: false, ..Conv2dConfig::new(1, 2, 1) }.build(&(&stem / "conv")).unwrap();
    BatchNorm2dConfig::new(2).build(&(&stem / "norm")).unwrap();
    LinearConfig::new(2, 3).build(&(&store.root() / "fc")).unwrap();
    store
}

fn file(tensors: &[(&str, &[i64], f64)]) -> StateDict {
    let tensor = |size: &[i64], value: f64| Tensor::full(size, value, (Kind::Float, Device::Cpu));
    StateDict {
        path: PathBuf::from("w.pth"),
        tensors: tensors.iter().map(|(name, size, value)| ((*name).to_owned(), tensor(size, *value))).collect(),
        others: Vec::new(),
    }
}

/// What fits the model by [`renaming`], with a head of `classes`.
fn fitting(classes: i64) -> Vec<(&'static str, &'static [i64], f64)> {
    let (weight, bias): (&[i64], &[i64]) = match classes {
        3 => (&[3, 2, 1, 1], &[3]),
        _ => (&[5, 2, 1, 1], &[5]),
    };
    vec![
        ("features.0.weight", &[2, 1, 1, 1], 1.0),
        ("features.1.weight", &[2], 2.0),
        ("features.1.bias", &[2], 3.0),
        ("features.1.running_mean", &[2], 4.0),
        ("features.1.running_var", &[2], 5.0),
        ("output.weight", weight, 6.0),
        ("output.bias", bias, 7.0),
    ]
}

fn renaming() -> Renaming {
    Renaming::new()
        .prefix("features.0", "stem.conv")
        .prefix("features.1", "stem.norm")
        .exact("output.bias", "fc.bias")
        .exact("output.weight", "fc.weight")
        .reshaped()
}

fn first(store: &Store, name: &str) -> f64 {
    let entry = store.entries().into_iter().find(|entry| entry.name == name).unwrap();
    entry.tensor.flatten(0, -1).double_value(&[0])
}

fn values(store: &Store) -> Vec<f64> {
    store.entries().iter().map(|entry| first(store, &entry.name)).collect()
}

#[test]
fn tensors_are_renamed_and_reshaped_where_a_rule_says_so() {
    let store = model();
    let report = file(&fitting(3)).load_into(&store, &renaming()).unwrap();
    assert_eq!((report.loaded, &report.head[..], &report.dropped[..]), (7, &[][..], &[][..]));
    assert_eq!(report.reshaped, [("fc.weight".to_owned(), vec![3, 2], vec![3, 2, 1, 1])]);
    assert_eq!(report.to_string(), "7 tensors loaded, 1 of them reshaped");
    assert_eq!(first(&store, "stem.norm.running_mean"), 4.0);
    assert_eq!((first(&store, "fc.weight"), first(&store, "fc.bias")), (6.0, 7.0));
    // The counter was not in the file.
    assert_eq!(first(&store, "stem.norm.num_batches_tracked"), 0.0);
}

#[test]
fn a_counter_may_be_there() {
    let store = model();
    let mut tensors = fitting(3);
    // As the first versions wrote it: one number, not a scalar; and that of a norm that the model does not have.
    tensors.extend([("features.1.num_batches_tracked", &[1][..], 8.0), ("aux.num_batches_tracked", &[], 9.0)]);
    file(&tensors).load_into(&store, &renaming()).unwrap();
    assert_eq!(first(&store, "stem.norm.num_batches_tracked"), 8.0);
}

#[test]
fn a_head_for_other_classes_stays_as_it_was_if_it_is_named() {
    let store = model();
    let before = first(&store, "fc.weight");
    let report = file(&fitting(5)).load_into(&store, &renaming().head("fc")).unwrap();
    assert_eq!(report.loaded, 5);
    assert_eq!(
        report.to_string(),
        "5 tensors loaded; the head stays as it was (fc.weight: model [3, 2], file [5, 2, 1, 1])"
    );
    assert_eq!(report.head.len(), 2);
    assert_eq!((first(&store, "fc.weight"), first(&store, "stem.conv.weight")), (before, 1.0));
    // One of the right shape is taken.
    let report = file(&fitting(3)).load_into(&store, &renaming().head("fc")).unwrap();
    assert_eq!((report.loaded, report.head.len()), (7, 0));
}

#[test]
fn a_head_is_taken_whole_or_not_at_all() {
    let store = model();
    let before = first(&store, "fc.bias");
    let mut tensors = fitting(3);
    // The bias would fit.
    tensors[5].1 = &[3, 4];
    let report = file(&tensors).load_into(&store, &renaming().head("fc")).unwrap();
    assert_eq!((report.head.len(), first(&store, "fc.bias")), (2, before));
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_changed() {
    let store = model();
    let before = values(&store);
    let mut tensors = fitting(5);
    tensors[1].0 = "features.9.weight";
    let error = file(&tensors).load_into(&store, &renaming()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "w.pth: weights of another model: 1 missing (stem.norm.weight); 1 unexpected (features.9.weight); 2 of another shape \
         (fc.weight: model [3, 2], file [5, 2, 1, 1], fc.bias: model [3], file [5])"
    );
    assert_eq!(values(&store), before);
    // As many numbers in another shape are not enough by themselves.
    let plain =
        Renaming::new().prefix("features.0", "stem.conv").prefix("features.1", "stem.norm").prefix("output", "fc");
    let Error::OtherModel { mismatch, .. } = file(&fitting(3)).load_into(&store, &plain).unwrap_err() else { panic!() };
    assert_eq!(mismatch.mismatched, [("fc.weight".to_owned(), vec![3, 2], vec![3, 2, 1, 1])]);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let store = model();
    let mut tensors = fitting(3);
    tensors.push(("fc.bias", &[3], 0.0));
    let error = file(&tensors).load_into(&store, &renaming()).unwrap_err();
    assert_eq!(error.to_string(), "w.pth has two tensors for `fc.bias` by this renaming: `output.bias` and `fc.bias`");
}

#[test]
fn auxiliary_classifiers_can_be_left_out() {
    let store = model();
    let mut tensors = fitting(3);
    tensors.extend([("aux1.fc.weight", &[1][..], 0.0), ("aux2.fc.weight", &[1], 0.0)]);
    let report = file(&tensors).load_into(&store, &renaming().without(r"^aux\d\.").unwrap()).unwrap();
    assert_eq!(report.dropped, ["aux1.fc.weight", "aux2.fc.weight"]);
    assert_eq!(
        report.to_string(),
        "7 tensors loaded, 1 of them reshaped; 2 left out (aux1.fc.weight to aux2.fc.weight)"
    );
}

#[test]
fn a_model_can_be_written_under_the_names_of_others() {
    let names = |renaming: &Renaming| {
        let tensors = model().renamed_tensors(renaming);
        tensors.into_iter().map(|(name, _)| name).filter(|name| !name.ends_with("tracked")).collect::<Vec<_>>()
    };
    let expected: Vec<_> = fitting(3).iter().map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(names(&renaming().reversed().unwrap()), expected);
}

#[test]
fn what_a_file_may_lack_stays_and_is_named() {
    let store = model();
    let before = values(&store);
    let without_head: Vec<_> = fitting(3).into_iter().filter(|(name, ..)| !name.starts_with("output")).collect();
    let dict = file(&without_head);
    let found = dict.compare(&store, &renaming().optional("fc")).unwrap();
    assert_eq!(values(&store), before, "a comparison changes nothing");
    let report = dict.load_into(&store, &renaming().optional("fc")).unwrap();
    assert_eq!((&report.absent, report.loaded), (&vec!["fc.weight".to_owned(), "fc.bias".to_owned()], 5));
    assert_eq!(report, found);
    assert_eq!((first(&store, "fc.weight"), first(&store, "stem.conv.weight")), (before[before.len() - 2], 1.0));
    assert!(matches!(dict.load_into(&store, &renaming()), Err(Error::OtherModel { .. })));
}
