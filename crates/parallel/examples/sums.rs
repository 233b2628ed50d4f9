//! How long sums over processes take, by their size: what a network between machines carries.
//!
//! Started as training is, by a launcher or by hand: with `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` set,
//! on every machine `cargo run --release -p mp-parallel --example sums`.

use std::time::{Duration, Instant};

use mp_parallel::{Error, Meeting, Place, World};
use tch::{Device, Kind, Tensor};

const SIZES: [i64; 8] = [4, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24, 1 << 26];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(place) = Place::of(|name| std::env::var(name).ok())? else {
        println!("a process by itself sums with nobody: start several, as the head of this file says");
        return Ok(());
    };
    let meeting = Meeting {
        patience: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        cuda: false,
        interface: std::env::var("GLOO_SOCKET_IFNAME").unwrap_or_default(),
        host: format!("rank {}", place.rank),
        version: String::new(),
    };
    let world = World::join(place, meeting)?;
    for size in SIZES {
        let seconds = time(&world, size)?;
        if world.is_first() {
            println!("{size:>9} bytes: {:>9.3} ms, {:>7.1} MB/s", 1e3 * seconds, size as f64 / 1e6 / seconds);
        }
    }
    Ok(())
}

/// The median of the seconds that a sum of so many bytes takes.
fn time(world: &World, size: i64) -> Result<f64, Error> {
    let x = Tensor::zeros([size / 4], (Kind::Float, Device::Cpu));
    let rounds = if size > 1 << 20 { 5 } else { 50 };
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        world.group().barrier()?;
        let start = Instant::now();
        world.group().sum(&x)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}
