//! A two-layer network on random numbers: how parameters are named, counted and saved.

use mp_nn::{Device, Kind, LinearConfig, Mode, Module, Store, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::new(Device::Cpu, 0);
    let root = store.root();
    let hidden = LinearConfig::new(64, 32).build(&(&root / "hidden"))?;
    let output = LinearConfig::new(32, 10).build(&(&root / "output"))?;
    let forward = |x: &Tensor| output.forward(&hidden.forward(x, Mode::Eval).relu(), Mode::Eval);

    let images = Tensor::rand([1, 64], (Kind::Float, Device::Cpu));
    let (logits, multiply_adds) = store.meter().measure(|| forward(&images));
    for entry in store.entries() {
        println!("{:<16} {:?} {:?}", entry.name, entry.tensor.size(), entry.role);
    }
    println!("{} parameters, {multiply_adds} multiply-adds, logits {:?}", store.parameter_count(), logits.size());

    let file = tempfile::NamedTempFile::new()?;
    store.save(file.path())?;
    store.load(file.path())?;
    Ok(())
}
