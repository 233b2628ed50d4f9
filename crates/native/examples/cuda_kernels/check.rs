//! Every kernel, forward and backward, against float64 on the CPU: the relative error `|a - b| / |b|` over all numbers of a tensor.

use tch::{Device, Kind, Tensor};

use crate::ops::{Case, Norm, Op, Paths};

/// The largest relative error that a result may have: roundings of the results themselves and, in float32, of long sums.
fn tolerance(kind: Kind) -> f64 {
    match kind {
        Kind::Float => 2e-5,
        Kind::Half => 1e-3,
        _ => 5e-3,
    }
}

/// Whether all agree.
pub(crate) fn all(device: Device) -> bool {
    println!("relative error against float64 on the CPU: ours, libtorch's own, at most");
    tch::manual_seed(0);
    let mut agrees = true;
    for kind in [Kind::Float, Kind::BFloat16, Kind::Half] {
        for shape in [[64, 16, 4, 4], [3, 64, 5, 7], [2, 12, 6, 5], [5, 17, 3, 3], [2, 270, 4, 4], [1, 2, 3, 3]] {
            for (residual, relu, training) in [
                (false, false, true),
                (false, true, true),
                (true, true, true),
                (true, false, true),
                (false, true, false),
                (true, true, false),
            ] {
                agrees &= check(&Norm { residual, relu, training, repeats: true }.case(shape, kind, device), kind);
            }
        }
        for (sources, targets) in [(3, 3), (2, 2), (1, 2), (3, 1), (2, 5), (8, 8)] {
            let paths = Paths { sources, targets };
            for (shape, last) in
                [(&[7, 16, 8, 8][..], true), (&[3, 5, 3, 3], true), (&[2, 6, 5, 5], false), (&[4, 10], false)]
            {
                agrees &= check(&paths.mix(shape, kind, last, device), kind);
                agrees &= check(&paths.gate_inputs(shape, kind, last, device), kind);
            }
        }
        for (sources, targets) in [(3, 3), (1, 2), (4, 3), (8, 8)] {
            for (shape, last) in [
                (&[7, 16, 8, 8][..], true),
                (&[3, 24, 5, 3], true),
                (&[2, 270, 3, 3], true),
                (&[3, 5, 3, 3], true),
                (&[2, 6, 5, 5], false),
                (&[4, 10], false),
            ] {
                for mixes in [true, false] {
                    agrees &= check(&Paths { sources, targets }.route(shape, kind, last, mixes, device), kind);
                }
            }
        }
        // One block a sample, and several.
        for batch in [1, 300] {
            agrees &= check(&Paths { sources: 3, targets: 3 }.mix(&[batch, 16, 32, 32], kind, true, device), kind);
        }
        // Several blocks a channel; few enough numbers that none is so near 0 that float64 has another sign.
        let norm = Norm { residual: true, relu: true, training: true, repeats: true };
        agrees &= check(&norm.case([100, 16, 8, 8], kind, device), kind);
    }
    println!("{}", if agrees { "all kernels agree" } else { "NOT all kernels agree" });
    agrees
}

fn check(case: &Case, kind: Kind) -> bool {
    let on_host = |x: &Tensor| x.to_device(Device::Cpu).to_kind(Kind::Double);
    let outputs = (case.theirs)(&case.inputs);
    // Of the outputs' own type, so that the gradient arrives as it is.
    let cotangents: Vec<Tensor> =
        outputs.iter().map(|y| Tensor::randn(y.size(), (Kind::Float, y.device())).to_kind(y.kind())).collect();
    let doubles = |tensors: &[Tensor]| tensors.iter().map(on_host).collect::<Vec<_>>();
    let expected = run(&case.theirs, &doubles(&case.inputs), &doubles(&cotangents));
    let ours = run(&case.ours, &case.inputs, &cotangents);
    let again = run(&case.ours, &case.inputs, &cotangents);
    let theirs = run(&case.theirs, &case.inputs, &cotangents);
    let repeats = ours.iter().zip(&again).all(|(a, b)| a == b || (a.isnan().any().int64_value(&[]) != 0));
    let (error, other, most) = (worst(&ours, &expected), worst(&theirs, &expected), tolerance(kind));
    // A NaN is no agreement.
    let agrees = error <= most && repeats;
    let verdict = match (agrees, repeats) {
        (true, _) => "",
        (_, false) => "  FAILS: another result the second time",
        _ => "  FAILS",
    };
    println!("{error:9.2e} {other:9.2e} {most:9.0e}  {}{verdict}", case.name);
    if !agrees {
        for (at, (a, b)) in ours.iter().zip(&expected).enumerate() {
            println!("    result {at} {:?}: {:.2e}", a.size(), relative(a, b));
        }
    }
    agrees
}

/// The outputs, and the gradients of the inputs.
fn run(op: &Op, inputs: &[Tensor], cotangents: &[Tensor]) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = inputs.iter().map(|x| x.detach().set_requires_grad(true)).collect();
    let mut results = op(&leaves);
    let loss = results
        .iter()
        .zip(cotangents)
        .map(|(y, d)| (y.to_kind(Kind::Double) * d.to_kind(Kind::Double)).sum(Kind::Double))
        .reduce(|a, b| a + b);
    if let Some(loss) = loss {
        results.extend(Tensor::run_backward(&[loss], &leaves, false, false));
    }
    results.iter().map(Tensor::detach).collect()
}

fn worst(found: &[Tensor], expected: &[Tensor]) -> f64 {
    // `max` would pass a NaN over.
    found.iter().zip(expected).map(|(a, b)| relative(a, b)).fold(0.0, |a, b| if a >= b { a } else { b })
}

fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    let found = found.to_device(Device::Cpu).to_kind(Kind::Double);
    let difference = (&found - expected).norm().double_value(&[]);
    let size = expected.norm().double_value(&[]);
    if difference == 0.0 { 0.0 } else { difference / size.max(1e-6) }
}
