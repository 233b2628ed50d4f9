//! Times at the shapes of three paths of a ResNet-20 on CIFAR. Calls are recorded as a CUDA graph and replayed, so that what is timed
//! is the GPU's work and not the calls; they take turns over several inputs, so that no map is found in the cache that would not be in
//! a network.

use std::time::Instant;

use mp_native::cuda::Graph;
use tch::{Cuda, Device, Kind, Tensor};

use crate::ops::{Case, Norm, Op, Paths, map};

pub(crate) fn all(device: Device) {
    println!(
        "microseconds a call, forward and forward with backward; GB/s of the fewest bytes that a pass over each map takes"
    );
    println!(
        "{:48} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>7}",
        "", "ours", "theirs", "ratio", "ours", "theirs", "ratio", "GB/s"
    );
    for kind in [Kind::Float, Kind::BFloat16] {
        for batch in [128, 512, 2048] {
            for (channels, side) in [(16, 32), (64, 8)] {
                let shape = [batch, channels, side, side];
                for residual in [false, true] {
                    let norm = Norm { residual, relu: true, training: true, repeats: false };
                    // Forward x twice, y; backward dy, x, then dy, x, dx, and of a residual one more each way.
                    let maps = if residual { 4 + 6 } else { 3 + 5 };
                    row(|| norm.case(shape, kind, device), maps, shape);
                }
                let paths = Paths { sources: 3, targets: 3 };
                row(|| paths.mix(&shape, kind, true, device), 6 + 9, shape);
                // Forward read, then from the cache; written; backward read, dy then from the cache; written.
                row(|| paths.route(&shape, kind, true, true, device), 6 + 9, shape);
            }
        }
    }
}

/// A line of the table for what `case` makes.
fn row(case: impl Fn() -> Case, maps: i64, shape: [i64; 4]) {
    let first = case();
    let bytes = shape.iter().product::<i64>() * if first.inputs[0].kind() == Kind::Float { 4 } else { 2 };
    // As many inputs as are more than the cache.
    let turns = (400_000_000 / (bytes * first.inputs.len() as i64)).clamp(1, 12) as usize;
    let name = first.name.clone();
    let mut cases = vec![first];
    cases.extend((1..turns).map(|_| case()));
    let forward = |of: fn(&Case) -> &Op| measure(&cases, &|case| drop(tch::no_grad(|| of(case)(&case.inputs))));
    let both = |of: fn(&Case) -> &Op| {
        let gradients: Vec<Tensor> = of(&cases[0])(&cases[0].inputs)
            .iter()
            .filter(|y| y.dim() == 4)
            .map(|y| map(&y.size(), y.kind(), y.device()))
            .collect();
        let whole = measure(&cases, &|case| {
            let leaves: Vec<Tensor> = case.inputs.iter().map(|x| x.detach().set_requires_grad(true)).collect();
            let ys = of(case)(&leaves);
            backward(&ys[..gradients.len()], &gradients, &leaves);
        });
        // What it takes to give every output its gradient.
        let beside = measure(&cases, &|_| {
            let ys: Vec<Tensor> = gradients.iter().map(|y| y.detach().set_requires_grad(true)).collect();
            backward(&ys, &gradients, &ys);
        });
        whole - beside
    };
    let (ours, theirs) = (forward(|case| &case.ours), forward(|case| &case.theirs));
    let (our_both, their_both) = (both(|case| &case.ours), both(|case| &case.theirs));
    let speed = (bytes * maps) as f64 / our_both / 1e3;
    println!(
        "{name:48} {ours:9.1} {theirs:9.1} {:6.2} {our_both:9.1} {their_both:9.1} {:6.2} {speed:7.0}",
        theirs / ours,
        their_both / our_both
    );
}

fn backward(ys: &[Tensor], gradients: &[Tensor], inputs: &[Tensor]) {
    let loss = ys.iter().zip(gradients).map(|(y, d)| (y * d).sum(y.kind())).reduce(|a, b| a + b);
    if let Some(loss) = loss {
        drop(Tensor::run_backward(&[loss], inputs, false, false));
    }
}

/// Microseconds of one call, the median of replays of a graph of calls on all cases.
fn measure(cases: &[Case], call: &dyn Fn(&Case)) -> f64 {
    let every = || cases.iter().for_each(call);
    // Compiles what there is to compile, and lets libtorch choose.
    every();
    every();
    Cuda::synchronize(0);
    let graph = match Graph::record(every) {
        Ok((graph, ())) => graph,
        Err(error) => {
            println!("{error}");
            return f64::NAN;
        }
    };
    let replay = || {
        let start = Instant::now();
        for _ in 0..4 {
            if let Err(error) = graph.replay() {
                println!("{error}");
            }
        }
        Cuda::synchronize(0);
        start.elapsed().as_secs_f64() * 1e6 / (4 * cases.len()) as f64
    };
    replay();
    let mut times: Vec<f64> = (0..9).map(|_| replay()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
