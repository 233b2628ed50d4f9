//! The mixing itself.

use tch::Tensor;

/// `Y_j = sum_i g_ij X_i`: S sources `[B, C, H, W]` (or `[B, C]`) and weights `[B, S, T]` to T targets of the sources'
/// shape, element type and memory layout.
///
/// On the CPU and on GPUs all targets are made in one pass over the sources (`mp_native::mix`), with sums in float32 at least. On
/// other devices and for other element types a target costs one multiplication and S - 1 multiply-adds into the same
/// memory, in the sources' element type; no product `g_ij X_i` is kept.
///
/// ```
/// use mp_nn::Tensor;
/// let xs = [Tensor::from_slice(&[1.0, 2.0]).view([1, 2]), Tensor::from_slice(&[10.0, 20.0]).view([1, 2])];
/// let weights = Tensor::from_slice(&[0.5, 1.0, 0.1, 0.0]).view([1, 2, 2]);
/// let ys = mp_routing::mix(&xs, &weights);
/// assert_eq!(Vec::<f64>::try_from(ys[0].view(-1))?, [1.5, 3.0]);
/// assert_eq!(Vec::<f64>::try_from(ys[1].view(-1))?, [1.0, 2.0]);
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// # Panics
/// If there are no sources, or the weights are not `[B, S, T]` for them.
pub fn mix(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let targets = weights.size()[2] as usize;
    if !mp_native::can_mix(xs, targets) {
        return composed(xs, weights);
    }
    // Only weights of another shape are refused here: falling back would hide a fault of the caller.
    mp_native::mix(xs, weights).unwrap_or_else(|error| panic!("{error}"))
}

/// The mixing as tensor operations, for what the fused one does not take.
fn composed(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let weights = weights.to_kind(xs[0].kind());
    (0..weights.size()[2]).map(|j| weighted_sum(xs, &weights.select(2, j))).collect()
}

/// `sum_i g_i X_i` for `g` `[B, S]` of the sources' element type.
fn weighted_sum(xs: &[Tensor], g: &Tensor) -> Tensor {
    assert_eq!(g.size()[1], xs.len() as i64, "weights of as many sources as there are");
    let weight = |i: usize| per_sample(&g.select(1, i as i64), xs[i].dim());
    let mut y = &xs[0] * weight(0);
    for (i, x) in xs.iter().enumerate().skip(1) {
        // In place: autograd keeps the sources and the weights, never the sum.
        y = y.addcmul_(x, &weight(i));
    }
    y
}

/// `[B]` as `[B, 1, ..., 1]` of `dims` axes.
fn per_sample(g: &Tensor, dims: usize) -> Tensor {
    let mut shape = vec![1; dims];
    shape[0] = -1;
    g.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_nn::{Device, Kind};

    #[test]
    fn agrees_with_the_definition() {
        let (xs, weights) = sample(Kind::Double);
        let definition =
            Tensor::einsum("bst,sbchw->tbchw", &[weights.shallow_clone(), Tensor::stack(&xs, 0)], None::<&[i64]>);
        for (j, y) in mix(&xs, &weights).iter().enumerate() {
            assert!(y.allclose(&definition.get(j as i64), 1e-12, 1e-12, false));
        }
    }

    #[test]
    fn fused_and_composed_agree() {
        for kind in [Kind::Double, Kind::Float] {
            let (xs, weights) = sample(kind);
            for (fused, composed) in mix(&xs, &weights).iter().zip(composed(&xs, &weights)) {
                assert!(fused.allclose(&composed, 1e-5, 1e-6, false));
            }
        }
    }

    #[test]
    fn half_precision_is_composed() {
        let (xs, weights) = sample(Kind::Float);
        let halves: Vec<Tensor> = xs.iter().map(|x| x.to_kind(Kind::Half)).collect();
        assert!(!mp_native::can_mix(&halves, 2));
        for (half, float) in mix(&halves, &weights).iter().zip(mix(&xs, &weights)) {
            assert_eq!(half.kind(), Kind::Half);
            assert!(half.to_kind(Kind::Float).allclose(&float, 1e-2, 1e-2, false));
        }
    }

    #[test]
    fn keeps_the_element_type_and_the_channels_last_layout() {
        let (xs, weights) = sample(Kind::Float);
        let last: Vec<Tensor> = xs
            .iter()
            .map(|x| x.to_kind(Kind::BFloat16).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]))
            .collect();
        for y in mix(&last, &weights) {
            assert_eq!((y.kind(), y.stride()), (Kind::BFloat16, last[0].stride()));
        }
    }

    fn sample(kind: Kind) -> (Vec<Tensor>, Tensor) {
        let options = (kind, Device::Cpu);
        let xs = (0..3).map(|_| Tensor::randn([2, 4, 5, 5], options)).collect();
        (xs, Tensor::rand([2, 3, 2], options))
    }
}
