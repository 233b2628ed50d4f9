//! Networks that send each image through one of their paths.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::{BackEnd, Decision, MixerConfig, Normalisation, Pass, Split, Top1Config, Trace};
use mp_zoo::{InputSize, Model, ModelOptions, Output, RoutingConfig, cost_of};

const SMALL: InputSize = InputSize { channels: 3, size: 8, classes: 10 };
const IMAGES: i64 = 7;

fn options(split: Split) -> ModelOptions {
    let mixer = MixerConfig::Top1(Top1Config::default());
    ModelOptions::routed(SMALL, RoutingConfig { split, mixer, ..RoutingConfig::default() })
}

fn build(name: &str, split: Split) -> (Store, Model) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let model = mp_zoo::build(name, &options(split), &store.root()).unwrap();
    (store, model)
}

fn images() -> Tensor {
    let ramp = Tensor::arange(IMAGES * 3 * 64, (Kind::Double, Device::Cpu));
    (ramp * 0.7).sin().reshape([IMAGES, 3, 8, 8])
}

/// Routes that were drawn, so that the images are spread over the paths.
fn drawn(model: &Model) -> Output {
    let _no_grad = tch::no_grad_guard();
    tch::manual_seed(2);
    model.forward_in(&images(), Pass::eval().sampling()).unwrap()
}

fn forced(model: &Model, trace: &Trace, back_end: BackEnd) -> Output {
    let _no_grad = tch::no_grad_guard();
    let mut copy = Trace::new();
    trace.layers.iter().for_each(|layer| copy.push(&layer.name, layer.decision.shallow_clone()));
    model.forward_in(&images(), Pass::forcing(Mode::Eval, copy).computed_by(back_end)).unwrap()
}

fn assert_same(found: &Output, expected: &Output, what: &str) {
    assert!(found.logits().allclose(expected.logits(), 1e-9, 1e-9, false), "{what}");
}

#[test]
fn running_one_path_gives_what_running_all_paths_gives() {
    for (name, split) in [("resnet20_w4_x3_cc", Split::Gated), ("resnet20_w4_x3_cc", Split::Plain)] {
        let (_store, model) = build(name, split);
        let routes = drawn(&model);
        let (gathered, masked) =
            (forced(&model, &routes.trace, BackEnd::Gather), forced(&model, &routes.trace, BackEnd::MaskAll));
        assert_same(&gathered, &masked, name);
        assert_same(&gathered, &routes, name);
        let _no_grad = tch::no_grad_guard();
        let (all, alone) = (model.forward(&images(), Mode::Eval), model.forward(&images().narrow(0, 3, 1), Mode::Eval));
        assert!(alone.logits().allclose(&all.logits().narrow(0, 3, 1), 1e-9, 1e-9, false), "{name}, alone");
    }
}

#[test]
fn an_image_pays_for_one_path() {
    let name = "resnet20_w4_x3_cc";
    let (_store, model) = build(name, Split::Gated);
    let (work, one) = (model.work(), cost_of("resnet20_w4", &ModelOptions::new(SMALL)).unwrap());
    let routes = drawn(&model).trace;
    let routed = Vec::<f64>::try_from(routes.routed().unwrap()).unwrap();
    assert_eq!(routed, [one.multiply_adds as f64; IMAGES as usize], "a path is the single network");
    assert_eq!(routes.executed(), Some(IMAGES as u64 * one.multiply_adds));
    // What is always run are the gates: hidden layers of 16 units, three targets, for one source and twice for three.
    let gate = |channels: u64| 16 * channels + 16 * 3;
    assert_eq!(work.always, gate(3) + 2 * 3 * gate(4) + 3 * gate(8));
    assert_eq!(work.least, work.always + one.multiply_adds);
    assert_eq!(work.multiply_adds, work.always + 3 * one.multiply_adds);
}

