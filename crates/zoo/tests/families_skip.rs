//! Narrow forms of the networks that images skip parts of: each does what every network must.

mod common;

use common::check_network;
use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::{BackEnd, Decision, Normalisation, Pass, Trace};
use mp_zoo::{InputSize, Model, ModelOptions, Output, cost_of};

const SMALL: InputSize = InputSize { channels: 3, size: 8, classes: 10 };

#[test]
fn aig20() {
    check_network("aig20_w4", SMALL);
}

#[test]
fn aig38() {
    check_network("aig38_w2", SMALL);
}

#[test]
fn aig110() {
    check_network("aig110_w2", SMALL);
}

#[test]
fn skipnet20() {
    check_network("skipnet20_w4", SMALL);
}

#[test]
fn skipnet38() {
    check_network("skipnet38_w4", SMALL);
}

#[test]
fn skipnet74() {
    check_network("skipnet74_w4", SMALL);
}

#[test]
fn skipnet110() {
    check_network("skipnet110_w4", SMALL);
}

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

#[test]
fn published_sizes() {
    // 1,730,714 of the host and 35,916 of the gates; 253 million multiply-adds, of which the gates are 33 thousand.
    let aig = cost_of("aig110", &ModelOptions::new(CIFAR)).unwrap();
    let host = cost_of("resnet110", &ModelOptions::new(CIFAR)).unwrap();
    assert_eq!((aig.parameters, host.parameters), (1_766_630, 1_730_714));
    assert_eq!(aig.multiply_adds - host.multiply_adds, GATES_OF_AIG);
    assert_eq!(host.always, host.multiply_adds);
    // Stem, gates, the two shortcuts that change shape, and the dense layer.
    let stem_and_head = 3 * 16 * 9 * 1024 + 640;
    let shortcuts = 16 * 32 * 256 + 32 * 64 * 64;
    assert_eq!(aig.always, stem_and_head + shortcuts + GATES_OF_AIG);
}

/// `16 C + 32` a gate: 18 gates and one more of 16 channels, 17 and one more of 32, 17 of 64.
const GATES_OF_AIG: u64 = 19 * (16 * 16 + 32) + 18 * (16 * 32 + 32) + 17 * (16 * 64 + 32);

#[test]
fn a_gate_of_skipnet_costs_a_share_of_its_block() {
    // Gate I is 15.6% of a basic block, gate II 12.5%: 9 C² on a quarter of the map and again on a sixteenth, against 18 C² on
    // all of it.
    for (name, share) in [("skipnet38", 0.156), ("skipnet110", 0.125)] {
        let skipnet = cost_of(name, &ModelOptions::new(CIFAR)).unwrap();
        let blocks = skipnet.multiply_adds - skipnet.always;
        let gates =
            skipnet.always - (3 * 16 * 9 * 1024 + 640) - (16 * 32 * 256 + 32 * 64 * 64) - 2 * 16 * 16 * 9 * 1024;
        let found = gates as f64 / blocks as f64;
        assert!((found - share).abs() < 0.01, "{name}: {found}");
    }
}

fn build(name: &str) -> (Store, Model) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let model = mp_zoo::build(name, &ModelOptions::new(SMALL), &store.root()).unwrap();
    (store, model)
}

const IMAGES: i64 = 6;

fn images() -> Tensor {
    let ramp = Tensor::arange(IMAGES * 3 * 64, (Kind::Double, Device::Cpu));
    (ramp * 0.7).sin().reshape([IMAGES, 3, 8, 8])
}

/// Routes that were drawn, so that some images run a block and others do not.
fn drawn(model: &Model, seed: i64) -> Output {
    let _no_grad = tch::no_grad_guard();
    tch::manual_seed(seed);
    model.forward_in(&images(), Pass::eval().sampling()).unwrap()
}

fn copied(trace: &Trace) -> Trace {
    let mut copy = Trace::new();
    trace.layers.iter().for_each(|layer| copy.push(&layer.name, layer.decision.shallow_clone()));
    copy
}

fn forced(model: &Model, trace: &Trace, back_end: BackEnd) -> Output {
    let _no_grad = tch::no_grad_guard();
    model.forward_in(&images(), Pass::forcing(Mode::Eval, copied(trace)).computed_by(back_end)).unwrap()
}

#[test]
fn running_what_was_chosen_gives_what_running_everything_gives() {
    for name in ["aig20_w4", "skipnet20_w4"] {
        let (_store, model) = build(name);
        let routes = drawn(&model, 1);
        let (gathered, masked) =
            (forced(&model, &routes.trace, BackEnd::Gather), forced(&model, &routes.trace, BackEnd::MaskAll));
        assert!(gathered.logits().allclose(masked.logits(), 1e-9, 1e-9, false), "{name}");
        // What was executed is what was chosen, and everything.
        let routed = routes.trace.routed().unwrap().sum(Kind::Double).double_value(&[]) as u64;
        assert_eq!((gathered.trace.executed(), routes.trace.executed()), (Some(routed), Some(routed)), "{name}");
        let cost = cost_of(name, &ModelOptions::new(SMALL)).unwrap();
        let everything = IMAGES as u64 * (cost.multiply_adds - cost.always);
        assert_eq!(masked.trace.executed(), Some(everything), "{name}");
        assert!(0 < routed && routed < everything, "{name}: {routed} of {everything}");
    }
}

#[test]
fn the_same_seed_draws_the_same_routes() {
    let (_store, model) = build("aig20_w4");
    let bits = |seed| {
        let weights: Vec<Tensor> = drawn(&model, seed).trace.layers.into_iter().map(|l| l.decision.weights).collect();
        Tensor::stack(&weights, 0)
    };
    assert!(bits(5).equal(&bits(5)) && !bits(5).equal(&bits(6)));
}

/// Every gate replaced by how often it is open: the network without a router.
#[test]
fn mean_routes_run_through_the_same_code() {
    for name in ["aig20_w4", "skipnet20_w4"] {
        let (_store, model) = build(name);
        let mut means = Trace::new();
        for layer in &drawn(&model, 1).trace.layers {
            let mean = layer.decision.weights.mean_dim([0_i64].as_slice(), true, None).expand([IMAGES, 1, 2], false);
            means.push(&layer.name, Decision::soft(mean, None, Normalisation::Targets));
        }
        let output = forced(&model, &means, BackEnd::Gather);
        assert!(bool::try_from(output.logits().isfinite().all()).unwrap());
        // Everything runs, as no image chose.
        let cost = cost_of(name, &ModelOptions::new(SMALL)).unwrap();
        assert_eq!(output.trace.executed(), Some(IMAGES as u64 * (cost.multiply_adds - cost.always)), "{name}");
    }
}

#[test]
fn a_higher_threshold_runs_less() {
    let (_store, mut model) = build("aig20_w4");
    let mut kept = Vec::new();
    for threshold in [0.0, 0.5, 0.8701, 1.0] {
        model.set_threshold(threshold);
        let _no_grad = tch::no_grad_guard();
        kept.push(model.forward(&images(), Mode::Eval).trace.executed().unwrap());
    }
    // All gates start at a probability of about 0.870.
    assert!(kept[0] == kept[1] && kept[1] >= kept[2] && kept[2] >= kept[3] && kept[3] == 0, "{kept:?}");
}
