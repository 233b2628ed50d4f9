//! What it saves to run only what images choose: `cargo run --release -p mp-zoo --example skipping -- all`. Without `all`, one round
//! of a batch of two only shows that it runs.
//!
//! Gates are set so that they let six of ten images into a block, drawn at random, or send each image to one of five paths. Every
//! network takes turns with what it is compared with; ratios are medians over the rounds.

use std::time::Instant;

use mp_nn::{Device, Kind, Store, Tensor};
use mp_routing::{BackEnd, MixerConfig, Pass, Top1Config};
use mp_zoo::{InputSize, Model, ModelOptions, RoutingConfig};

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };
/// Rounds that count, after two that warm up.
const ROUNDS: usize = 9;
/// The logarithm of 0.6 over 0.4.
const SIX_OF_TEN: f64 = 0.405_465;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (batches, rounds): (&[i64], usize) =
        if std::env::args().any(|word| word == "all") { (&[1, 32, 128], ROUNDS) } else { (&[2], 1) };
    println!("{} threads; forward passes in evaluation", tch::get_num_threads());
    println!("| network | batch | chosen | ms | of running everything | of the network beside |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, beside) in [("aig20", "resnet20"), ("skipnet20", "resnet20")] {
        let (network, host) = (Network::skipping(name)?, Network::plain(beside, RoutingConfig::default())?);
        for &batch in batches {
            compare(&network, &host, batch, rounds, false);
        }
    }
    let mixer = MixerConfig::Top1(Top1Config::default());
    let hard = Network::plain("resnet20_x5_cc", RoutingConfig { mixer, ..RoutingConfig::default() })?;
    let soft = Network::plain("resnet20_x5_cc", RoutingConfig::default())?;
    for &batch in batches {
        compare(&hard, &soft, batch, rounds, false);
    }
    println!("\nforward and backward in training");
    compare(&hard, &soft, batches[batches.len() - 1], rounds, true);
    Ok(())
}

struct Network {
    name: String,
    model: Model,
    _store: Store,
}

impl Network {
    fn plain(name: &str, routing: RoutingConfig) -> Result<Self, mp_zoo::Error> {
        let store = Store::new(Device::Cpu, 1);
        let model = mp_zoo::build(name, &ModelOptions::routed(CIFAR, routing), &store.root())?;
        Ok(Network { name: name.to_owned(), model, _store: store })
    }

    /// One whose gates run a block for six of ten images.
    fn skipping(name: &str) -> Result<Self, mp_zoo::Error> {
        let network = Network::plain(name, RoutingConfig::default())?;
        let _guard = tch::no_grad_guard();
        for mut entry in network._store.parameters() {
            let scores = Tensor::from_slice(&[0.0, SIX_OF_TEN]);
            match entry.name.rsplit_once("gate.").map(|(_, layer)| layer) {
                Some("fc2.bias" | "linear.bias") => entry.tensor.copy_(&scores),
                Some("fc2.weight" | "linear.weight") => drop(entry.tensor.zero_()),
                _ => {}
            }
        }
        Ok(network)
    }

    /// Milliseconds of a pass, and the share of the multiply-adds that was chosen.
    fn pass(&self, x: &Tensor, back_end: BackEnd, trains: bool, seed: i64) -> (f64, f64) {
        tch::manual_seed(seed);
        let pass = if trains { Pass::train() } else { Pass::eval().sampling() };
        let start = Instant::now();
        let output = self.model.forward_in(x, pass.computed_by(back_end)).expect("routes are not forced");
        if trains {
            output.logits().square().mean(Kind::Float).backward();
        }
        let _ = output.logits().double_value(&[0, 0]);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let work = self.model.work();
        let chosen = output.trace.routed().map_or(0.0, |routed| routed.mean(Kind::Double).double_value(&[]));
        (ms, (work.always as f64 + chosen) / work.multiply_adds as f64)
    }
}

fn compare(network: &Network, beside: &Network, batch: i64, rounds: usize, trains: bool) {
    let x = Tensor::randn([batch, 32, 32, 3], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
    let (mut ms, mut of_all, mut of_beside, mut share) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for round in 0..rounds + 2 {
        let run = |network: &Network, back_end| {
            let pass = || network.pass(&x, back_end, trains, round as i64);
            if trains { pass() } else { tch::no_grad(pass) }
        };
        let (own, chosen) = run(network, BackEnd::Gather);
        // What trains by gathering has no other way to train.
        let all = if trains { f64::NAN } else { run(network, BackEnd::MaskAll).0 };
        let other = run(beside, BackEnd::Gather).0;
        if round >= 2 {
            ms.push(own);
            of_all.push(own / all);
            of_beside.push(own / other);
            share += chosen / rounds as f64;
        }
    }
    println!(
        "| `{}` | {batch} | {:.0}% | {:.1} | {:.2} | {:.2} |",
        network.name,
        100.0 * share,
        median(ms),
        median(of_all),
        median(of_beside),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
