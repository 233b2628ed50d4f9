//! Network in Network (Lin, Chen and Yan, arXiv 1312.4400), for CIFAR: 1x1 convolutions after every larger one, and no dense
//! layer, since the last convolution has a map for each class.
//!
//! | stage | convolutions | then |
//! |---|---|---|
//! | `stage1` | 5x5 to 192, 1x1 to 160, 1x1 to 96 | 3x3 max-pool with a step of 2, dropout 0.5 |
//! | `stage2` | 5x5 to 192, 1x1 to 192, 1x1 to 192 | the same |
//! | `stage3` | 3x3 to 192, 1x1 to 192, 1x1 to the classes | mean |
//!
//! As in the authors' file, a ReLU follows the class maps too, the second pool takes the largest and not the mean, and pools
//! round up; ports differ in all three. Names of the weights are those of a port (Jiecao Yu's).

use mp_blocks::{PlainConvConfig, Pooling};
use mp_nn::{BiasInit, WeightInit};

use super::CIFAR;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[Family {
    name: "nin",
    summary: "Network in Network for 32x32 images (arXiv 1312.4400)",
    native: CIFAR,
    knob: Knob::width(192),
    make: Make::Chain(plan),
}];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 4);
    let stages = [
        [(5, w(192), "0"), (1, w(160), "2"), (1, w(96), "4")],
        [(5, w(192), "8"), (1, w(192), "10"), (1, w(192), "12")],
        [(3, w(192), "16"), (1, w(192), "18"), (1, interface.first_classes(), "20")],
    ];
    let mut plan = Plan::new(interface);
    for (number, stage) in (1..).zip(stages) {
        for (at, (kernel, width, place)) in (1..).zip(stage) {
            let (pools, dropout) = match (number, at) {
                (3, 3) => (vec![Pooling::GlobalAverage], 0.0),
                (_, 3) => (vec![Pooling::max_ceil(3, 2)], 0.5),
                _ => (Vec::new(), 0.0),
            };
            let conv = PlainConvConfig {
                init: WeightInit::Normal { std: 0.05 },
                bias_init: BiasInit::Constant(0.0),
                pools,
                dropout,
                ..PlainConvConfig::new(width, kernel)
            };
            plan.push(&format!("stage{number}"), conv)?.named("classifier").renamed("conv1", place);
        }
    }
    plan.without_head();
    Ok(plan)
}
