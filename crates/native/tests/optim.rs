//! Optimiser steps over a list of parameters against the same steps by tensor operations.

use mp_native::{AdamWRule, ParameterList, SgdRule};
use tch::{Device, Kind, Tensor};

const SGD: SgdRule = SgdRule { rate: 0.1, momentum: 0.9, decay: 0.01, nesterov: true };
const ADAMW: AdamWRule = AdamWRule { rate: 0.1, betas: [0.9, 0.99], eps: 1e-8, decay: 0.01, step: 3 };

/// A fixed pattern within ±1.
fn pattern(shape: &[i64], kind: Kind, phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin().reshape(shape).to_kind(kind)
}

/// A parameter with a gradient and two tensors of memory, the second nowhere negative.
struct Parameter {
    tensor: Tensor,
    memory: [Tensor; 2],
}

impl Parameter {
    fn new(shape: &[i64], kind: Kind, channels_last: bool) -> Self {
        let layout = |x: Tensor| match channels_last {
            true => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            false => x,
        };
        let tensor = layout(pattern(shape, kind, 0.1)).set_requires_grad(true);
        let memory = [layout(pattern(shape, kind, 0.2)), layout(pattern(shape, kind, 0.3).square())];
        (&tensor * layout(pattern(shape, kind, 0.4))).sum(kind).backward();
        Self { tensor, memory }
    }

    fn push(&self, to: &mut ParameterList, decays: bool) {
        to.push(&self.tensor, decays, &self.memory.each_ref());
    }
}

/// Shapes of fewer numbers than a vector has, of more than one tile of 2048, none at all; channels-last among them.
fn network(kind: Kind) -> Vec<Parameter> {
    [(&[3][..], false), (&[0], false), (&[16, 3, 3, 3], true), (&[70, 64, 3, 3], false), (&[], false), (&[2048], false)]
        .into_iter()
        .map(|(shape, channels_last)| Parameter::new(shape, kind, channels_last))
        .collect()
}

/// The list; every second parameter decays.
fn list_of(network: &[Parameter]) -> ParameterList {
    let mut list = ParameterList::new();
    for (index, parameter) in network.iter().enumerate() {
        parameter.push(&mut list, index % 2 == 0);
    }
    list
}

fn sgd_composed(parameter: &mut Parameter, decay: f64) {
    let _guard = tch::no_grad_guard();
    let gradient = parameter.tensor.grad() + &parameter.tensor * decay;
    let velocity = &mut parameter.memory[0];
    let _ = velocity.g_mul_scalar_(SGD.momentum).g_add_(&gradient);
    let direction = gradient + &*velocity * SGD.momentum;
    let _ = parameter.tensor.g_sub_(&(direction * SGD.rate));
}

fn adamw_composed(parameter: &mut Parameter, decay: f64) {
    let _guard = tch::no_grad_guard();
    let gradient = parameter.tensor.grad();
    let [beta1, beta2] = ADAMW.betas;
    let _ = parameter.tensor.g_mul_scalar_(1.0 - ADAMW.rate * decay);
    let [mean, square] = &mut parameter.memory;
    let _ = mean.g_mul_scalar_(beta1).g_add_(&(&gradient * (1.0 - beta1)));
    let _ = square.g_mul_scalar_(beta2).g_add_(&(gradient.square() * (1.0 - beta2)));
    let unbiased_mean = &*mean / (1.0 - beta1.powi(3));
    let unbiased_square = &*square / (1.0 - beta2.powi(3));
    let _ = parameter.tensor.g_sub_(&(unbiased_mean / (unbiased_square.sqrt() + ADAMW.eps) * ADAMW.rate));
}

fn tensors(network: &[Parameter]) -> Vec<&Tensor> {
    network.iter().flat_map(|parameter| [&parameter.tensor, &parameter.memory[0], &parameter.memory[1]]).collect()
}

#[track_caller]
fn assert_close(found: &[Parameter], expected: &[Parameter], tolerance: f64) {
    for (at, (found, expected)) in tensors(found).into_iter().zip(tensors(expected)).enumerate() {
        assert!(found.detach().allclose(&expected.detach(), tolerance, tolerance, false), "tensor {at}");
    }
}

