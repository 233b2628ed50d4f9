//! What scales a branch, by hand: what each form gives for few numbers, and what it costs.

use mp_blocks::{BlockConfig, Branch};
use mp_blocks::{
    ChannelAttentionConfig, Gather, GatherExciteConfig, Recalibration, ResidualConfig, Shape, ShortcutConfig,
    SqueezeExciteConfig, SqueezeLayers,
};
use mp_nn::{Device, Kind, Mode, Module, Store, Tensor, upsample_nearest};
use mp_routing::Pass;

fn pattern(shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7).sin().reshape(shape)
}

fn built(form: &Recalibration, maps: Shape) -> (Store, Box<dyn Module>) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let module = form.build(maps, &store.root()).unwrap();
    (store, module)
}

fn parameters(form: Recalibration, maps: Shape) -> u64 {
    built(&form, maps).0.parameter_count()
}

fn assert_close(found: &Tensor, expected: &Tensor) {
    let difference = (found - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "largest difference {difference}");
}

#[test]
fn parameters_of_each_form() {
    let maps = Shape::square(64, 8);
    let squeeze = SqueezeExciteConfig::new(16);
    // 2 C² / r weights, and C / r + C biases.
    assert_eq!(parameters(Recalibration::SqueezeExcite(squeeze.clone()), maps), 512 + 4 + 64);
    let unbiased = SqueezeExciteConfig { bias: false, ..squeeze };
    assert_eq!(parameters(Recalibration::SqueezeExcite(unbiased), maps), 512);
    assert_eq!(parameters(Recalibration::ChannelAttention(ChannelAttentionConfig::default()), maps), 3);
    let gather = |config| parameters(Recalibration::GatherExcite(config), maps);
    assert_eq!(gather(GatherExciteConfig::minus(Some(4))), 0);
    // C H W weights and the norm's 2 C; log2 of the extent times 9 C and 2 C.
    assert_eq!(gather(GatherExciteConfig::theta(None)), 64 * 64 + 128);
    assert_eq!(gather(GatherExciteConfig::theta(Some(8))), 3 * 11 * 64);
    assert_eq!(gather(GatherExciteConfig::plus(None)), 64 * 64 + 128 + 580);
}

#[test]
fn squeeze_excite_scales_by_two_layers_of_the_means() {
    let (store, module) = built(&Recalibration::SqueezeExcite(SqueezeExciteConfig::new(2)), Shape::square(4, 3));
    let entries = store.entries();
    let weight = |at: usize| entries[at].tensor.view([entries[at].tensor.size()[0], -1]);
    let x = pattern(&[2, 4, 3, 3]);
    let hidden = x.mean_dim([2_i64, 3].as_slice(), false, None).matmul(&weight(0).tr()).relu();
    let gate = hidden.matmul(&weight(2).tr()).sigmoid().view([2, 4, 1, 1]);
    assert_close(&module.forward(&x, Mode::Eval), &(x * gate));
}

#[test]
fn dense_layers_give_what_convolutions_give() {
    let config = SqueezeExciteConfig::new(2);
    let maps = Shape::square(4, 3);
    let (from, convolutions) = built(&Recalibration::SqueezeExcite(config.clone()), maps);
    let dense = SqueezeExciteConfig { layers: SqueezeLayers::Dense, ..config };
    let (to, dense) = built(&Recalibration::SqueezeExcite(dense), maps);
    tch::no_grad(|| {
        for (from, to) in from.entries().iter().zip(to.entries()) {
            assert_eq!(from.name, to.name);
            to.tensor.shallow_clone().copy_(&from.tensor.view(&to.tensor.size()[..]));
        }
    });
    let x = pattern(&[2, 4, 3, 3]);
    assert_close(&dense.forward(&x, Mode::Eval), &convolutions.forward(&x, Mode::Eval));
}

