//! A program with its own block, its own weights between paths and its own family, and the whole command line of `mp-train`:
//!
//! ```text
//! cargo run --release -p own-network -- models tiny_separable
//! cargo run --release -p own-network -- train digits --model tiny_separable_x2_bright
//! ```

mod brightness;
mod separable;

use std::process::ExitCode;

use mp_blocks::ConvBlockConfig;
use mp_zoo::{Error, Family, InputSize, Interface, Knob, Make, Plan, Size};

use separable::SeparableConfig;

static TINY_SEPARABLE: Family = Family {
    name: "tiny_separable",
    summary: "a stem and four depthwise separable blocks",
    native: InputSize { channels: 1, size: 28, classes: 10 },
    knob: Knob::width(16),
    make: Make::Chain(plan),
};

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let width = size.value;
    let mut plan = Plan::new(interface);
    plan.push("stem", ConvBlockConfig::new(width))?;
    for (stage, out_channels) in [("stage1", 2 * width), ("stage2", 4 * width)] {
        plan.push(stage, SeparableConfig { out_channels, stride: 2 })?;
        plan.push(stage, SeparableConfig { out_channels, stride: 1 })?;
    }
    Ok(plan)
}

fn main() -> ExitCode {
    let added = mp_zoo::register(&TINY_SEPARABLE).and_then(|()| mp_zoo::register_mechanism(&brightness::BRIGHT));
    if let Err(error) = added {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    mp_cli::main()
}
