//! What must hold between models that differ only in how their paths are joined.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::{Form, GateConfig, Merge, MixerConfig, Split};
use mp_zoo::{HeadRole, InputSize, Model, ModelOptions, Positions, RoutingConfig};

const INPUT: InputSize = InputSize { channels: 3, size: 16, classes: 10 };

fn build(name: &str, routing: RoutingConfig) -> (Store, Model) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 7);
    let model = mp_zoo::build(name, &ModelOptions::routed(INPUT, routing), &store.root()).unwrap();
    (store, model)
}

fn images() -> Tensor {
    (Tensor::arange(2 * 3 * 16 * 16, (Kind::Double, Device::Cpu)) * 0.7).sin().reshape([2, 3, 16, 16])
}

fn assert_same(a: &Tensor, b: &Tensor) {
    let difference = (a - b).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "largest difference {difference}");
}

#[test]
fn identity_weights_are_independent_paths() {
    // Starting values depend on names alone, so the same seed gives both models the same blocks.
    let routing = RoutingConfig { mixer: MixerConfig::IDENTITY, ..Default::default() };
    let routed = build("resnet20_w4_x3_cc", routing).1.forward(&images(), Mode::Train);
    let unrouted = build("resnet20_w4_x3", RoutingConfig::default()).1.forward(&images(), Mode::Train);
    assert_same(routed.logits(), unrouted.logits());
    assert_eq!((routed.trace.layers.len(), unrouted.trace.layers.len()), (3, 0));
}

#[test]
fn uniform_weights_before_every_block_end_the_differences_between_paths() {
    // From the last mix on, all paths get the same input: with the blocks' own weights made equal, so are the outputs.
    let routing = RoutingConfig { mixer: MixerConfig::UNIFORM, positions: Positions::Blocks, ..Default::default() };
    let (store, model) = build("resnet20_w4_x2_cc", routing);
    let _no_grad = tch::no_grad_guard();
    let entries = store.entries();
    for entry in entries.iter().filter(|e| !e.name.starts_with("stem") && e.name.contains("path2")) {
        let first = entry.name.replace("path2", "path1");
        let source = entries.iter().find(|e| e.name == first).unwrap();
        entry.tensor.shallow_clone().copy_(&source.tensor);
    }
    let output = model.forward(&images(), Mode::Eval);
    let paths: Vec<&Tensor> = output.of(HeadRole::Path).collect();
    assert_same(paths[0], paths[1]);
}

#[test]
fn both_forms_of_cross_prediction_agree() {
    let of = |form| {
        build("base_cnn_w4_x3_cp", RoutingConfig { form, ..Default::default() }).1.forward(&images(), Mode::Train)
    };
    assert_same(of(Form::Direct).logits(), of(Form::Gated).logits());
}

#[test]
fn a_member_of_an_ensemble_is_the_single_network() {
    let (ensemble_store, ensemble) = build("resnet20_w4_e2", RoutingConfig::default());
    let (single_store, single) = build("resnet20_w4", RoutingConfig::default());
    let _no_grad = tch::no_grad_guard();
    let entries = ensemble_store.entries();
    for entry in single_store.entries() {
        let of_member = format!("member2.{}", entry.name);
        let source = entries.iter().find(|e| e.name == of_member).unwrap();
        entry.tensor.shallow_clone().copy_(&source.tensor);
    }
    let output = ensemble.forward(&images(), Mode::Eval);
    let members: Vec<&Tensor> = output.of(HeadRole::Member).collect();
    assert_same(members[1], single.forward(&images(), Mode::Eval).logits());
    let mean = (members[0].softmax(1, None) + members[1].softmax(1, None)) / 2.0;
    assert_same(&output.logits().softmax(1, None), &mean);
}

