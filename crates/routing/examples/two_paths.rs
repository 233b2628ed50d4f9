//! Routes two toy paths and prints what the gates did: `cargo run -p mp-routing --example two_paths`.
//!
//! Channel 1 of an input is bright for class 0, channel 2 for class 1. The gates are trained to send the first class to
//! path 1 and the second to path 2, so the mutual information between input and route rises from 0 towards ln 2.

use mp_nn::{Device, Kind, Store, Tensor};
use mp_routing::{CrossConnection, CrossConnectionConfig, LayerStatistics, Pass, RouteAccumulator, RoutingShape};

const STEPS: usize = 60;
const LEARNING_RATE: f64 = 1.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let store = Store::new(Device::Cpu, 0);
    let cross = CrossConnectionConfig::default().build(&store.root(), "toy", RoutingShape::square(2, 2))?;
    let labels = Tensor::arange(64, (Kind::Int64, Device::Cpu)).remainder(2);
    let xs = [sources(&labels), sources(&labels)];

    println!("before training");
    print(&statistics(&cross, &xs, &labels)?);
    for _ in 0..STEPS {
        let mut pass = Pass::train();
        cross.forward(&xs, &mut pass);
        // The chance of the wrong target, of both sources.
        let wrong = (1_i64 - &labels).view([-1, 1, 1]).expand([-1, 2, 1], false);
        let loss = pass.trace.layers[0].decision.weights.gather(2, &wrong, false).mean(None);
        loss.backward();
        let _no_grad = tch::no_grad_guard();
        for mut parameter in store.parameters() {
            parameter.tensor -= parameter.tensor.grad() * LEARNING_RATE;
            parameter.tensor.zero_grad();
        }
    }
    println!("after {STEPS} steps");
    print(&statistics(&cross, &xs, &labels)?);
    Ok(())
}

/// One path's maps `[B, 2, 8, 8]`: the channel of the class is bright, in noise.
fn sources(labels: &Tensor) -> Tensor {
    let bright = labels.one_hot(2).to_kind(Kind::Float).view([-1, 2, 1, 1]);
    bright + Tensor::randn([labels.size()[0], 2, 8, 8], (Kind::Float, Device::Cpu)) * 0.5
}

fn statistics(
    cross: &CrossConnection,
    xs: &[Tensor],
    labels: &Tensor,
) -> Result<Vec<LayerStatistics>, mp_routing::Error> {
    let mut pass = Pass::train();
    cross.forward(xs, &mut pass);
    let mut accumulator = RouteAccumulator::new(2);
    accumulator.add(&pass.trace, labels)?;
    accumulator.finish()
}

fn print(layers: &[LayerStatistics]) {
    for layer in layers {
        println!("  layer `{}`, {} samples", layer.name, layer.samples);
        println!("    entropy of the mean gate {:.3} nats", layer.entropy_of_mean);
        println!("    mean entropy of a sample {:.3} nats", layer.mean_entropy);
        println!("    mutual information       {:.3} nats", layer.mutual_information);
        for (class, gates) in layer.by_class.iter().enumerate() {
            println!("    class {class}: mean gates {gates:.2?}");
        }
    }
}