#[track_caller]
fn assert_same_bits(found: &[Parameter], expected: &[Parameter]) {
    for (at, (found, expected)) in tensors(found).into_iter().zip(tensors(expected)).enumerate() {
        assert_eq!(found, expected, "tensor {at}");
    }
}

#[test]
fn sgd_has_the_bits_of_the_composed_step() {
    for kind in [Kind::Float, Kind::Double] {
        let (found, mut expected) = (network(kind), network(kind));
        assert_eq!(list_of(&found).sgd(&SGD), [false; 6]);
        for (index, parameter) in expected.iter_mut().enumerate() {
            sgd_composed(parameter, if index % 2 == 0 { SGD.decay } else { 0.0 });
        }
        assert_same_bits(&found, &expected);
    }
}

#[test]
fn adamw_agrees_with_the_composed_step() {
    for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::Double, 1e-13)] {
        let (found, mut expected) = (network(kind), network(kind));
        assert_eq!(list_of(&found).adamw(&ADAMW), [false; 6]);
        for (index, parameter) in expected.iter_mut().enumerate() {
            adamw_composed(parameter, if index % 2 == 0 { ADAMW.decay } else { 0.0 });
        }
        assert_close(&found, &expected, tolerance);
    }
}

#[test]
fn a_parameter_without_memory_has_no_momentum() {
    // g = 2 + 0.5 · 4 = 4, p = 4 - 0.1 · 4 = 3.6.
    let p = Tensor::from_slice(&[4.0]).set_requires_grad(true);
    (&p * 2.0).sum(Kind::Double).backward();
    let mut list = ParameterList::new();
    list.push(&p, true, &[]);
    assert_eq!(list.sgd(&SgdRule { decay: 0.5, ..SGD }), [false]);
    assert_eq!(p.double_value(&[0]), 3.6);
    // AdamW cannot do without.
    assert_eq!(list.adamw(&ADAMW), [true]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let stepped = |threads: i32| {
        tch::set_num_threads(threads);
        let network = network(Kind::Float);
        let mut list = list_of(&network);
        list.sgd(&SGD);
        list.adamw(&ADAMW);
        let norm = list.clip(0.5).expect("all are on the CPU");
        let gradients: Vec<Tensor> = network.iter().map(|parameter| parameter.tensor.grad()).collect();
        (network, norm, gradients)
    };
    let (alone, norm, gradients) = stepped(1);
    for threads in [2, 3, 5] {
        let other = stepped(threads);
        assert_same_bits(&other.0, &alone);
        assert_eq!((other.1, &other.2), (norm, &gradients));
    }
}

#[test]
fn what_is_no_row_of_numbers_is_left_to_the_caller() {
    let good = Parameter::new(&[2, 3, 4, 4], Kind::Float, false);
    let half = Parameter::new(&[4], Kind::BFloat16, false);
    // Memory in another layout than the parameter's.
    let mut turned = Parameter::new(&[2, 3, 4, 4], Kind::Float, false);
    turned.memory = Parameter::new(&[2, 3, 4, 4], Kind::Float, true).memory;
    let gapped = pattern(&[4, 6], Kind::Float, 0.0).slice(1, 0, 6, 2).detach().set_requires_grad(true);
    gapped.sum(Kind::Float).backward();
    let unreached = pattern(&[4], Kind::Float, 0.0).set_requires_grad(true);

    let mut list = ParameterList::new();
    for parameter in [&good, &half, &turned] {
        parameter.push(&mut list, true);
    }
    list.push(&gapped, true, &[]);
    list.push(&unreached, true, &[]);
    let before: Vec<Tensor> = [&half.tensor, &turned.tensor, &gapped, &unreached].map(Tensor::copy).into();
    assert_eq!(list.sgd(&SGD), [false, true, true, true, false]);
    for (after, before) in [&half.tensor, &turned.tensor, &gapped, &unreached].into_iter().zip(&before) {
        assert_eq!(after, before);
    }
    let gradient = good.tensor.grad().copy();
    assert_eq!(list.clip(1e-3), None);
    assert_eq!(good.tensor.grad(), gradient);
}

#[test]
fn clipping_scales_the_joint_norm() {
    // (3, 4, 12) has norm 13; the gradients become 6.5 / (13 + 1e-6) of what they were.
    let a = Tensor::from_slice(&[1.0, 1.0]).set_requires_grad(true);
    let b = Tensor::from_slice(&[1.0]).set_requires_grad(true);
    ((&a * Tensor::from_slice(&[3.0, 4.0])).sum(Kind::Double) + (&b * 12.0).sum(Kind::Double)).backward();
    let mut list = ParameterList::new();
    list.push(&a, false, &[]);
    list.push(&b, false, &[]);
    assert_eq!(list.clip(20.0), Some(13.0));
    assert_eq!(Vec::<f64>::try_from(a.grad()).unwrap(), [3.0, 4.0]);
    assert_eq!(list.clip(6.5), Some(13.0));
    let factor = 6.5 / (13.0 + 1e-6);
    assert_eq!(Vec::<f64>::try_from(a.grad()).unwrap(), [3.0 * factor, 4.0 * factor]);
    assert_eq!(Vec::<f64>::try_from(b.grad()).unwrap(), [12.0 * factor]);
}

#[test]
fn a_norm_that_is_no_number_spoils_every_gradient() {
    let a = Tensor::from_slice(&[1.0_f32]).set_requires_grad(true);
    let b = Tensor::from_slice(&[1.0_f32]).set_requires_grad(true);
    ((&a * f64::NAN).sum(Kind::Float) + b.sum(Kind::Float)).backward();
    let mut list = ParameterList::new();
    list.push(&a, false, &[]);
    list.push(&b, false, &[]);
    assert!(list.clip(1.0).is_some_and(f64::is_nan));
    assert!(b.grad().double_value(&[0]).is_nan());
}

#[test]
fn dropped_gradients_are_undefined_until_the_next_backward_pass() {
    let p = Tensor::from_slice(&[1.0]).set_requires_grad(true);
    let mut list = ParameterList::new();
    list.push(&p, false, &[]);
    p.sum(Kind::Double).backward();
    list.drop_gradients();
    assert!(!p.grad().defined());
    assert_eq!(list.clip(1.0), Some(0.0));
    (&p * 3.0).sum(Kind::Double).backward();
    assert_eq!(p.grad().double_value(&[0]), 3.0);
}

#[test]
fn autograd_sees_that_a_parameter_moved() {
    let p = Tensor::from_slice(&[2.0]).set_requires_grad(true);
    p.sum(Kind::Double).backward();
    let saved = p.square().sum(Kind::Double);
    let mut list = ParameterList::new();
    list.push(&p, false, &[]);
    list.sgd(&SGD);
    let message = saved.f_backward().unwrap_err().to_string();
    assert!(message.contains("modified by an inplace operation"), "{message}");
}

/// The list, moved by the operations that move it on a GPU.
fn left_list_of(network: &[Parameter]) -> ParameterList {
    let mut list = list_of(network);
    list.leave_all();
    list
}

#[test]
fn operations_over_lists_take_the_same_step_of_sgd() {
    for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::Double, 1e-14)] {
        let (found, mut expected) = (network(kind), network(kind));
        assert_eq!(left_list_of(&found).sgd(&SGD), [false; 6]);
        for (index, parameter) in expected.iter_mut().enumerate() {
            sgd_composed(parameter, if index % 2 == 0 { SGD.decay } else { 0.0 });
        }
        assert_close(&found, &expected, tolerance);
    }
}