#[test]
fn positions_and_split_decide_what_is_traced() {
    let traced = |routing| {
        let output = build("resnet20_w4_x2_cc", routing).1.forward(&images(), Mode::Eval);
        output.trace.layers.iter().map(|l| l.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(traced(RoutingConfig::default()), ["stage1", "stage2", "stage3"]);
    let list = Positions::List(vec!["stage3".into(), "stage1.2".into()]);
    let routing = RoutingConfig { positions: list, split: Split::Gated, ..Default::default() };
    assert_eq!(traced(routing), ["split", "stage1.2", "stage3"]);
    let blocks = traced(RoutingConfig { positions: Positions::Blocks, ..Default::default() });
    assert_eq!((blocks.len(), blocks[1].as_str()), (9, "stage1.1"));
}

#[test]
fn merged_probabilities_are_the_mean_of_the_paths() {
    let routing = RoutingConfig { merge: Merge::Probabilities, ..Default::default() };
    let output = build("base_cnn_w4_x2", routing).1.forward(&images(), Mode::Eval);
    let paths: Vec<&Tensor> = output.of(HeadRole::Path).collect();
    let mean = (paths[0].softmax(1, None) + paths[1].softmax(1, None)) / 2.0;
    assert_same(&output.logits().softmax(1, None), &mean);
}

#[test]
fn blind_paths_have_the_parameters_of_those_that_see_and_route_all_images_alike() {
    let (seeing_store, _) = build("resnet20_w4_x2_cc", RoutingConfig::default());
    let (store, blind) = build("resnet20_w4_x2_blind", RoutingConfig::default());
    let parameters =
        |store: &Store| store.parameters().into_iter().map(|e| (e.name, e.tensor.size())).collect::<Vec<_>>();
    assert_eq!(parameters(&store), parameters(&seeing_store));
    for mode in [Mode::Train, Mode::Eval] {
        for layer in blind.forward(&images(), mode).trace.layers {
            let weights = layer.decision.weights;
            assert!(weights.get(0).equal(&weights.get(1)), "{}", layer.name);
        }
    }
}

#[test]
fn residual_routes_are_forced_as_they_were_found() {
    // Y_j = X_j + sum_i g_ij X_i, forced as found: through a cross-connection, and through a cross-prediction with the
    // shortcut of its block.
    let mixer = MixerConfig::Gate(GateConfig { residual: true, ..Default::default() });
    for name in ["resnet20_w4_x2_cc", "resnet20_w4_x2_cp"] {
        let (_store, model) = build(name, RoutingConfig { mixer: mixer.clone(), ..Default::default() });
        let output = model.forward(&images(), Mode::Eval);
        let logits = output.logits().shallow_clone();
        for layer in &output.trace.layers {
            let sums = layer.decision.weights.sum_dim_intlist([2_i64].as_slice(), false, None);
            assert_same(&sums, &sums.ones_like());
        }
        assert_same(model.forward_forced(&images(), Mode::Eval, output.trace).unwrap().logits(), &logits);
        let (_plain_store, plain) = build(name, RoutingConfig::default());
        let difference = (plain.forward(&images(), Mode::Eval).logits() - logits).abs().max().double_value(&[]);
        assert!(difference > 1e-6, "{name}: nothing came beside what the gates send");
    }
}

#[test]
fn routing_config_reads_from_toml() {
    let text = "positions = [\"stage2\"]\nsplit = \"gated\"\n[mixer]\nkind = \"gate\"\ntemperature = 0.5";
    let routing: RoutingConfig = toml::from_str(text).unwrap();
    assert_eq!(routing.positions, Positions::List(vec!["stage2".into()]));
    assert_eq!(toml::from_str::<RoutingConfig>(&toml::to_string(&routing).unwrap()).unwrap(), routing);
    let error = toml::from_str::<RoutingConfig>("positions = \"stage\"").unwrap_err();
    assert!(error.message().contains("expected \"stages\", \"blocks\" or a list"), "{error}");
}

#[test]
fn features_are_kept_where_they_are_asked_for() {
    let (_, single) = build("resnet20_w4", RoutingConfig::default());
    let output = single.forward_tapping(&images(), Mode::Eval, &["stage2.1", "stage1", "stage9"]);
    let kept: Vec<_> = output.taps.iter().map(|(name, x)| (name.as_str(), x.size())).collect();
    assert_eq!(kept, [("stage1", vec![2, 4, 16, 16]), ("stage2.1", vec![2, 8, 8, 8])]);
    assert!(single.forward(&images(), Mode::Eval).taps.is_empty());

    let (_, paths) = build("resnet20_w4_x2_cc", RoutingConfig::default());
    let output = paths.forward_tapping(&images(), Mode::Eval, &["stage3.path2"]);
    assert_eq!(output.taps[0].1.size(), [2, 16, 4, 4]);
}

#[test]
fn the_routes_of_a_pass_give_its_logits_again_when_they_are_forced() {
    for name in ["resnet20_w4_x3_cc", "base_cnn_w4_x2_cp"] {
        let (_, model) = build(name, RoutingConfig { split: Split::Gated, ..Default::default() });
        let free = model.forward(&images(), Mode::Eval);
        let logits = free.logits().shallow_clone();
        assert_same(model.forward_forced(&images(), Mode::Eval, free.trace).unwrap().logits(), &logits);
    }
    let (_, model) = build("resnet20_w4_x2_cc", RoutingConfig::default());
    let other = build("resnet20_w4_x3_cc", RoutingConfig::default()).1.forward(&images(), Mode::Eval).trace;
    let message = model.forward_forced(&images(), Mode::Eval, other).err().unwrap().to_string();
    assert_eq!(
        message,
        "the forced routes do not fit: expected `stage1` [2, 2, 2], but the trace holds `stage1` [2, 3, 3]"
    );
}
