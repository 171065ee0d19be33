//! The algorithm that is chosen at run time is the one that runs: the algorithms round differently, so the bits of
//! logits and gradients tell which it was.

use crate::net::noise;
use crate::nets::algorithms::*;
use ksdsl_runtime::cpu::{WinogradChoice, with_winograd};
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

/// Eight channels are too few for the rule, so it takes what `Never` takes.
#[test]
fn the_choice_at_run_time_goes_before_the_rule() {
    let step = || step!(by_rule [3, 9, 9] conv_weight);
    let direct = with_winograd(WinogradChoice::Never, step);
    let winograd = with_winograd(WinogradChoice::Always, step);
    assert_eq!(step(), direct);
    let differ = direct.iter().zip(&winograd).filter(|(one, other)| one != other).count();
    assert!(differ > direct.len() / 2, "{differ} of {}", direct.len());
    let near = direct.iter().zip(&winograd).all(|(&one, &other)| {
        let [one, other] = [one, other].map(f32::from_bits);
        (one - other).abs() < 1e-5
    });
    assert!(near, "another function");
}
