//! Loops over operands against the oracle.

use crate::support::{down, gpu, up};
use ksdsl_engine::Exec;
use ksdsl_engine::loops::{Loops, Unary, View, constant, operand};
use ksdsl_oracle::loops;

fn agrees(loops: &Loops) {
    let gpu = gpu(0);
    let lengths = loops.views.iter().map(|view| loops.reach(view));
    let operands: Vec<Vec<f64>> = lengths
        .enumerate()
        .map(|(n, len)| (0..len).map(|i| ((i * 37 + n * 11) % 64) as f64 / 32.0 - 1.0).collect())
        .collect();
    let slices: Vec<&[f64]> = operands.iter().map(Vec::as_slice).collect();
    let want = loops::compute(loops, &slices);
    let buffers: Vec<_> = operands.iter().map(|values| up::<f32, _>(&gpu.exec, values)).collect();
    let got = Exec::<f32>::compute(&gpu.exec, loops, &buffers.iter().collect::<Vec<_>>()).unwrap();
    let got = down::<f32, _>(&gpu.exec, got, loops.len());
    let greatest = want.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() <= 2e-6 * greatest, "{got} is not {want}: {loops:?}");
    }
}

#[test]
fn every_function_agrees() {
    let x = || operand(0);
    let positive = || x().map(Unary::Exp);
    let value = x().map(Unary::Tanh) + x().map(Unary::ExpM1) * positive().map(Unary::Ln1P)
        - positive().map(Unary::Sqrt) / constant(3.0)
        + x().if_positive(operand(1), constant(-0.5));
    agrees(&Loops::elementwise(1000, 2, value));
}

/// Operands that are repeated, transposed and read by tables.
#[test]
fn views_agree() {
    agrees(&Loops {
        output: vec![3, 4, 5],
        summed: vec![2, 3],
        views: vec![
            View::steps([30, 0, 1, 5, 10]),
            View::steps([0, 2, 0, 1, 0]).with_table(&[1, 4], (0..12).map(|i| i * 5 % 7).collect()),
        ],
        value: operand(0) * operand(1) + constant(0.25),
    });
}

/// Sums that are made in parts.
#[test]
fn long_sums_agree() {
    agrees(&Loops {
        output: vec![3],
        summed: vec![70, 101],
        views: vec![View::steps([1, 303, 3])],
        value: operand(0) * operand(0),
    });
}

#[test]
fn operands_that_are_too_short_are_refused() {
    let gpu = gpu(0);
    let loops = Loops::elementwise(5, 1, operand(0) + constant(1.0));
    let four = up::<f32, _>(&gpu.exec, &[1.0; 4]);
    assert!(Exec::<f32>::compute(&gpu.exec, &loops, &[&four]).is_err());
}
