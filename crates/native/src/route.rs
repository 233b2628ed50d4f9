//! Gates, and the mixing that they decide, in one pass over memory.

use std::ffi::{c_char, c_int};

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::boundary::outcome;
use crate::route_check::is_right;
use crate::{MAX_PATHS, TorchError, can_mix};

const ACTION: &str = "route the paths";

unsafe extern "C" {
    fn mp_route(
        xs: *const *const C_tensor,
        sources: c_int,
        layers: *const *const C_tensor,
        temperature: f64,
        normalisation: c_int,
        mixes: bool,
        outputs: *mut *mut C_tensor,
    ) -> *const c_char;
}

#[cfg(mp_cuda)]
unsafe extern "C" {
    fn mp_has_route_room(sources: c_int, targets: c_int, channels: i64, hidden: i64) -> bool;
}

/// How logits become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateNormalisation {
    /// Softmax over the targets of each source.
    Targets,
    /// Softmax over the sources of each target.
    Sources,
    /// Each weight independently, between 0 and 1.
    Sigmoid,
}

/// The gates of S sources, two dense layers each, of the accumulation type: float32, for float64 maps float64.
#[derive(Clone, Copy, Debug)]
pub struct GateLayers<'a> {
    /// `[S, hidden, C]`.
    pub weight1: &'a Tensor,
    /// `[S, hidden]`.
    pub bias1: &'a Tensor,
    /// `[S, T, hidden]`.
    pub weight2: &'a Tensor,
    /// `[S, T]`.
    pub bias2: &'a Tensor,
    /// Divides the logits; above 0.
    pub temperature: f64,
    /// How logits become weights.
    pub normalisation: GateNormalisation,
}

/// What the gates decided, `[B, S, T]` each, and what they read, in the accumulation type.
#[derive(Debug)]
pub struct Gated {
    /// How much of each source goes into each target.
    pub weights: Tensor,
    /// What the normalisation was applied to.
    pub logits: Tensor,
    /// The means of the sources' maps, `[B, S, C]`, without history. The gradient needs these numbers: they are to be read only.
    pub pooled: Tensor,
}

/// Whether [`route`] and [`gate`] take these sources and gates: sources that [`can_mix`] takes, `[B, C, H, W]` or `[B, C]`
/// with something in them, and gates in their accumulation type. On a GPU, gates that a block has room for and whose kernels, tried
/// once on a small batch, compute what they should: the first question about gates of a size waits for the device.
pub fn can_route(xs: &[Tensor], layers: &GateLayers<'_>) -> bool {
    let targets = layers.weight2.size().get(1).map_or(0, |t| *t as usize);
    let Some(first) = xs.first() else { return false };
    let accumulation = if first.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    can_mix(xs, targets)
        && matches!(first.dim(), 2 | 4)
        && first.size()[1..].iter().all(|length| *length > 0)
        && [layers.weight1, layers.bias1, layers.weight2, layers.bias2]
            .iter()
            .all(|values| values.kind() == accumulation && values.device() == first.device())
        && has_room(first, layers)
        && is_right(first, layers)
}

/// Whether gates are to run on a GPU, and a block of it has room for what gates of this size keep; on the CPU both always hold.
fn has_room(first: &Tensor, layers: &GateLayers<'_>) -> bool {
    #[cfg(mp_cuda)]
    if let (tch::Device::Cuda(_), &[sources, targets, hidden]) = (first.device(), &layers.weight2.size()[..]) {
        // SAFETY: takes numbers.
        return crate::kernels::has_gates()
            && unsafe { mp_has_route_room(sources as c_int, targets as c_int, first.size()[1], hidden) };
    }
    let _ = (first, layers);
    true
}

/// The gates and the mixing by their weights, differentiable: `z_i` = mean over H, W of `X_i`,
/// `a_i = W2_i · relu(W1_i · z_i + b1_i) + b2_i`, `g = normalise(a / τ)`, `Y_j = sum_i g_ij X_i`.
///
/// One pass over memory forward and one backward: what a sample needs is done while its maps are in the cache. The gates
/// run in float32 for bfloat16 sources, whatever autocast says. T targets of the sources' shape, type and layout.
/// Gradients of gradients are supported and composed of plain operations.
///
/// # Errors
/// Sources or gates that [`can_route`] refuses, or gates of another shape.
pub fn route(xs: &[Tensor], layers: GateLayers<'_>) -> Result<(Vec<Tensor>, Gated), TorchError> {
    call(xs, layers, true)
}

/// The gates alone: as [`route`], without targets. The gradient of a map is one number a channel, not written out.
///
/// # Errors
/// As [`route`].
pub fn gate(xs: &[Tensor], layers: GateLayers<'_>) -> Result<Gated, TorchError> {
    call(xs, layers, false).map(|(_, gated)| gated)
}

fn call(xs: &[Tensor], layers: GateLayers<'_>, mixes: bool) -> Result<(Vec<Tensor>, Gated), TorchError> {
    if !can_route(xs, &layers) {
        return Err(TorchError::new(
            ACTION,
            format!(
                "expected 1 to {MAX_PATHS} sources of one shape, one float type and one device with gates of their \
             accumulation type, found {} sources and gates of {:?}",
                xs.len(),
                layers.weight1.kind()
            ),
        ));
    }
    computed(xs, layers, mixes)
}

/// Targets where there is mixing, and what the gates decided, of sources and gates that can be taken.
pub(crate) fn computed(xs: &[Tensor], layers: GateLayers<'_>, mixes: bool) -> Result<(Vec<Tensor>, Gated), TorchError> {
    let GateLayers { weight1, bias1, weight2, bias2, temperature, normalisation } = layers;
    let targets = if mixes { weight2.size()[1] as usize } else { 0 };
    let sources: Vec<*const C_tensor> = xs.iter().map(Tensor::as_ptr).collect();
    let layers = [weight1, bias1, weight2, bias2].map(Tensor::as_ptr);
    let mut outputs = [std::ptr::null_mut(); MAX_PATHS + 3];
    // SAFETY: the pointers are those of live tensors, as many as said; `outputs` has room for every target, since
    // `can_route` holds, and three more; the C++ side catches every exception, and its message lives until the next call.
    unsafe {
        outcome(
            ACTION,
            mp_route(
                sources.as_ptr(),
                xs.len() as c_int,
                layers.as_ptr(),
                temperature,
                normalisation as c_int,
                mixes,
                outputs.as_mut_ptr(),
            ),
        )?;
    }
    // SAFETY: without an error the first `targets + 3` outputs are new tensors that nobody else owns.
    let mut tensors = outputs[..targets + 3].iter().map(|output| unsafe { Tensor::from_ptr(*output) });
    let ys = tensors.by_ref().take(targets).collect();
    match (tensors.next(), tensors.next(), tensors.next()) {
        (Some(weights), Some(logits), Some(pooled)) => Ok((ys, Gated { weights, logits, pooled })),
        _ => Err(TorchError::new(ACTION, "a call without outputs")),
    }
}
