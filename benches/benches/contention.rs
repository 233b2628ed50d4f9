//! Training steps on processors that other processes want too: how libtorch's threads should wait for each other.
//!
//! Each round times a step of a small network three ways - waiting long, waiting briefly, and as `mp-train` chooses - on quiet
//! processors and beside one busy process for each processor. Ratios are those of one round, so that what slows all of them cancels.
//!
//! `cargo bench -p mp-benches --bench contention`

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mp_native::ShortWaits;
use mp_nn::{Device, Kind, Tensor};
use mp_train::learn::Learner;
use mp_train::machine;
use mp_train::machine::neighbours::Watch;
use mp_train::recipe::Recipe;
use mp_zoo::{InputSize, ModelOptions};

const MODEL: &str = "resnet20_x3_cc";
const INPUT: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

/// The argument that makes this program a busy neighbour.
const BUSY: &str = "busy-neighbour";

fn main() {
    if std::env::args().any(|argument| argument == BUSY) {
        loop {
            std::hint::spin_loop();
        }
    }
    // Cargo passes `--bench` where times are taken; a test only asks whether this still runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (rounds, images, steps) = if measured { (7, 64, 8) } else { (1, 2, 1) };
    let settle = if measured { Duration::from_secs(1) } else { Duration::ZERO };
    let _ = mp_native::keep_freed_memory();
    machine::use_threads(0);
    let mut training = Training::new(images);

    println!("{MODEL}, {images} images a step, {} threads", machine::threads());
    for count in [0, machine::processors()] {
        let _neighbours: Vec<Neighbour> = (0..count).map(|_| Neighbour::start()).collect();
        let times: Vec<[f64; 3]> = (0..rounds)
            .map(|_| {
                let long = training.time(steps, settle);
                let short = {
                    let _short = ShortWaits::begin(machine::threads());
                    training.time(steps, settle)
                };
                let _watch = Watch::begin();
                [long, short, training.time(steps, settle)]
            })
            .collect();
        println!("beside {count} busy processes:");
        for (way, name) in ["long waits", "short waits", "as mp-train chooses"].into_iter().enumerate() {
            let ms = median(times.iter().map(|times| times[way]).collect());
            let ratio = median(times.iter().map(|times| times[way] / times[0]).collect());
            println!("  {name:<20}{ms:9.1} ms a step, {ratio:.3} of long waits");
        }
    }
}

/// What is timed: a network with random images.
struct Training {
    learner: Learner,
    images: Tensor,
    labels: Tensor,
}

impl Training {
    fn new(images: i64) -> Self {
        let options = ModelOptions::new(INPUT);
        let learner = Learner::new(MODEL, &options, &Recipe::default(), Device::Cpu).expect("a registered name");
        let maps = Tensor::randn([images, INPUT.size, INPUT.size, INPUT.channels], (Kind::Float, Device::Cpu));
        let labels = Tensor::randint(INPUT.classes, [images], (Kind::Int64, Device::Cpu));
        Self { learner, images: maps.permute([0, 3, 1, 2]), labels }
    }

    /// Milliseconds of a step, the mean of `steps`, after steps that are not counted for at least `settle`.
    fn time(&mut self, steps: u32, settle: Duration) -> f64 {
        let start = Instant::now();
        self.step();
        while start.elapsed() < settle {
            self.step();
        }
        let start = Instant::now();
        (0..steps).for_each(|_| self.step());
        1000.0 * start.elapsed().as_secs_f64() / f64::from(steps)
    }

    fn step(&mut self) {
        self.learner.accumulate(&self.images, &self.labels, None, 1.0).expect("a loss without a routing part");
        self.learner.step(1e-4);
    }
}

/// A process that does nothing, all the time.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program's path");
        Self(Command::new(program).arg(BUSY).spawn().expect("this program, once more"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
