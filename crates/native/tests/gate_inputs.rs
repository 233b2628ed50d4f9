//! Gated inputs against their definition, forward and backward.

use mp_native::{MAX_PATHS, gate_inputs};
use tch::{Device, Kind, Tensor};

/// A fixed pattern of the given shape; libtorch's generator is shared between the tests of a process.
fn pattern(shape: &[i64], kind: Kind, phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    ((Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin() + 0.2).to_kind(kind).reshape(shape)
}

fn leaf(x: Tensor) -> Tensor {
    x.detach().set_requires_grad(true)
}

fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn sources(count: usize, shape: &[i64], kind: Kind, last: bool) -> Vec<Tensor> {
    let one = |i: usize| pattern(shape, kind, i as f64);
    (0..count).map(|i| leaf(if last { channels_last(&one(i)) } else { one(i) })).collect()
}

fn defined(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let mut per_sample = vec![1; xs[0].dim()];
    per_sample[0] = -1;
    let gated = |i: usize, j: i64| &xs[i] * weights.select(1, i as i64).select(1, j).reshape(&per_sample);
    (0..weights.size()[2]).map(|j| Tensor::cat(&(0..xs.len()).map(|i| gated(i, j)).collect::<Vec<_>>(), 1)).collect()
}

/// A number on which every output acts in its own way.
fn loss(zs: &[Tensor]) -> Tensor {
    let part = |(j, z): (usize, &Tensor)| {
        let weight = pattern(&z.size(), Kind::Double, 9.0 + j as f64);
        (z.to_kind(Kind::Double) * weight).sum(Kind::Double)
    };
    zs.iter().enumerate().map(part).reduce(|a, b| a + b).unwrap()
}

/// Outputs and gradients of the fused form beside those of the definition in float64.
#[track_caller]
fn check(xs: &[Tensor], weights: &Tensor, tolerance: f64) {
    let wide = |x: &Tensor| leaf(x.detach().to_kind(Kind::Double).copy());
    let (wide_xs, wide_weights) = (xs.iter().map(wide).collect::<Vec<_>>(), wide(weights));
    let (zs, expected) = (gate_inputs(xs, weights).unwrap(), defined(&wide_xs, &wide_weights));
    let near = |found: &Tensor, expected: &Tensor, what: &str| {
        assert_eq!(found.size(), expected.size(), "{what}");
        if expected.numel() > 0 {
            let off = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
            let scale = 1.0 + expected.abs().max().double_value(&[]);
            assert!(off <= tolerance * scale, "{what} of {:?} is off by {off}", found.size());
        }
    };
    for (z, expected) in zs.iter().zip(&expected) {
        assert_eq!(z.kind(), xs[0].kind());
        near(z, expected, "output");
    }
    loss(&zs).backward();
    loss(&expected).backward();
    for (x, expected) in xs.iter().zip(&wide_xs) {
        near(&x.grad(), &expected.grad(), "gradient of a source");
    }
    near(&weights.grad(), &wide_weights.grad(), "gradient of the weights");
}

#[test]
fn every_number_of_paths_and_every_width_agrees_with_the_definition() {
    for s in 1..=MAX_PATHS {
        for t in [1, 2, 3, 5, MAX_PATHS as i64] {
            let weights = leaf(pattern(&[2, s as i64, t], Kind::Double, 5.0));
            check(&sources(s, &[2, 5, 3, 2], Kind::Double, true), &weights, 1e-13);
        }
    }
    for channels in [1, 15, 16, 17, 31, 32, 33, 48, 64, 600] {
        for last in [true, false] {
            for (kind, real, tolerance) in [
                (Kind::Double, Kind::Double, 1e-13),
                (Kind::Float, Kind::Float, 1e-5),
                (Kind::BFloat16, Kind::Float, 1e-2),
            ] {
                let weights = leaf(pattern(&[3, 2, 3], real, 5.0));
                check(&sources(2, &[3, channels, 4, 3], kind, last), &weights, tolerance);
            }
        }
    }
}

#[test]
fn dense_features_and_empty_batches_are_taken() {
    let weights = leaf(pattern(&[4, 3, 2], Kind::Float, 5.0));
    check(&sources(3, &[4, 19], Kind::Float, false), &weights, 1e-5);
    let weights = leaf(pattern(&[0, 3, 2], Kind::Float, 5.0));
    check(&sources(3, &[0, 4, 2, 2], Kind::Float, true), &weights, 1e-5);
}

#[test]
fn the_layout_is_the_sources() {
    let weights = pattern(&[2, 2, 1], Kind::Float, 5.0);
    let z = |last| gate_inputs(&sources(2, &[2, 4, 3, 3], Kind::Float, last), &weights).unwrap().swap_remove(0);
    assert_eq!(z(true).stride(), [72, 1, 24, 8]);
    assert_eq!(z(false).stride(), [72, 9, 3, 1]);
}

#[test]
fn an_output_that_the_loss_leaves_out_has_no_share() {
    let xs = sources(2, &[2, 16, 2, 2], Kind::Double, true);
    let weights = leaf(pattern(&[2, 2, 3], Kind::Double, 5.0));
    loss(&gate_inputs(&xs, &weights).unwrap()[..1]).backward();
    assert_eq!(weights.grad().narrow(2, 1, 2).abs().sum(Kind::Double).double_value(&[]), 0.0);
    assert!(weights.grad().select(2, 0).abs().min().double_value(&[]) > 0.0);
}

#[test]
fn finite_differences_agree() {
    let xs = sources(2, &[2, 3, 2, 2], Kind::Double, true);
    let weights = leaf(pattern(&[2, 2, 2], Kind::Double, 5.0));
    let value = |xs: &[Tensor], weights: &Tensor| loss(&gate_inputs(xs, weights).unwrap().map_tanh()).double_value(&[]);
    loss(&gate_inputs(&xs, &weights).unwrap().map_tanh()).backward();
    let step = 1e-6;
    for k in 0..xs[0].numel() as i64 {
        let moved = |by: f64| {
            let flat = xs[0].detach().contiguous().view(-1).copy();
            let _ = flat.get(k).g_add_scalar_(by);
            value(&[flat.view([2, 3, 2, 2]), xs[1].detach()], &weights.detach())
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((xs[0].grad().contiguous().view(-1).double_value(&[k]) - expected).abs() < 1e-7);
    }
    for k in 0..weights.numel() as i64 {
        let moved = |by: f64| {
            let flat = weights.detach().view(-1).copy();
            let _ = flat.get(k).g_add_scalar_(by);
            value(&[xs[0].detach(), xs[1].detach()], &flat.view([2, 2, 2]))
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((weights.grad().view(-1).double_value(&[k]) - expected).abs() < 1e-7);
    }
}

/// Something that is not linear in what it takes.
trait MapTanh {
    fn map_tanh(self) -> Vec<Tensor>;
}

impl MapTanh for Vec<Tensor> {
    fn map_tanh(self) -> Vec<Tensor> {
        self.into_iter().map(|z| z.tanh()).collect()
    }
}

#[test]
fn gradients_of_gradients_agree_with_the_definition() {
    let second = |form: fn(&[Tensor], &Tensor) -> Vec<Tensor>| {
        let xs = sources(2, &[2, 3, 2, 2], Kind::Double, true);
        let weights = leaf(pattern(&[2, 2, 2], Kind::Double, 5.0));
        let value = loss(&form(&xs, &weights).map_tanh());
        let inputs = [&xs[0], &weights];
        let first = Tensor::run_backward(&[value], &inputs, true, true);
        (first[0].square().sum(Kind::Double) + first[1].square().sum(Kind::Double)).backward();
        (xs[0].grad(), weights.grad())
    };
    let (fused, composed) = (second(|xs, weights| gate_inputs(xs, weights).unwrap()), second(defined));
    assert!(fused.0.allclose(&composed.0, 1e-10, 1e-12, false) && fused.1.allclose(&composed.1, 1e-10, 1e-12, false));
}

#[test]
fn what_it_does_not_take_is_said() {
    let xs = sources(2, &[2, 4, 3, 3], Kind::Float, true);
    for (xs, weights, message) in [
        (&xs[..0], pattern(&[2, 2, 2], Kind::Float, 0.0), "found 0 sources and weights [2, 2, 2]"),
        (&xs[..], pattern(&[2, 2, 9], Kind::Float, 0.0), "found 2 sources and weights [2, 2, 9]"),
        (&xs[..], pattern(&[2, 3, 2], Kind::Float, 0.0), "weights [B, S, T] of the sources expected, not [2, 3, 2]"),
    ] {
        let error = gate_inputs(xs, &weights).unwrap_err().to_string();
        assert!(error.starts_with("cannot gate the inputs: ") && error.contains(message), "{error}");
    }
}