#[test]
fn operations_over_lists_take_the_same_step_of_adamw() {
    for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::Double, 1e-6)] {
        let (found, mut expected) = (network(kind), network(kind));
        assert_eq!(left_list_of(&found).adamw(&ADAMW), [false; 6]);
        for (index, parameter) in expected.iter_mut().enumerate() {
            adamw_composed(parameter, if index % 2 == 0 { ADAMW.decay } else { 0.0 });
        }
        assert_close(&found, &expected, tolerance);
    }
}

#[test]
fn operations_over_lists_do_without_memory_where_there_is_no_momentum() {
    // As above: p = 4 - 0.1 · (2 + 0.5 · 4) = 3.6.
    let p = Tensor::from_slice(&[4.0]).set_requires_grad(true);
    (&p * 2.0).sum(Kind::Double).backward();
    let mut list = ParameterList::new();
    list.leave_all();
    list.push(&p, true, &[]);
    assert_eq!(list.sgd(&SgdRule { decay: 0.5, ..SGD }), [false]);
    assert!((p.double_value(&[0]) - 3.6).abs() < 1e-15);
    assert_eq!(list.adamw(&ADAMW), [true]);
}

#[test]
fn operations_over_lists_take_a_gradient_of_another_layout() {
    // A weight in rows whose gradient comes channels-last.
    let gradient = pattern(&[2, 3, 4, 4], Kind::Double, 0.5);
    let turned = gradient.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    let step = |gradient: &Tensor, leave: bool| {
        let p = pattern(&[2, 3, 4, 4], Kind::Double, 0.1).set_requires_grad(true);
        let velocity = p.detach().zeros_like();
        (&p * gradient).sum(Kind::Double).backward();
        let mut list = ParameterList::new();
        if leave {
            list.leave_all();
        }
        list.push(&p, true, &[&velocity]);
        assert_eq!(list.sgd(&SGD), [false]);
        p.detach()
    };
    assert!(step(&turned, true).allclose(&step(&gradient, false), 1e-12, 1e-12, false));
}

