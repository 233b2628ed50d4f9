//! Under bfloat16 autocast, maps are mixed in bfloat16 and everything about the gates is decided in float32.

use mp_native::Autocast;
use mp_nn::{Device, Kind, Store, Tensor, WeightInit};
use mp_routing::{
    ConvShape, CrossConnectionConfig, CrossPredictionConfig, Form, Pass, RoutingLossConfig, RoutingShape,
};

fn maps(kind: Kind) -> [Tensor; 2] {
    // The tests run side by side; the tensors are too small to share one among threads.
    tch::set_num_threads(1);
    [0, 1].map(|_| Tensor::randn([4, 8, 6, 6], (Kind::Float, Device::Cpu)).to_kind(kind))
}

fn assert_trained(store: &Store) {
    for entry in store.parameters() {
        let gradient = entry.tensor.grad();
        assert!(gradient.defined(), "no gradient of {}", entry.name);
        assert_eq!(gradient.kind(), Kind::Float, "{}", entry.name);
        assert!(f64::try_from(gradient.abs().sum(Kind::Float)).unwrap().is_finite(), "{}", entry.name);
    }
}

#[test]
fn a_cross_connection_keeps_the_kind_of_the_maps_and_routes_in_float32() {
    let store = Store::new(Device::Cpu, 0);
    let cross = CrossConnectionConfig::default().build(&store.root(), "cross", RoutingShape::square(2, 8)).unwrap();
    let losses = RoutingLossConfig { importance: 1.0, load: 1.0, balance: 1.0, z_loss: 1.0, ..Default::default() };
    let xs = maps(Kind::BFloat16);
    let mut pass = Pass::train();
    let objective = {
        let _bf16 = Autocast::bf16_cpu();
        let ys = cross.forward(&xs, &mut pass);
        assert!(ys.iter().all(|y| y.kind() == Kind::BFloat16));
        let total = losses.total(&pass.trace).unwrap().unwrap();
        assert_eq!(total.kind(), Kind::Float);
        ys.iter().map(|y| y.square().sum(Kind::Float)).sum::<Tensor>() + total
    };
    let routes = &pass.trace.layers[0].decision;
    assert_eq!((routes.weights.kind(), routes.logits.as_ref().unwrap().kind()), (Kind::Float, Kind::Float));
    objective.backward();
    assert_trained(&store);

    let exact: Vec<Tensor> = xs.iter().map(|x| x.to_kind(Kind::Float)).collect();
    let mut float = Pass::train();
    cross.forward(&exact, &mut float);
    // The products of the gate have 8 bits.
    assert!(routes.weights.allclose(&float.trace.layers[0].decision.weights, 0.0, 0.02, false));
}

#[test]
fn both_forms_of_cross_prediction_run_in_bfloat16() {
    for form in [Form::Direct, Form::Gated] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let store = Store::new(Device::Cpu, 0);
            let conv = ConvShape {
                out_channels: 4,
                kernel: 3,
                stride: 1,
                padding: 1,
                bias: true,
                init: WeightInit::KaimingUniform,
            };
            let config = CrossPredictionConfig { form, ..Default::default() };
            let cross = config.build(&store.root(), "cross", RoutingShape::square(2, 8), conv).unwrap();
            let objective = {
                let _bf16 = Autocast::bf16_cpu();
                let (ys, routes) = cross.forward(&maps(kind), &mut Pass::train());
                assert_eq!(routes.weights.kind(), Kind::Float);
                assert!(ys.iter().all(|y| y.kind() == Kind::BFloat16), "{form:?} of {kind:?}");
                ys.iter().map(|y| y.square().sum(Kind::Float)).sum::<Tensor>()
            };
            objective.backward();
            assert_trained(&store);
        }
    }
}
