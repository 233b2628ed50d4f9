//! Processes that meet over loopback; here each is a thread with connections of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_parallel::{Error, Meeting, Place, Reducer, Server, World};
use tch::{Device, Kind, Tensor};

fn meeting(version: &str) -> Meeting {
    Meeting {
        patience: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
        cuda: false,
        interface: String::new(),
        host: "here".to_owned(),
        version: version.to_owned(),
    }
}

fn place(server: &Server, rank: usize, world: usize) -> Place {
    Place {
        rank,
        world,
        local_rank: rank,
        host: Server::HOST.to_owned(),
        port: server.port(),
        serves: false,
        attempt: 0,
    }
}

/// What each of `world` processes gives, in the order of their ranks.
fn together<T: Send>(world: usize, each: impl Fn(World) -> T + Sync) -> Vec<T> {
    let server = Server::open(0).unwrap();
    std::thread::scope(|scope| {
        let run = |rank| {
            let (server, each) = (&server, &each);
            scope.spawn(move || each(World::join(place(server, rank, world), meeting("1")).unwrap()))
        };
        let all: Vec<_> = (0..world).map(run).collect();
        all.into_iter().map(|process| process.join().unwrap()).collect()
    })
}

#[test]
fn sums_of_every_type() {
    together(3, |world| {
        let own = world.rank() as i64 + 1;
        // 1 + 2 + 3.
        for kind in [Kind::Float, Kind::Double, Kind::Int64] {
            let x = Tensor::full([2], own, (kind, Device::Cpu));
            world.group().sum(&x).unwrap();
            assert_eq!(x, Tensor::full([2], 6, (kind, Device::Cpu)));
        }
        assert_eq!(world.group().sum_of(&[own as f64, 0.5]).unwrap(), [6.0, 1.5]);
    });
}

#[test]
fn sums_go_on_beside_other_work() {
    together(2, |world| {
        let x = Tensor::full([1 << 16], 1, (Kind::Float, Device::Cpu));
        let y = Tensor::full([3], 2, (Kind::Int64, Device::Cpu));
        let works = [world.group().begin_sum(&x).unwrap(), world.group().begin_sum(&y).unwrap()];
        works.into_iter().for_each(|work| work.wait().unwrap());
        assert_eq!((x.double_value(&[65535]), y.int64_value(&[0])), (2.0, 4));
    });
}

#[test]
fn bytes_of_all_and_of_one() {
    together(3, |world| {
        let own = "x".repeat(world.rank() * 5);
        let all = world.group().gather(own.as_bytes()).unwrap();
        assert_eq!(all, [&b""[..], b"xxxxx", b"xxxxxxxxxx"]);
        assert_eq!(world.group().bytes_of(1, own.as_bytes()).unwrap(), b"xxxxx");
        assert_eq!(world.group().bytes_of(0, own.as_bytes()).unwrap(), b"");
        world.group().barrier().unwrap();
        world.meet().unwrap();
    });
}

#[test]
fn tensors_become_those_of_rank_0() {
    together(2, |world| {
        let x = Tensor::full([2, 3], world.rank() as i64, (Kind::Float, Device::Cpu));
        let transposed = Tensor::full([3, 2], world.rank() as i64, (Kind::Double, Device::Cpu)).tr();
        world.make_equal("weights", &[x.shallow_clone(), transposed.shallow_clone()]).unwrap();
        assert_eq!((x.double_value(&[1, 2]), transposed.double_value(&[1, 2])), (0.0, 0.0));
        // 0 and 4 give 2.
        let y = Tensor::full([2], 4 * world.rank() as i64, (Kind::Float, Device::Cpu));
        world.average(&[x, y.shallow_clone()]).unwrap();
        assert_eq!(y.double_value(&[1]), 2.0);
        let other = Tensor::zeros([1 + world.rank() as i64], (Kind::Float, Device::Cpu));
        assert_eq!(
            world.make_equal("weights", &[other]).unwrap_err().to_string(),
            "rank 1 on here has another weights than rank 0: `Float [2]` in place of `Float [1]`"
        );
    });
}

/// The loss of a net with a part that only images with a positive first number go through, as conditional networks have them:
/// the sum over its images, over all images of the batch.
fn loss(weights: &[Tensor], x: &Tensor, images: i64) -> Tensor {
    let hidden = x.matmul(&weights[0]).tanh();
    let goes = x.select(1, 0).gt(0.0).nonzero().squeeze_dim(1);
    let mut sum = hidden.square().sum(Kind::Double);
    if goes.size()[0] > 0 {
        sum += hidden.index_select(0, &goes).matmul(&weights[1]).exp().sum(Kind::Double);
    }
    sum / images as f64
}

fn weights() -> Vec<Tensor> {
    let fill = |from: i64, shape: [i64; 2]| {
        let count = shape[0] * shape[1];
        let values = Tensor::arange(count, (Kind::Double, Device::Cpu)) + from;
        (values.sin() * 0.5).view(shape).set_requires_grad(true)
    };
    // The last is reached by no image.
    vec![fill(0, [4, 5]), fill(20, [5, 3]), fill(50, [2, 2])]
}

