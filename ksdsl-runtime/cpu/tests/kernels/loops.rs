//! Loops over operands against the oracle.

use crate::support::Rng;
use ksdsl_cpu::{CpuBuf, CpuExec, CpuReal, Error, with_threads};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::loops::{Binary, Expr, Loops, Unary, View, constant, operand};
use ksdsl_oracle::loops;
use std::num::NonZeroUsize;

/// A random expression of the operands that is finite for values in [-1, 1).
fn expression(rng: &mut Rng, operands: usize, depth: usize) -> Expr {
    if depth == 0 {
        return match rng.between(0, 3) {
            0 => constant(rng.between(1, 9) as f64 / 4.0),
            _ => operand(rng.between(0, operands - 1)),
        };
    }
    let mut inner = || Box::new(expression(rng, operands, depth - 1));
    let (a, b, c) = (inner(), inner(), inner());
    match rng.between(0, 8) {
        0 => a.map(Unary::Tanh),
        1 => a.map(Unary::Tanh).map(Unary::Exp),
        2 => a.map(Unary::Tanh).map(Unary::ExpM1),
        3 => (a.map(Unary::Tanh) + constant(1.5)).map(Unary::Ln1P),
        4 => (a.map(Unary::Tanh) + constant(1.5)).map(Unary::Sqrt),
        5 => Expr::Binary(Binary::Divide, Box::new([*a, b.map(Unary::Tanh) + constant(2.0)])),
        6 => a.if_positive(*b, *c),
        7 => *a * *b,
        _ => *a - *b,
    }
}

/// Random loops, and the lengths of their operands.
fn case(rng: &mut Rng) -> Loops {
    let mut sizes = |most: usize, large: &[usize]| -> Vec<usize> {
        let count = rng.between(usize::from(most == 3), most);
        (0..count).map(|_| rng.one_of(large)).collect()
    };
    let mut output = sizes(3, &[1, 2, 3, 5, 17]);
    let summed = sizes(2, &[1, 2, 3, 7, 9]);
    if rng.between(0, 3) == 0 {
        // More than a block.
        let last = output.len() - 1;
        output[last] = 300;
    }
    let all: Vec<usize> = output.iter().chain(&summed).copied().collect();
    let operands = rng.between(1, 3);
    let view = |rng: &mut Rng| {
        let mut step = 1;
        let mut view = View {
            steps: vec![0; all.len()],
            tables: Vec::new(),
        };
        for at in (0..all.len()).rev() {
            if rng.between(0, 3) > 0 {
                view.steps[at] = step;
                step *= all[at];
            }
        }
        if rng.between(0, 2) == 0 {
            let (first, last) = (rng.between(0, all.len() - 1), all.len() - 1);
            let over = if first == last { vec![last] } else { vec![first, last] };
            let len = over.iter().map(|&at| all[at]).product();
            let offsets = (0..len).map(|_| rng.between(0, 50)).collect();
            view = view.with_table(&over, offsets);
        }
        view
    };
    let views = (0..operands).map(|_| view(rng)).collect();
    let value = expression(rng, operands, 3);
    Loops {
        output,
        summed,
        views,
        value,
    }
}

fn agrees<E: CpuReal>(tolerance: f64)
where
    CpuExec: Exec<E, Buf = CpuBuf<E>, Err = Error>,
{
    let mut rng = Rng(41);
    for _ in 0..200 {
        let loops = case(&mut rng);
        let lengths: Vec<usize> = loops.views.iter().map(|view| loops.reach(view)).collect();
        let operands: Vec<Vec<E>> = lengths.iter().map(|&len| rng.values(len)).collect();
        let buffers: Vec<CpuBuf<E>> = operands.iter().map(|values| CpuBuf::from_vec(values.clone())).collect();
        let wide: Vec<Vec<f64>> = operands
            .iter()
            .map(|values| values.iter().map(|x| x.wide()).collect())
            .collect();
        let want = loops::compute::<f64>(&loops, &wide.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let operands: Vec<&CpuBuf<E>> = buffers.iter().collect();
        let on = |threads| {
            with_threads(NonZeroUsize::new(threads).unwrap(), || {
                Exec::<E>::compute(&CpuExec, &loops, &operands).unwrap()
            })
        };
        let got = on(1);
        assert_eq!(&got[..], &on(3)[..], "{loops:?}");
        let greatest = want.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        for (got, want) in got.iter().zip(&want) {
            let apart = (got.wide() - want).abs() / greatest;
            assert!(apart <= tolerance, "{apart:e}: {} is not {want}: {loops:?}", got.wide());
        }
    }
}

#[test]
fn loops_match_the_oracle_in_f32() {
    agrees::<f32>(4e-5);
}

#[test]
fn loops_match_the_oracle_in_f64() {
    agrees::<f64>(1e-13);
}

#[test]
fn operands_that_are_too_short_are_refused() {
    let loops = Loops::elementwise(5, 2, operand(0) + operand(1));
    let (five, four) = (CpuBuf::from_vec(vec![1.0_f32; 5]), CpuBuf::from_vec(vec![1.0; 4]));
    assert!(Exec::<f32>::compute(&CpuExec, &loops, &[&five, &five]).is_ok());
    assert_eq!(
        Exec::<f32>::compute(&CpuExec, &loops, &[&five, &four]).unwrap_err(),
        Error::WrongLength
    );
    assert_eq!(
        Exec::<f32>::compute(&CpuExec, &loops, &[&five]).unwrap_err(),
        Error::WrongLength
    );
}
