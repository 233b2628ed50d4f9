//! A reconstruction of the multi-path convolutional network of Wang (arXiv 1506.04701).
//!
//! Known is the idea: several versions of an image go through convolutional paths without common weights, which are trained
//! together and joined, so that they learn what complements each other. We found neither sizes, nor which versions, nor where
//! the paths join. Ours are all of these:
//!
//! | part | layers | output for 32x32 |
//! |---|---|---|
//! | every path | 5x5 to 64, pool; 5x5 to 128, pool; 3x3 to 192; 3x3 to 128, pool | 128 of 4x4 |
//! | joined | dense 512 of all paths' features, dropout 0.5 | 512 |
//!
//! Pools take the largest of 3x3 windows with a step of 2 and a padding of 1. `wang_paths` has a path for the image and one
//! for its middle half, enlarged; `wang_paths3` has a third for the blurred image. To find what the versions add,
//! `wang_paths_same` gives both paths the image itself, and `wang_path` has one path.
//!
//! Unlike the parallel paths of the other names (`_x2`), these are part of the single-path network: `wang_paths_x2` has two
//! of each.

use mp_blocks::{ConcatConfig, ImageView, NamedBlock, PlainConvConfig, PlainDenseConfig, Pooling, SequenceConfig};
use mp_nn::MaxPool2d;

use super::CIFAR;
use super::inception::at;
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

const fn family(
    name: &'static str,
    summary: &'static str,
    make: fn(&Size, &Interface) -> Result<Plan, Error>,
) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(64), make: Make::Chain(make) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("wang_paths", "two paths for two versions of the image; after arXiv 1506.04701", |size, interface| {
        plan(size, interface, &[ImageView::Original, ImageView::Centre])
    }),
    family("wang_paths3", "wang_paths with a third path for the blurred image", |size, interface| {
        plan(size, interface, &[ImageView::Original, ImageView::Centre, ImageView::Blurred])
    }),
    family("wang_paths_same", "wang_paths with the image itself in both paths", |size, interface| {
        plan(size, interface, &[ImageView::Original; 2])
    }),
    family("wang_path", "wang_paths with one path", |size, interface| plan(size, interface, &[ImageView::Original])),
];

fn plan(size: &Size, interface: &Interface, views: &[ImageView]) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let paths = (1..).zip(views).map(|(number, view)| at(format!("view{number}"), path(size, *view)));
    plan.push("views", ConcatConfig(paths.collect()))?.named("");
    let dense = PlainDenseConfig { dropout: 0.5, ..PlainDenseConfig::new(size.scaled(512, 4)) };
    plan.push("dense", dense)?.named("").renamed("dense1", "fc1");
    plan.head(HeadPlan::named("fc2"));
    Ok(plan)
}

fn path(size: &Size, view: ImageView) -> SequenceConfig {
    let half = Pooling::Max(MaxPool2d { padding: 1, ..MaxPool2d::new(3, 2) });
    let conv = |name, width, kernel: i64, pools: Vec<Pooling>| {
        at("", PlainConvConfig { names: [name, "bn"], pools, ..PlainConvConfig::new(size.scaled(width, 4), kernel) })
    };
    let steps: Vec<NamedBlock> = vec![
        at("", view),
        conv("conv1", 64, 5, vec![half]),
        conv("conv2", 128, 5, vec![half]),
        conv("conv3", 192, 3, Vec::new()),
        conv("conv4", 128, 3, vec![half, Pooling::Flatten]),
    ];
    SequenceConfig(steps)
}
