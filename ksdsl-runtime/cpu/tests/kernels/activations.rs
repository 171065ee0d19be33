//! Activations.

use crate::support::{Checked, Kernels, Rng, Worst, at_every_level, buf, cpu, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::Activation;
use ksdsl_oracle::activation;

pub(crate) const ALL: [Activation; 7] = [
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::HardSwish,
    Activation::Relu6,
];

/// What the backward pass of a kind is given: the output or the input.
pub(crate) fn saves_output(kind: Activation) -> bool {
    matches!(kind, Activation::Relu | Activation::Relu6 | Activation::Sigmoid)
}

fn check<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(4), Worst::of(name));
    for kind in ALL {
        for len in [1, 3, 17, 1000, 40_000] {
            let mut x: Vec<E> = rng.values(len);
            x.iter_mut().for_each(|x| *x *= E::of(6.0));
            x.extend([-3.0, 0.0, 3.0, 6.0, -40.0, 40.0].map(E::of));
            let dy: Vec<E> = rng.values(x.len());
            let y = cpu().activation_forward(kind, buf(&x)).unwrap();
            worst
                .part("forward")
                .check(&kind, &y, &activation::forward(kind, &wide(&x)));
            let saved = if saves_output(kind) { y } else { buf(&x) };
            let dx = cpu().activation_backward(kind, &saved, buf(&dy)).unwrap();
            worst
                .part("gradient")
                .check(&kind, &dx, &activation::backward(kind, &wide(&x), &wide(&dy)));
        }
    }
}

#[test]
pub(crate) fn activations_match_the_oracle() {
    at_every_level(|| check::<f32>("activation"));
    check::<f64>("activation, f64");
}

/// Elsewhere: <https://github.com/pytorch/pytorch/issues/7999>, <https://github.com/apache/mxnet/issues/11115>
#[test]
fn relu_keeps_a_nan() {
    let y = Exec::<f32>::activation_forward(&cpu(), Activation::Relu, buf(&[f32::NAN, -1.0])).unwrap();
    assert!(y[0].is_nan() && y[1] == 0.0);
}
