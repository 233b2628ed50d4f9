//! The same product in float32 and in bfloat16: types, and how far the results are apart.

use mp_native::Autocast;
use tch::{Device, Kind, Tensor};

fn main() {
    tch::manual_seed(0);
    let a = Tensor::randn([64, 64], (Kind::Float, Device::Cpu));
    let plain = a.matmul(&a);
    let cast = {
        let _bf16 = Autocast::bf16_cpu();
        a.matmul(&a)
    };
    let difference = (cast.to_kind(Kind::Float) - &plain).abs().max().double_value(&[]);
    println!("{:?} and {:?}: largest difference {difference:.3}", plain.kind(), cast.kind());
}
