//! What networks drop at random in training: where, how much, and that evaluation and costs know nothing of it.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_zoo::{Drops, Error, InputSize, Model, ModelOptions, cost_of};

const INPUT: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

const ALL: Drops = Drops { path: 0.3, dropout: Some(0.2), block: 0.1 };

fn options(drops: Drops) -> ModelOptions {
    ModelOptions { drops, ..ModelOptions::new(INPUT) }
}

fn build(name: &str, drops: Drops) -> Result<(Store, Model), Error> {
    let store = Store::new(Device::Cpu, 0);
    let model = mp_zoo::build(name, &options(drops), &store.root())?;
    Ok((store, model))
}

fn path(path: f64) -> Drops {
    Drops { path, ..Drops::default() }
}

fn dropout(rate: f64) -> Drops {
    Drops { dropout: Some(rate), ..Drops::default() }
}

fn block(block: f64) -> Drops {
    Drops { block, ..Drops::default() }
}

fn images() -> Tensor {
    (Tensor::arange(4 * 3 * 32 * 32, (Kind::Float, Device::Cpu)) * 0.7).sin().reshape([4, 3, 32, 32])
}

fn refusal(name: &str, drops: Drops) -> String {
    build(name, drops).err().unwrap().to_string()
}

#[test]
fn evaluation_weights_and_costs_are_the_same() {
    let _no_grad = tch::no_grad_guard();
    for (name, drops) in [
        ("resnest20_cifar_w4", ALL),
        ("resnest20_cifar_w4_x2_cc", ALL),
        ("resnest20_cifar_w4_x2_cp", ALL),
        ("wrn16_1_e2", Drops { block: 0.0, ..ALL }),
        ("densenet40_k2", dropout(0.2)),
        ("mfr_densenet40_k2", dropout(0.2)),
        ("seresnet20_w16_x2_cp", path(0.3)),
        ("vgg11_bn512_cifar_w4", dropout(0.2)),
    ] {
        let ((store, dropping), (plain_store, plain)) =
            (build(name, drops).unwrap(), build(name, Drops::default()).unwrap());
        let names = |store: &Store| store.entries().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names(&store), names(&plain_store), "{name}");
        assert_eq!(
            cost_of(name, &options(drops)).unwrap(),
            cost_of(name, &options(Drops::default())).unwrap(),
            "{name}"
        );

        let images = images();
        let of = |model: &Model, mode| model.forward(&images, mode).logits().shallow_clone();
        assert_eq!(of(&dropping, Mode::Eval), of(&plain, Mode::Eval), "{name}");
        // The masks are libtorch's, by its seed.
        tch::manual_seed(1);
        let first = of(&dropping, Mode::Train);
        assert_ne!(of(&dropping, Mode::Train), first, "{name} drops something");
    }
}

/// Block `b` of nine, counted from 0, has `0.8 b / 8`.
#[test]
fn the_probability_grows_linearly_over_the_blocks() {
    let rates = mp_zoo::drop_rates("resnet20_w2", &options(path(0.8))).unwrap();
    let paths: Vec<f64> = rates.iter().filter_map(|(_, rates)| rates.path).collect();
    let expected = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
    assert!(paths.len() == 9 && paths.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
    assert_eq!(rates[0].1.path, None, "the stem has nothing to skip");
}

#[test]
fn dropout_stands_where_the_papers_have_it() {
    let of = |name: &str, drops| {
        let rates = mp_zoo::drop_rates(name, &options(drops)).unwrap();
        rates
            .into_iter()
            .filter_map(|(place, rates)| Some((place, rates.dropout.filter(|rate| *rate > 0.0)?)))
            .collect::<Vec<_>>()
    };
    let places = |name: &str, drops| of(name, drops).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
    // Inside the blocks, and not before the head.
    let wide = places("wrn16_1", dropout(0.3));
    assert_eq!(wide, ["stage1", "stage1.1", "stage2", "stage2.1", "stage3", "stage3.1"]);
    assert_eq!(places("densenet40_k2", dropout(0.2)).len(), 36);
    // In the dense layers, where it is with 0.5 by itself.
    let own = [("dense".to_owned(), 0.5), ("dense.1".to_owned(), 0.5)];
    assert_eq!(of("vgg11_bn512_cifar_w4", Drops::default()), own);
    assert_eq!(of("vgg11_bn512_cifar_w4", dropout(0.25)), own.map(|(place, _)| (place, 0.25)));
    assert!(of("vgg11_bn512_cifar_w4", dropout(0.0)).is_empty());
    // Everything else: before the head.
    for name in ["resnet20_w2", "preresnet20_w2", "vgg11_bn_cifar_w4", "resnest20_cifar_w4"] {
        assert_eq!(of(name, dropout(0.4)), [("head".to_owned(), 0.4)], "{name}");
    }
}

#[test]
fn squares_are_dropped_in_the_last_two_stages() {
    let rates = mp_zoo::drop_rates("resnest20_cifar_w4", &options(block(0.1))).unwrap();
    let dropping = rates.into_iter().filter(|(_, rates)| rates.block.is_some_and(|rate| rate > 0.0));
    let places: Vec<String> = dropping.map(|(place, _)| place).collect();
    assert_eq!(places, ["stage2", "stage2.1", "stage3", "stage3.1"]);
}

/// The shortcut of this block is its input, which is positive, so that the last ReLU changes nothing.
#[test]
fn a_skipped_block_is_its_shortcut() {
    use mp_blocks::{BlockConfig, ResidualConfig, Shape};
    use mp_routing::Pass;

    let store = Store::new(Device::Cpu, 0);
    let config = ResidualConfig { drop_path: 0.9, ..ResidualConfig::basic(4, 1) };
    let block = config.build(Shape::square(4, 3), &store.root()).unwrap();
    tch::manual_seed(0);
    let x = Tensor::rand([1000, 4, 3, 3], (Kind::Float, Device::Cpu));
    let y = block.forward(&x, &mut Pass::train());
    let kept = y.eq_tensor(&x).flatten(1, 3).all_dim(1, false);
    let skipped = kept.to_kind(Kind::Float).mean(None).double_value(&[]);
    assert!((skipped - 0.9).abs() < 0.03, "{skipped} of the images skip the branch");
}

#[test]
fn a_network_without_a_place_says_so() {
    assert_eq!(
        refusal("vgg11_bn_cifar_w4", path(0.1)),
        "`vgg11_bn_cifar_w4` has no place for `drop_path`: no branch of its blocks can be skipped"
    );
    assert_eq!(
        refusal("resnet20_x2", block(0.1)),
        "`resnet20_x2` has no place for `drop_block`: of our families only ResNeSt was made with it"
    );
    assert_eq!(
        refusal("hyper_wrn28", dropout(0.1)),
        "`hyper_wrn28` has no place for `dropout`: it is no chain of blocks"
    );
    assert!(refusal("lenet5_1998", dropout(0.1)).contains("has no place for `dropout`"));
    assert!(refusal("resnet20", path(1.0)).contains("expected 0 up to, not including, 1"));
}
