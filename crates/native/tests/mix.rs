//! The fused mixing against its definition, forward and backward.

use mp_native::{MAX_PATHS, can_mix, mix};
use tch::{Device, Kind, Tensor};

/// A fixed pattern of the given shape; libtorch's generator is shared between the tests of a process.
fn pattern(shape: &[i64], kind: Kind, phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin();
    x.reshape(shape).to_kind(kind)
}

fn sources(count: usize, shape: &[i64], kind: Kind) -> Vec<Tensor> {
    (0..count).map(|i| pattern(shape, kind, i as f64).set_requires_grad(true)).collect()
}

fn weights(batch: i64, sources: usize, targets: usize, kind: Kind) -> Tensor {
    pattern(&[batch, sources as i64, targets as i64], kind, 0.3).set_requires_grad(true)
}

/// `Y_j = sum_i g_ij X_i`, word for word.
fn definition(xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let per_sample = |i: usize, j: i64| {
        let mut ones = vec![1; xs[i].dim()];
        ones[0] = -1;
        weights.select(1, i as i64).select(1, j).reshape(ones)
    };
    (0..weights.size()[2])
        .map(|j| xs.iter().enumerate().map(|(i, x)| x * per_sample(i, j)).reduce(|a, b| a + b).unwrap())
        .collect()
}

/// A scalar that weighs every number of every target differently.
fn loss(ys: &[Tensor]) -> Tensor {
    ys.iter()
        .enumerate()
        .map(|(j, y)| (y.to_kind(Kind::Double) * pattern(&y.size(), Kind::Double, 5.0 + j as f64)).sum(Kind::Double))
        .reduce(|a, b| a + b)
        .unwrap()
}

fn gradients(ys: &[Tensor], xs: &[Tensor], weights: &Tensor) -> Vec<Tensor> {
    let inputs: Vec<&Tensor> = xs.iter().chain([weights]).collect();
    Tensor::run_backward(&[loss(ys)], &inputs, false, false)
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}");
    if a.numel() > 0 {
        let difference = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[]);
        assert!(difference <= tolerance, "{what}: largest difference {difference}");
    }
}

fn check(s: usize, t: usize, shape: &[i64], kind: Kind, tolerance: f64) {
    let what = format!("S = {s}, T = {t}, {shape:?}, {kind:?}");
    let wide = if kind == Kind::Double { Kind::Double } else { Kind::Float };
    let (xs, g) = (sources(s, shape, kind), weights(shape[0], s, t, wide));
    let ys = mix(&xs, &g).unwrap();
    // The definition in float64, on the very numbers that the fused op read.
    let xs64: Vec<Tensor> = xs.iter().map(|x| x.detach().to_kind(Kind::Double).set_requires_grad(true)).collect();
    let g64 = g.detach().to_kind(Kind::Double).set_requires_grad(true);
    let expected = definition(&xs64, &g64);
    for (y, e) in ys.iter().zip(&expected) {
        assert_eq!(y.kind(), kind);
        assert_close(y, e, tolerance, &what);
    }
    let fused = gradients(&ys, &xs, &g);
    for (at, (a, b)) in fused.iter().zip(&gradients(&expected, &xs64, &g64)).enumerate() {
        // The weights' gradients are sums over a whole sample.
        let terms = if at == s { shape[1..].iter().product::<i64>() as f64 } else { 1.0 };
        assert_close(a, b, tolerance * terms.max(1.0), &format!("gradient {at} of {what}"));
    }
}

#[test]
fn every_number_of_paths_agrees_with_the_definition() {
    for s in 1..=MAX_PATHS {
        for t in 1..=MAX_PATHS {
            check(s, t, &[2, 3, 5, 7], Kind::Double, 1e-13);
        }
    }
}

#[test]
fn odd_shapes_and_types_agree_with_the_definition() {
    // 512 numbers are one block of the kernel: one less, one more, several and a rest.
    for shape in [&[3, 511][..], &[1, 513], &[2, 7, 15, 13], &[5, 1], &[4, 1, 1, 1], &[2, 16, 32, 32]] {
        check(3, 3, shape, Kind::Double, 1e-12);
        check(3, 2, shape, Kind::Float, 1e-5);
        // bfloat16 keeps 8 bits: an error of 2^-9 of values up to 3, and of gradients that are rounded once on the way.
        check(2, 3, shape, Kind::BFloat16, 2e-2);
    }
}

#[test]
fn hand_worked() {
    // X_1 = (1, 2), X_2 = (10, 20); g = [[0.5, 1], [0.1, 0]].
    // Y_1 = 0.5 X_1 + 0.1 X_2 = (1.5, 3), Y_2 = X_1 = (1, 2).
    let xs = [Tensor::from_slice(&[1.0, 2.0]).view([1, 2]), Tensor::from_slice(&[10.0, 20.0]).view([1, 2])];
    let g = Tensor::from_slice(&[0.5, 1.0, 0.1, 0.0]).view([1, 2, 2]).set_requires_grad(true);
    let ys = mix(&xs, &g).unwrap();
    assert_eq!(Vec::<f64>::try_from(ys[0].view(-1)).unwrap(), [1.5, 3.0]);
    assert_eq!(Vec::<f64>::try_from(ys[1].view(-1)).unwrap(), [1.0, 2.0]);
    // The sum of Y_1 alone: dg_i1 = sum of X_i = 3 and 30, dg_i2 = 0, though Y_2 has no gradient at all.
    ys[0].sum(Kind::Double).backward();
    assert_eq!(Vec::<f64>::try_from(g.grad().view(-1)).unwrap(), [3.0, 0.0, 30.0, 0.0]);
}

