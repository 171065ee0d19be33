//! The algorithm that a specification chooses is the one that runs: the algorithms round differently,
//! so the bits of logits and gradients tell which it was.

use crate::net::noise;
use crate::nets::algorithms::*;
use ksdsl_runtime::cpu::{Level, WinogradChoice, with_winograd};
use ksdsl_runtime::prelude::*;

/// The bits of the logits and of the first kernel's gradient of a training step; the same initial
/// values for all networks of one shape.
macro_rules! step {
    ($net:ident [$($size:literal),+] $kernel:ident) => {{
        let device = Cpu::seed_from_u64(5);
        let mut model = device.build_module::<$net::Builder, f32>();
        let mut noise = noise(7);
        let images: Vec<f32> = (0..2 $(* $size)+).map(|_| noise() as f32).collect();
        let images = device.tensor_from_vec(images, (2, $(Const::<$size>),+));
        let gradients = model.alloc_grads();
        let logits = model.forward_mut(images.traced(gradients));
        let mut bits = logits.as_vec();
        let gradients = logits.square().mean().backward();
        bits.extend(gradients.get(&model.$kernel).as_vec());
        bits.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    }};
}

fn dense() -> [Vec<u32>; 3] {
    [
        step!(by_rule [3, 9, 9] conv_weight),
        step!(directly [3, 9, 9] conv_weight),
        step!(by_winograd [3, 9, 9] conv_weight),
    ]
}

/// Eight channels are too few for the rule.
#[test]
fn a_chosen_algorithm_is_the_one_that_runs() {
    let [rule, direct, winograd] = dense();
    assert_eq!(rule, direct);
    assert_ne!(direct, winograd);
    let differ = direct.iter().zip(&winograd).filter(|(one, other)| one != other).count();
    assert!(differ > direct.len() / 2, "{differ} of {}", direct.len());
    let near = direct.iter().zip(&winograd).all(|(&one, &other)| {
        let [one, other] = [one, other].map(f32::from_bits);
        (one - other).abs() < 1e-5
    });
    assert!(near, "another function");
}

#[test]
fn the_choice_at_run_time_goes_before_it() {
    let [_, direct, winograd] = dense();
    for (choice, bits) in [(WinogradChoice::Always, winograd), (WinogradChoice::Never, direct)] {
        assert!(
            with_winograd(choice, dense).iter().all(|net| *net == bits),
            "{choice:?}"
        );
    }
}

#[test]
fn wide_depthwise_kernels_can_choose_as_well() {
    for level in Level::available() {
        let [rule, direct, toom_cook] = level.with(|| {
            [
                step!(wide_by_rule [8, 20, 20] depthwise_weight),
                step!(wide_directly [8, 20, 20] depthwise_weight),
                step!(wide_by_toom_cook [8, 20, 20] depthwise_weight),
            ]
        });
        assert_ne!(direct, toom_cook, "{level:?}");
        if level != Level::Avx512 {
            // Neither the forward pass nor, with 20 columns, the gradient is taken so by the rule.
            assert_eq!(rule, direct, "{level:?}");
        }
    }
}
