//! Three residual paths, cross-connected twice: what comes out, and where the samples went.

use mp_blocks::{CrossingConfig, PathsConfig, ResidualConfig, Shape};
use mp_nn::{Device, Kind, Store, Tensor};
use mp_routing::{MixerConfig, Pass, SharedRouter, Split};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::new(Device::Cpu, 0);
    let root = store.root();
    let gate: SharedRouter = MixerConfig::default().into();
    let split = Split::Gated.build(&gate, &(&root / "split"), "split", 3, 8)?;
    let layers = ["stage1", "stage2"].map(|name| {
        PathsConfig {
            crossing: CrossingConfig::Connection(gate.clone()),
            ..PathsConfig::new(ResidualConfig::basic(8, 1), 3)
        }
        .build(Shape::square(8, 16), &(&root / name), name)
    });

    let x = Tensor::randn([2, 8, 16, 16], (Kind::Float, Device::Cpu));
    let mut pass = Pass::eval();
    let mut xs = split.forward(&x, &mut pass);
    for layer in layers {
        xs = layer?.flow(&xs, &mut pass);
    }
    for layer in &pass.trace.layers {
        println!("{}: the first sample's weights from each source to each target", layer.name);
        layer.decision.weights.get(0).print();
    }
    println!("{} paths of {:?}", xs.xs.len(), xs.xs[0].size());
    Ok(())
}
