//! Three residual paths, cross-connected twice: what comes out, and where the samples went.

use mp_blocks::{BasicBlockConfig, BlockConfig, CrossingConfig, PathsConfig};
use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::{MixerConfig, Split, Trace};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::new(Device::Cpu, 0);
    let root = store.root();
    let split = Split::Gated.build(&MixerConfig::default(), &(&root / "split"), "split", 3, 8)?;
    let layers = ["stage1", "stage2"].map(|name| {
        let block = BasicBlockConfig { in_channels: 8, out_channels: 8, stride: 1 };
        PathsConfig {
            crossing: CrossingConfig::Connection(MixerConfig::default()),
            ..PathsConfig::new(BlockConfig::Basic(block), 3)
        }
        .build(&(&root / name), name)
    });

    let x = Tensor::randn([2, 8, 16, 16], (Kind::Float, Device::Cpu));
    let mut trace = Trace::new();
    let mut xs = split.forward(&x, &mut trace);
    for layer in layers {
        xs = layer?.forward(&xs, Mode::Eval, &mut trace);
    }
    for layer in &trace.layers {
        println!("{}: the first sample's weights from each source to each target", layer.name);
        layer.routes.weights.get(0).print();
    }
    println!("{} paths of {:?}", xs.len(), xs[0].size());
    Ok(())
}
