//! From the loader's arrays to tensors.

use mp_data::Batch;
use tch::{Device, Tensor};

use crate::Error;

/// Images `[B, C, H, W]` (channels-last in memory, as the loader wrote them) and labels `[B]` on `device`.
///
/// # Errors
/// [`Error::Torch`] where libtorch has no memory for them.
pub fn to_device(batch: &Batch, device: Device) -> Result<(Tensor, Tensor), Error> {
    let (b, h, w, c) = batch.images.dim();
    let shape = [b as i64, h as i64, w as i64, c as i64];
    let copy = || {
        let images = Tensor::f_from_slice(batch.images.as_standard_layout().as_slice().unwrap_or_default())?;
        let images = images.f_view(shape)?.f_permute([0, 3, 1, 2])?.f_to_device(device)?;
        let labels = Tensor::f_from_slice(batch.labels.as_slice().unwrap_or_default())?.f_to_device(device)?;
        Ok((images, labels))
    };
    copy().map_err(|source: tch::TchError| Error::torch("copy a batch", &source))
}

/// The targets of a batch whose images were mixed, `[B, N]`, on `device`.
///
/// # Errors
/// [`Error::Torch`] where libtorch has no memory for them.
pub fn targets_to_device(batch: &Batch, device: Device) -> Result<Option<Tensor>, Error> {
    let Some(targets) = &batch.targets else { return Ok(None) };
    let (b, n) = targets.dim();
    let copy = || {
        let targets = Tensor::f_from_slice(targets.as_standard_layout().as_slice().unwrap_or_default())?;
        targets.f_view([b as i64, n as i64])?.f_to_device(device)
    };
    copy().map(Some).map_err(|source: tch::TchError| Error::torch("copy the targets of a batch", &source))
}
