//! Batches that batch-norm cannot learn from.

use mp_nn::{Mode, Store};
use mp_zoo::ModelOptions;
use tch::{Device, Kind, Tensor};

use crate::Error;

/// Fails where a batch of `images` gives a layer one value per channel: batch-norm, which takes away their mean and divides by
/// their deviation, then has nothing left, and the variance it keeps for evaluation is no number.
///
/// It is found by trying, with a copy of the model, since only a forward pass knows how large the maps of each layer are.
/// Two images are always enough.
///
/// # Errors
/// [`Error::Invalid`] naming the layer; a model that cannot be built.
pub(crate) fn ensure_varied(model: &str, options: &ModelOptions, images: usize) -> Result<(), Error> {
    if images != 1 {
        return Ok(());
    }
    let store = Store::new(Device::Cpu, 0);
    let network = mp_zoo::build(model, options, &store.root())?;
    let input = options.interface.input;
    let (height, width) = input.extent();
    {
        let _guard = tch::no_grad_guard();
        let _output = network.forward(&Tensor::ones(input.batch(1), (Kind::Float, Device::Cpu)), Mode::Train);
    }
    let spoilt = store.entries().into_iter().find(|entry| entry.tensor.isfinite().all().int64_value(&[]) == 0);
    let Some(entry) = spoilt else { return Ok(()) };
    let layer = entry.name.rsplit_once('.').map_or(entry.name.as_str(), |(layer, _)| layer);
    Err(Error::Invalid {
        key: "train.batch_size",
        value: "1 (or there is one training image)".to_owned(),
        expected: format!(
            "at least 2: the batch-norm `{layer}` of `{model}` gets a single value per channel of one image of \
             {height}x{width}, and cannot tell their deviation from it"
        ),
    })
}

#[cfg(test)]
mod tests {
    use mp_zoo::InputSize;

    use super::*;

    fn ensure(model: &str, size: i64, images: usize) -> Result<(), String> {
        let options = ModelOptions::new(InputSize { channels: 3, size, classes: 2 });
        ensure_varied(model, &options, images).map_err(|error| error.to_string())
    }

    #[test]
    fn one_image_is_enough_where_maps_stay_large() {
        // Three halvings of 32 leave 4 x 4 values; after the five of ResNet-18 one is left.
        assert_eq!(ensure("resnet20_w4", 32, 1), Ok(()));
        assert_eq!(ensure("resnet18_w4", 32, 2), Ok(()));
        assert_eq!(ensure("resnet18_w4", 64, 1), Ok(()));
        let message = ensure("resnet18_w4", 32, 1).unwrap_err();
        assert!(
            message.starts_with("train.batch_size is 1 (or there is one training image), expected at least 2"),
            "{message}"
        );
        assert!(message.contains("the batch-norm `layer4.0.bn1` of `resnet18_w4`"), "{message}");
    }
}
