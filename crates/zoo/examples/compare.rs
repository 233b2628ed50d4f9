//! What capacity costs: parameters and multiply-adds of widening, of paths, and of routing between them.

use mp_zoo::{InputSize, ModelOptions};

fn main() -> Result<(), mp_zoo::Error> {
    let input = InputSize { channels: 3, size: 32, classes: 10 };
    println!("{:<18} {:>12} {:>16}", "model", "parameters", "multiply-adds");
    for name in ["resnet20", "resnet20_w28", "resnet20_w48", "resnet20_x3", "resnet20_x3_cc", "resnet20_x2_cp"] {
        let cost = mp_zoo::cost_of(name, &ModelOptions::new(input))?;
        println!("{name:<18} {:>12} {:>16}", cost.parameters, cost.multiply_adds);
    }
    Ok(())
}