#[test]
fn averaged_gradients_are_those_of_the_whole_batch() {
    // Images 0 and 2 of 4 go to rank 0. In the first batch, the conditional part has images of rank 1 only.
    let batch = |first: f64| {
        let x = (Tensor::arange(16, (Kind::Double, Device::Cpu)) * 0.7).cos().view([4, 4]);
        x.select(1, 0).copy_(&Tensor::from_slice(&[first, 0.8, -0.2, -0.3]));
        x
    };
    let alone: Vec<Vec<Tensor>> = [-0.5, 0.5]
        .map(|first| {
            let weights = weights();
            loss(&weights, &batch(first), 4).backward();
            weights.iter().take(2).map(Tensor::grad).collect()
        })
        .into();
    let shared = together(2, |world| {
        let weights = weights();
        let reducer = Reducer::new(Arc::clone(world.group()), &weights).unwrap();
        let part = Tensor::from_slice(&[world.rank() as i64, world.rank() as i64 + 2]);
        [-0.5, 0.5].map(|first| {
            // The mean over processes of twice the sums is the sum over all.
            let loss = loss(&weights, &batch(first).index_select(0, &part), 4) * 2.0;
            reducer.prepare(&loss).unwrap();
            mp_parallel::backward(&loss).unwrap();
            assert!(!weights[2].grad().defined(), "what no process reaches has no gradient");
            let found: Vec<Tensor> = weights.iter().take(2).map(|weight| weight.grad().copy()).collect();
            weights.iter().take(2).for_each(|weight| weight.shallow_clone().zero_grad());
            found
        })
    });
    for rank in &shared {
        for (found, expected) in rank.iter().flatten().zip(alone.iter().flatten()) {
            let apart = (found - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-14, "{apart}");
        }
    }
    // Bit by bit the same, or the processes would drift apart.
    assert!(shared[0].iter().flatten().zip(shared[1].iter().flatten()).all(|(one, other)| one == other));
}

#[test]
fn passes_that_are_not_prepared_add_up() {
    let found = together(2, |world| {
        let w = Tensor::from_slice(&[1.0_f64]).set_requires_grad(true);
        let reducer = Reducer::new(Arc::clone(world.group()), &[w.shallow_clone()]).unwrap();
        let rank = world.rank() as f64;
        (&w * (1.0 + rank)).sum(Kind::Double).backward();
        let last = (&w * (10.0 + rank)).sum(Kind::Double);
        reducer.prepare(&last).unwrap();
        mp_parallel::backward(&last).unwrap();
        w.grad().double_value(&[0])
    });
    // (1 + 10 + 2 + 11) / 2.
    assert_eq!(found, [12.0, 12.0]);
}

#[test]
fn gradients_flow_through_sums() {
    let found = together(2, |world| {
        let x = Tensor::from_slice(&[2.0 + world.rank() as f64]).set_requires_grad(true);
        // y = (2 + 3)² on both; the sum of both losses, rank 1's three times, is 4 y, whose gradient is 4 · 2 · 5.
        let y = world.norms().sum_through(&x).unwrap().square();
        (y * (1.0 + 2.0 * world.rank() as f64)).sum(Kind::Double).backward();
        x.grad().double_value(&[0])
    });
    assert_eq!(found, [40.0, 40.0]);
}

#[test]
fn ranks_that_disagree_hear_so() {
    let found = together(3, |world| {
        let text = if world.rank() == 2 { "epochs = 3\nseed = 2" } else { "epochs = 3\nseed = 1" };
        world.ensure_same("recipe", text).unwrap_err().to_string()
    });
    let line = "rank 2 on here has another recipe than rank 0: `seed = 2` in place of `seed = 1`";
    assert_eq!(found, [line; 3]);
}

#[test]
fn versions_are_compared_before_anything_else() {
    let server = Server::open(0).unwrap();
    std::thread::scope(|scope| {
        let join = |rank: usize| World::join(place(&server, rank, 2), meeting(["1.0", "1.1"][rank]));
        let other = scope.spawn(move || join(1));
        for found in [join(0), other.join().unwrap()] {
            assert_eq!(
                found.unwrap_err().to_string(),
                "rank 1 on here has another version of the program than rank 0: `1.1` in place of `1.0`"
            );
        }
    });
}

#[test]
fn a_peer_that_never_comes_is_named() {
    let server = Server::open(0).unwrap();
    let patience = Duration::from_millis(300);
    let found = World::join(place(&server, 0, 3), Meeting { patience, ..meeting("1") }).unwrap_err();
    assert!(found.to_string().starts_with("ranks 1, 2 of 3 did not come within 0 s: "), "{found}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let found = Server::open(port).unwrap_err();
    assert!(matches!(found, Error::PortTaken { .. }), "{found}");
    let own = Place { port, serves: true, host: "127.0.0.1".to_owned(), ..place(&Server::open(0).unwrap(), 0, 2) };
    let found = World::join(own, meeting("1")).unwrap_err().to_string();
    assert!(found.starts_with(&format!("rank 0 cannot listen on port {port} of 127.0.0.1: ")), "{found}");
}

#[test]
fn no_rank_0_is_said() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lonely = Place { port: free, ..place(&Server::open(0).unwrap(), 1, 2) };
    let patience = Duration::from_millis(1500);
    let found = World::join(lonely, Meeting { patience, ..meeting("1") }).unwrap_err().to_string();
    assert!(found.starts_with(&format!("rank 1 found no rank 0 at 127.0.0.1:{free} within 1 s")), "{found}");
}

#[test]
fn whoever_leaves_says_why() {
    let start = Instant::now();
    let found = together(2, |world| {
        if world.rank() == 1 {
            world.leave("the data is gone");
            return String::new();
        }
        let error = world.group().barrier().unwrap_err();
        world.explain(error).to_string()
    });
    assert_eq!(found[0], "rank 1 on here ended: the data is gone");
    assert!(start.elapsed() < Duration::from_secs(15), "the end of a connection is noticed at once");
}

#[test]
fn a_launcher_leaves_word_of_those_that_cannot() {
    let server = Server::open(0).unwrap();
    server.note_end(0, 1, "was killed by signal 9");
    let found = World::join(place(&server, 0, 2), meeting("1")).unwrap_err();
    assert_eq!(found.to_string(), "rank 1 on here was killed by signal 9");
}