#[test]
fn finite_differences_agree() {
    let (xs, g) = (sources(2, &[2, 3, 2, 2], Kind::Double), weights(2, 2, 3, Kind::Double));
    let analytic = gradients(&mix(&xs, &g).unwrap(), &xs, &g);
    let inputs: Vec<Tensor> = xs.iter().chain([&g]).map(Tensor::detach).collect();
    let value = |inputs: &[Tensor]| loss(&mix(&inputs[..2], &inputs[2]).unwrap()).double_value(&[]);
    const STEP: f64 = 1e-6;
    for (at, gradient) in analytic.iter().enumerate() {
        for k in 0..inputs[at].numel() as i64 {
            let moved = |by: f64| {
                let copies: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
                let _ = copies[at].view(-1).get(k).g_add_scalar_(by);
                value(&copies)
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let exact = gradient.reshape([-1]).double_value(&[k]);
            assert!((numeric - exact).abs() < 1e-7, "input {at}, number {k}: {numeric} and {exact}");
        }
    }
}

#[test]
fn gradients_of_gradients_agree_with_the_definition() {
    let second = |f: &dyn Fn(&[Tensor], &Tensor) -> Vec<Tensor>| {
        let (xs, g) = (sources(2, &[2, 3, 2, 2], Kind::Double), weights(2, 2, 2, Kind::Double));
        let first = Tensor::run_backward(&[loss(&f(&xs, &g)).square()], &[&xs[0], &g], true, true);
        let total = first[0].square().sum(Kind::Double) + first[1].square().sum(Kind::Double);
        Tensor::run_backward(&[total], &[&xs[0], &xs[1], &g], false, false)
    };
    let fused = second(&|xs, g| mix(xs, g).unwrap());
    for (a, b) in fused.iter().zip(&second(&|xs, g| definition(xs, g))) {
        assert_close(a, b, 1e-9, "second gradient");
    }
}

#[test]
fn layouts_are_kept_and_strided_sources_are_read_right() {
    let plain = sources(2, &[2, 4, 6, 6], Kind::Float);
    let g = weights(2, 2, 2, Kind::Float);
    let expected = mix(&plain, &g).unwrap();
    let last: Vec<Tensor> = plain.iter().map(|x| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])).collect();
    // The second source in another layout than the first: it is copied to the first's.
    for xs in [vec![last[0].shallow_clone(), plain[1].shallow_clone()], last] {
        for (y, e) in mix(&xs, &g).unwrap().iter().zip(&expected) {
            assert_eq!(y.stride(), xs[0].stride());
            assert_close(y, e, 0.0, "channels-last");
        }
    }
    let strided: Vec<Tensor> = sources(2, &[2, 4, 6, 12], Kind::Float).iter().map(|x| x.slice(3, 0, 12, 2)).collect();
    for (y, e) in mix(&strided, &g).unwrap().iter().zip(&definition(&strided, &g)) {
        assert_close(y, e, 1e-6, "every second column");
    }
}

#[test]
fn an_empty_batch_gives_empty_targets_and_gradients() {
    let (xs, g) = (sources(2, &[0, 3, 4, 4], Kind::Float), weights(0, 2, 3, Kind::Float));
    let ys = mix(&xs, &g).unwrap();
    assert_eq!((ys.len(), ys[2].size()), (3, vec![0, 3, 4, 4]));
    assert_eq!(gradients(&ys, &xs, &g)[2].size(), [0, 2, 3]);
}

#[test]
fn a_nan_stays_a_nan_in_bfloat16() {
    let x = Tensor::from_slice(&[f32::NAN, f32::INFINITY, 1.0]).view([1, 3]).to_kind(Kind::BFloat16);
    let y = mix(&[x], &Tensor::ones([1, 1, 1], (Kind::Float, Device::Cpu))).unwrap();
    let values = Vec::<f32>::try_from(y[0].to_kind(Kind::Float).view(-1)).unwrap();
    assert!(values[0].is_nan() && values[1] == f32::INFINITY && values[2] == 1.0, "{values:?}");
}

#[test]
fn other_tensors_are_refused_in_one_line() {
    let (xs, g) = (sources(2, &[2, 3], Kind::Float), weights(2, 2, 2, Kind::Float));
    let halves: Vec<Tensor> = xs.iter().map(|x| x.to_kind(Kind::Half)).collect();
    assert!(!can_mix(&halves, 2) && !can_mix(&xs, MAX_PATHS + 1) && !can_mix(&[], 2));
    let refusals = [
        mix(&halves, &g),
        mix(&[xs[0].shallow_clone(), xs[1].narrow(1, 0, 2)], &g),
        mix(&xs, &weights(3, 2, 2, Kind::Float)),
        mix(&xs, &g.get(0)),
    ];
    for refusal in refusals {
        let message = refusal.unwrap_err().to_string();
        assert!(message.starts_with("cannot mix the paths: ") && message.lines().count() == 1, "{message}");
    }
}