#[test]
fn gathered_means_are_those_of_windows_within_the_map() {
    for (extent, height, width) in [(2, 5, 6), (4, 8, 8), (8, 8, 9)] {
        let form = Recalibration::GatherExcite(GatherExciteConfig::minus(Some(extent)));
        let (_, module) = built(&form, Shape::Map { channels: 1, height, width });
        let x = pattern(&[1, 1, height, width]);
        let (rows, columns) = ((height + extent - 1) / extent, (width + extent - 1) / extent);
        let gathered = Tensor::zeros([1, 1, rows, columns], (Kind::Double, Device::Cpu));
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let within = |center: i64, size: i64| (center - extent + 1).max(0)..(center + extent).min(size);
            let (mut sum, mut count) = (0.0, 0);
            for i in within(row * extent, height) {
                for j in within(column * extent, width) {
                    sum += x.double_value(&[0, 0, i, j]);
                    count += 1;
                }
            }
            let _ = gathered.get(0).get(0).get(row).get(column).fill_(sum / f64::from(count));
        }
        let gate = upsample_nearest(&gathered.sigmoid(), (height, width));
        assert_close(&module.forward(&x, Mode::Eval), &(&x * gate));
    }
}

#[test]
fn gathering_halves_the_map_once_for_each_power_of_two() {
    let form = GatherExciteConfig { extent: Some(4), gather: Gather::Convolutions, reduction: None };
    let (store, module) = built(&Recalibration::GatherExcite(form), Shape::square(3, 8));
    let shapes: Vec<Vec<i64>> = store.parameters().iter().map(|entry| entry.tensor.size()).collect();
    assert_eq!(shapes, [vec![3, 1, 3, 3], vec![3], vec![3], vec![3, 1, 3, 3], vec![3], vec![3]]);
    let x = pattern(&[2, 3, 8, 8]) + 2.0;
    let gate = module.forward(&x, Mode::Eval) / &x;
    // One factor for each 4x4 cells.
    assert_close(&gate.narrow(2, 0, 1), &gate.narrow(2, 3, 1));
    assert!((gate.narrow(2, 3, 1) - gate.narrow(2, 4, 1)).abs().max().double_value(&[]) > 1e-6);
}

#[test]
fn extents_that_are_no_powers_of_two_are_refused() {
    let form = Recalibration::GatherExcite(GatherExciteConfig::theta(Some(6)));
    let error = form.build(Shape::square(3, 8), &Store::new(Device::Cpu, 0).root()).err().unwrap();
    assert_eq!(error.to_string(), "extent of the gather-excite `ge`: expected a power of two from 2, found 6");
}

/// With a branch of zeros the block gives what its shortcut gives.
fn shortcut_alone(shortcut: ShortcutConfig) -> Tensor {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let config = ResidualConfig { shortcut, ..ResidualConfig::new(Branch::Basic { channels: 6 }, 2) };
    let block = config.build(Shape::square(2, 4), &store.root()).unwrap();
    assert_eq!(store.entries().iter().filter(|entry| entry.name.starts_with("downsample")).count(), 0);
    tch::no_grad(|| {
        for entry in store.parameters() {
            let _ = entry.tensor.shallow_clone().zero_();
        }
    });
    let x = Tensor::arange(32, (Kind::Double, Device::Cpu)).view([1, 2, 4, 4]);
    block.forward(&x, &mut Pass::eval())
}

#[test]
fn padded_shortcuts_take_every_second_cell_between_channels_of_zeros() {
    let first = Tensor::from_slice(&[0.0, 2.0, 8.0, 10.0]).view([1, 1, 2, 2]);
    let (second, zero) = (&first + 16.0, first.zeros_like());
    let around = Tensor::cat(&[&zero, &zero, &first, &second, &zero, &zero], 1);
    assert_close(&shortcut_alone(ShortcutConfig::Padded), &around);
    let after = Tensor::cat(&[&first, &second, &zero, &zero, &zero, &zero], 1);
    assert_close(&shortcut_alone(ShortcutConfig::Appended), &after);
}
