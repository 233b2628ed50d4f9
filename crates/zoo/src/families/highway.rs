//! The highway network of 19 layers for CIFAR (Srivastava, Greff and Schmidhuber, arXiv 1507.06228, "highway B").
//!
//! | stage | layers | then |
//! |---|---|---|
//! | `stage1` | dropout 0.2, 3x3 convolution to 32, four highway layers | 2x2 max-pool |
//! | `stage2` | dropout 0.2, 3x3 convolution to 80, five highway layers | 2x2 max-pool |
//! | `stage3` | dropout 0.2, 3x3 convolution to 128, five highway layers, 1x1 convolution to 100 | mean, dropout 0.2 |
//!
//! There is no batch-norm. The layers and starts are those of the authors' file, but for the first convolution, whose
//! deviation of 0.05 that file gives in a field that Caffe does not read. The last convolution has 100 maps whatever the width.

use mp_blocks::{HighwayConfig, PlainConvConfig, Pooling};
use mp_nn::{BiasInit, WeightInit};

use super::CIFAR;
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[Family {
    name: "highway19",
    summary: "19 highway layers for 32x32 images (arXiv 1507.06228)",
    native: CIFAR,
    knob: Knob::width(32),
    make: Make::Chain(plan),
}];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let normal = WeightInit::Normal { std: 0.05 };
    let bias_init = BiasInit::Constant(0.0);
    let mut plan = Plan::new(interface);
    for (number, (width, layers)) in (1..).zip([(32, 4), (80, 5), (128, 5)]) {
        let stage = format!("stage{number}");
        let conv = PlainConvConfig {
            dropout_before: 0.2,
            init: if number == 1 { normal } else { WeightInit::XavierUniform },
            bias_init,
            ..PlainConvConfig::new(size.scaled(width, 4), 3)
        };
        plan.push(&stage, conv)?.named("").renamed("conv1", format!("stem{number}"));
        for layer in 0..layers {
            let ends = layer + 1 == layers && number < 3;
            let pools = if ends { vec![Pooling::max(2, 2)] } else { Vec::new() };
            plan.push(&stage, HighwayConfig { pools, ..HighwayConfig::default() })?
                .named(format!("hw{number}.{layer}"));
        }
    }
    let last = PlainConvConfig { init: WeightInit::XavierUniform, bias_init, ..PlainConvConfig::new(100, 1) };
    plan.push("stage3", last)?.named("").renamed("conv1", "last");
    plan.head(HeadPlan { dropout: 0.2, init: normal, bias_init, ..HeadPlan::default() });
    Ok(plan)
}