#[test]
fn clipping_by_operations_over_lists_scales_the_joint_norm() {
    let a = Tensor::from_slice(&[1.0, 1.0]).set_requires_grad(true);
    let b = Tensor::from_slice(&[1.0]).set_requires_grad(true);
    ((&a * Tensor::from_slice(&[3.0, 4.0])).sum(Kind::Double) + (&b * 12.0).sum(Kind::Double)).backward();
    let mut list = ParameterList::new();
    list.leave_all();
    list.push(&a, false, &[]);
    list.push(&b, false, &[]);
    assert_eq!(list.clip(6.5), None, "it is left");
    assert_eq!(list.clip_left(20.0).unwrap().double_value(&[]), 13.0);
    assert_eq!(Vec::<f64>::try_from(a.grad()).unwrap(), [3.0, 4.0]);
    assert_eq!(list.clip_left(6.5).unwrap().double_value(&[]), 13.0);
    let norm = (a.grad().square().sum(Kind::Double) + b.grad().square().sum(Kind::Double)).sqrt().double_value(&[]);
    assert!((norm - 6.5).abs() < 1e-6);
    list.drop_gradients();
    assert!(list.clip_left(1.0).is_none(), "there is nothing to clip");
}

#[test]
fn kept_gradients_come_back_in_their_own_memory() {
    let p = Tensor::from_slice(&[1.0]).set_requires_grad(true);
    let unreached = Tensor::from_slice(&[1.0]).set_requires_grad(true);
    let mut list = ParameterList::new();
    list.push(&p, false, &[]);
    list.push(&unreached, false, &[]);
    (&p * 3.0).sum(Kind::Double).backward();
    let memory = p.grad().data_ptr();
    list.keep_gradients();
    list.drop_gradients();
    assert!(!p.grad().defined());
    list.restore_gradients();
    assert_eq!((p.grad().double_value(&[0]), p.grad().data_ptr()), (3.0, memory));
    assert!(!unreached.grad().defined());
}

#[test]
fn unscaling_divides_and_tells_what_is_not_finite() {
    let factor = Tensor::from(0.5_f32);
    for (gradient, finite) in [(8.0, true), (f64::INFINITY, false), (f64::NAN, false)] {
        let p = Tensor::from_slice(&[1.0_f32]).set_requires_grad(true);
        (&p * gradient).sum(Kind::Float).backward();
        let mut list = ParameterList::new();
        list.push(&p, false, &[]);
        assert_eq!(list.unscale(&factor), finite);
        assert!(!finite || p.grad().double_value(&[0]) == 4.0);
    }
}
