//! From the loader's arrays to tensors.

use mp_data::Batch;
use tch::kind::Element;
use tch::{Device, Tensor};

use crate::Error;

/// Images `[B, C, H, W]` (channels-last in memory, as the loader wrote them) and labels `[B]` on `device`.
///
/// Nothing waits for a GPU: what is queued from now on finds them there.
///
/// # Errors
/// [`Error::Torch`] where libtorch has no memory for them.
pub fn to_device(batch: &Batch, device: Device) -> Result<(Tensor, Tensor), Error> {
    let (b, h, w, c) = batch.images.dim();
    let images = batch.images.as_standard_layout();
    let images = copied(images.as_slice().unwrap_or_default(), &[b as i64, h as i64, w as i64, c as i64], device)?;
    let labels = batch.labels.as_slice().unwrap_or_default();
    Ok((images.permute([0, 3, 1, 2]), copied(labels, &[labels.len() as i64], device)?))
}

/// The targets of a batch whose images were mixed, `[B, N]`, on `device`.
///
/// # Errors
/// [`Error::Torch`] where libtorch has no memory for them.
pub fn targets_to_device(batch: &Batch, device: Device) -> Result<Option<Tensor>, Error> {
    let Some(targets) = &batch.targets else { return Ok(None) };
    let (b, n) = targets.dim();
    let targets = targets.as_standard_layout();
    copied(targets.as_slice().unwrap_or_default(), &[b as i64, n as i64], device).map(Some)
}

fn copied<N: Element + mp_native::cuda::Number>(numbers: &[N], sizes: &[i64], device: Device) -> Result<Tensor, Error> {
    if let Device::Cuda(index) = device {
        return mp_native::cuda::upload(numbers, sizes, index).map_err(|error| Error::gpu("copy a batch", &error));
    }
    Tensor::f_from_slice(numbers)
        .and_then(|tensor| tensor.f_view(sizes))
        .map_err(|source| Error::torch("copy a batch", &source))
}
