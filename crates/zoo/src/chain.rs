//! The plan of a name, for the images that it is to take.

use crate::plan::Plan;
use crate::{Error, Interface, Make, ModelName, ModelOptions};

/// The plan of the name's single-path network.
pub(crate) fn chain_of(name: &ModelName, options: &ModelOptions) -> Result<Plan, Error> {
    let Make::Chain(make) = name.family.make else {
        return Err(Error::NotAChain { name: name.to_string(), base: name.family.name.to_owned() });
    };
    let plan = |interface: &Interface| make(&name.size(), interface);
    check_interface(name, &options.interface, &|interface| plan(interface).map(|_| ()))?;
    let mut plan = plan(&options.interface)?;
    options.drops.apply(name, &mut plan)?;
    Ok(plan)
}

/// Fails for images that the network does not take, saying how large they must be.
pub(crate) fn check_interface(
    name: &ModelName,
    interface: &Interface,
    plan: &dyn Fn(&Interface) -> Result<(), Error>,
) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::Input { name: name.to_string(), problem });
    let channels = interface.input.channels();
    let classes = interface.heads.iter().map(|(_, target)| target.classes()).min().unwrap_or(0);
    if channels < 1 || classes < 1 {
        return refuse(format!(
            "needs images of at least one channel and at least one class, found {channels} and {classes}"
        ));
    }
    let Err(error) = plan(interface) else { return Ok(()) };
    let (height, width) = interface.input.extent();
    if !matches!(error, Error::Blocks(mp_blocks::Error::Shape { .. })) {
        return Err(error);
    }
    match (1..=1024).find(|size| plan(&interface.with_size(*size)).is_ok()) {
        Some(least) if least > height.min(width) => {
            refuse(format!("needs images of at least {least}x{least}, found {height}x{width}"))
        }
        _ => Err(error),
    }
}