#[test]
fn without_a_gated_split_all_paths_run_up_to_the_first_crossing() {
    let (_store, model) = build("resnet20_w4_x3_cc", Split::Plain);
    let trace = drawn(&model).trace;
    let layers: Vec<&str> = trace.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(layers, ["stage1", "stage2", "stage3"]);
    // Three stems, of 3 to 4 channels, are always run; then one path.
    let (stem, gates) = (3 * 4 * 9 * 64, 2 * 3 * (16 * 4 + 48) + 3 * (16 * 8 + 48));
    let one = cost_of("resnet20_w4", &ModelOptions::new(SMALL)).unwrap().multiply_adds;
    assert_eq!((model.work().always, model.work().least), (3 * stem + gates, 3 * stem + gates + one - stem));
    assert_eq!(trace.executed(), Some(IMAGES as u64 * (one - stem)));
}

#[test]
fn training_runs_what_was_drawn_and_every_gate_learns() {
    let (store, model) = build("resnet20_w4_x2_cc", Split::Gated);
    tch::manual_seed(1);
    let output = model.forward(&images(), Mode::Train);
    let executed: Vec<i64> = output.trace.layers.iter().map(|layer| layer.decision.executed.iter().sum()).collect();
    assert_eq!(executed, [IMAGES; 4]);
    output.logits().cross_entropy_for_logits(&Tensor::arange(IMAGES, (Kind::Int64, Device::Cpu))).backward();
    for parameter in store.parameters() {
        let gradient = parameter.tensor.grad();
        assert!(gradient.defined() && bool::try_from(gradient.isfinite().all()).unwrap(), "{}", parameter.name);
        if parameter.name.ends_with("gate.bias2") {
            assert!(gradient.abs().max().double_value(&[]) > 0.0, "{}", parameter.name);
        }
    }
}

#[test]
fn mean_routes_run_through_the_same_code() {
    let (_store, model) = build("resnet20_w4_x2_cc", Split::Gated);
    let mut means = Trace::new();
    for layer in &drawn(&model).trace.layers {
        let (_, sources, targets) = layer.decision.size();
        let mean = layer.decision.weights.mean_dim([0_i64].as_slice(), true, None);
        let mean = mean.expand([IMAGES, sources, targets], false);
        means.push(&layer.name, Decision::soft(mean, None, Normalisation::Targets));
    }
    let output = forced(&model, &means, BackEnd::Gather);
    assert!(bool::try_from(output.logits().isfinite().all()).unwrap());
    assert_eq!(
        output.trace.executed(),
        output.trace.routed().map(|all| all.sum(Kind::Double).double_value(&[]) as u64)
    );
}

#[test]
fn hard_and_soft_gates_have_the_same_weights() {
    let names = |mixer: &str| {
        let store = Store::new(Device::Cpu, 0);
        let mixer: MixerConfig = toml::from_str(mixer).unwrap();
        let routing = RoutingConfig { split: Split::Gated, mixer, ..RoutingConfig::default() };
        mp_zoo::build("resnet20_w4_x2_cc", &ModelOptions::routed(SMALL, routing), &store.root()).unwrap();
        store.entries().into_iter().map(|entry| (entry.name, entry.tensor.size())).collect::<Vec<_>>()
    };
    assert_eq!(names("kind = \"top1\"\ninput = \"mean\""), names("kind = \"gate\""));
    assert_eq!(names("kind = \"top1\""), names("kind = \"gate\"\ninput = \"standardised\""));
}

#[test]
fn what_cannot_be_hard_is_refused_in_one_line() {
    let message = |name: &str| {
        let store = Store::new(Device::Cpu, 0);
        mp_zoo::build(name, &options(Split::Gated), &store.root()).err().unwrap().to_string()
    };
    assert_eq!(
        message("resnet20_w4_x2_cp"),
        "hard routes cannot stand before the layer `stage1`: a cross-prediction mixes what every path predicts: use \
         cross-connections, `_cc`"
    );
    assert!(message("aig20_w4_x2_cc").contains("its blocks decide by themselves"));
}
