//! What every network must do, whatever it is.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::Decision;
use mp_zoo::{Error, Head, HeadRole, InputSize, Make, Model, ModelName, ModelOptions, Output};

const BATCH: i64 = 4;

/// The network `name` builds and its logits are finite; a batch of one gives what a batch of many does; a training step
/// reaches every parameter; and its ensemble and, of a chain, its parallel paths build and give the same logits again when
/// the routes that they took are forced. Float64, so that sums in another order are no excuse.
pub(crate) fn check_network(name: &str, input: InputSize) {
    check_network_but(name, input, None);
}

/// The same, but of parameters with `idle` in their names the gradient may be zero: those before hidden layers of so few
/// units that all can be off for every image.
pub(crate) fn check_network_but(name: &str, input: InputSize, idle: Option<&str>) {
    tch::manual_seed(0);
    let images = images(input);
    let (store, model) = build(name, input).unwrap();
    check_evaluation(name, &model, &images, input.classes);
    check_gradients(name, &store, &model, &images, idle);

    check_forms(name, input, &images);
}

fn check_forms(name: &str, input: InputSize, images: &Tensor) {
    let parsed: ModelName = name.parse().unwrap();
    let (_, ensemble) = build(&format!("{name}_e2"), input).unwrap();
    check_evaluation(&format!("{name}_e2"), &ensemble, images, input.classes);
    if matches!(parsed.family.make, Make::Whole(_)) {
        assert!(format!("{name}_x2").parse::<ModelName>().is_err(), "{name} is no chain");
        return;
    }
    for form in ["x2", "x2_cc", "x2_cp"] {
        let name = format!("{name}_{form}");
        match build(&name, input) {
            Ok((_, model)) => check_evaluation(&name, &model, images, input.classes),
            // A block whose first layer is no single one says so.
            Err(Error::Blocks(mp_blocks::Error::NotCrossable { .. })) if form == "x2_cp" => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

fn build(name: &str, input: InputSize) -> Result<(Store, Model), Error> {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let model = mp_zoo::build(name, &ModelOptions::new(input), &store.root())?;
    Ok((store, model))
}

/// A fixed pattern rather than random numbers: libtorch's generator is shared between the tests of a process.
fn images(input: InputSize) -> Tensor {
    let InputSize { channels, size, .. } = input;
    let ramp = Tensor::arange(BATCH * channels * size * size, (Kind::Double, Device::Cpu));
    (ramp * 0.7).sin().reshape([BATCH, channels, size, size])
}

fn check_evaluation(name: &str, model: &Model, images: &Tensor, classes: i64) {
    let _no_grad = tch::no_grad_guard();
    let output = model.forward(images, Mode::Eval);
    let logits = output.logits().shallow_clone();
    assert_eq!(logits.size(), [BATCH, classes], "{name}");
    assert!(bool::try_from(logits.isfinite().all()).unwrap(), "{name}: logits are not finite");

    let alone = model.forward(&images.narrow(0, 1, 1), Mode::Eval);
    assert_same(&format!("{name}, a batch of one"), alone.logits(), &logits.narrow(0, 1, 1));
    let again = model.forward_forced(images, Mode::Eval, output.trace).unwrap();
    assert_same(&format!("{name}, forced"), again.logits(), &logits);
}

fn assert_same(what: &str, found: &Tensor, expected: &Tensor) {
    let difference = (found - expected).abs().max().double_value(&[]);
    let largest = expected.abs().max().double_value(&[]);
    assert!(difference <= 1e-9 * largest.max(1e-3), "{what}: logits up to {largest} differ by {difference}");
}

fn check_gradients(name: &str, store: &Store, model: &Model, images: &Tensor, idle: Option<&str>) {
    let output = model.forward(images, Mode::Train);
    let labels = Tensor::arange(BATCH, (Kind::Int64, Device::Cpu));
    let learns = |head: &&Head| head.role != HeadRole::Path;
    let losses = output.heads.iter().filter(learns).map(|head| head.logits.cross_entropy_for_logits(&labels));
    losses.sum::<Tensor>().backward();
    let skipped = skipped_by_all(&output);
    for parameter in store.parameters() {
        let gradient = parameter.tensor.grad();
        assert!(gradient.defined(), "{name}: `{}` has no gradient", parameter.name);
        let largest = gradient.abs().max().double_value(&[]);
        let in_skipped = skipped.iter().any(|block| {
            let inside = parameter.name.strip_prefix(block.as_str());
            inside.is_some_and(|name| !name.starts_with(".gate.") && !name.starts_with(".downsample."))
        });
        let may_be_zero = in_skipped || idle.is_some_and(|idle| parameter.name.contains(idle));
        assert!(
            largest.is_finite() && (largest > 0.0 || may_be_zero),
            "{name}: gradient of `{}` is {largest}",
            parameter.name
        );
    }
}

/// The blocks that every image skipped: nothing asks for the gradient of what they would compute, but for their gates.
fn skipped_by_all(output: &Output) -> Vec<String> {
    let all_skip = |decision: &Decision| {
        let runs = decision.chosen.as_ref().map(|chosen| chosen.select(2, 1).any());
        decision.is_skip() && runs.is_some_and(|runs| !bool::try_from(runs).unwrap())
    };
    output.trace.layers.iter().filter(|layer| all_skip(&layer.decision)).map(|layer| layer.name.clone()).collect()
}
