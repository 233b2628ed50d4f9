//! Which tensors of a network depend on the number of its classes.

use mp_nn::Store;
use mp_zoo::{Interface, ModelOptions, Target, build};

use crate::Error;

/// A network's tensors that have another shape for another number of classes.
pub(super) struct Heads {
    /// Their places: `fc`, `head.path1.fc`.
    pub(super) places: Vec<String>,
    /// Each with the axis along which its classes lie.
    axes: Vec<(String, usize)>,
}

impl Heads {
    /// Those of a model, found by building it for one class more.
    ///
    /// # Errors
    /// A model that cannot be built.
    pub(super) fn of(model: &str, options: &ModelOptions) -> Result<Self, Error> {
        let more = ModelOptions { interface: one_more(&options.interface), ..options.clone() };
        let (here, there) = (shapes(model, options)?, shapes(model, &more)?);
        let axes = here.iter().zip(&there).filter_map(|((name, few), (_, many))| {
            let axis = few.iter().zip(many).position(|(few, many)| few != many)?;
            Some((name.clone(), axis))
        });
        let axes: Vec<_> = axes.collect();
        let place =
            |(name, _): &(String, usize)| name.rsplit_once('.').map_or(name.clone(), |(place, _)| place.to_owned());
        let mut places: Vec<String> = axes.iter().map(place).collect();
        places.dedup();
        Ok(Self { places, axes })
    }

    /// The axis of a tensor's classes, where it is a head's.
    pub(super) fn axis(&self, name: &str) -> Option<usize> {
        self.axes.iter().find(|(found, _)| found == name).map(|(_, axis)| *axis)
    }
}

fn one_more(interface: &Interface) -> Interface {
    let heads = interface.heads.iter().map(|(name, target)| {
        let target = match *target {
            Target::Classes(classes) => Target::Classes(classes + 1),
            Target::Pixels(classes) => Target::Pixels(classes + 1),
            Target::Image => Target::Image,
        };
        (name.clone(), target)
    });
    Interface { heads: heads.collect(), ..interface.clone() }
}

fn shapes(model: &str, options: &ModelOptions) -> Result<Vec<(String, Vec<i64>)>, Error> {
    let store = Store::for_counting();
    build(model, options, &store.root())?;
    Ok(store.entries().into_iter().map(|entry| (entry.name, entry.tensor.size())).collect())
}
