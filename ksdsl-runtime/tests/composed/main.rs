//! Operations that are made of loops, against PyTorch 2.15 in `f64`:
//!
//! import torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! x = torch.tensor([((i * 7) % 23 - 11) / 4.0 for i in range(48)]).reshape(2, 4, 2, 3).requires_grad_()
//! weight = torch.tensor([0.5, -1.0, 2.0, 1.5]).requires_grad_()
//! bias = torch.tensor([0.1, 0.2, -0.3, 0.4]).requires_grad_()
//! def show(y, *more):
//!     w = torch.tensor([((i * 5) % 17 - 8) / 8.0 for i in range(y.numel())]).reshape(y.shape)
//!     print(y.flatten()[:6].tolist(), (y * w).sum().item())
//!     for g in torch.autograd.grad((y * w).sum(), [x, *more]):
//!         print(g.flatten()[:6].tolist(), (g * torch.arange(g.numel()).reshape(g.shape)).sum().item())

mod activations;
mod channels;
mod gates;
mod images;
mod norms;
mod windows;

use dfdx::tensor::Gradients;
use ksdsl_runtime::generated::*;
use ksdsl_runtime::prelude::*;

type Maps<const H: usize, const W: usize, T = NoneTape> = Act<(Const<2>, Const<4>, Const<H>, Const<W>), f64, Cpu, T>;
type Input = Tensor<Rank4<2, 4, 2, 3>, f64, Cpu>;
type OnTape = OwnedTape<f64, Cpu>;

fn input(cpu: &Cpu) -> Input {
    let values = (0..48).map(|i| f64::from((i * 7) % 23 - 11) / 4.0).collect();
    cpu.tensor_from_vec(values, Default::default())
}

/// The first six values and a sum.
type Seen = ([f64; 6], f64);

fn seen(values: &[f64], factor: impl Fn(usize) -> f64) -> Seen {
    let first = std::array::from_fn(|at| values.get(at).copied().unwrap_or(0.0));
    let sum = values.iter().enumerate().map(|(at, value)| value * factor(at)).sum();
    (first, sum)
}

fn agrees(got: Seen, want: Seen) {
    let apart = |got: f64, want: f64| (got - want).abs() <= 2e-12 * want.abs().max(1.0);
    let same = got.0.iter().zip(&want.0).all(|(got, want)| apart(*got, *want));
    assert!(same && apart(got.1, want.1), "{got:?} is not {want:?}");
}

/// A parameter of whatever shape.
trait Parameter {
    fn gradient(&self, of: &Gradients<f64, Cpu>) -> Vec<f64>;
}

impl<S: Shape> Parameter for Tensor<S, f64, Cpu> {
    fn gradient(&self, of: &Gradients<f64, Cpu>) -> Vec<f64> {
        of.get(self).as_vec()
    }
}

/// Output and gradients of `x` and of parameters.
fn check<const H: usize, const W: usize>(
    params: &[&dyn Parameter],
    operation: impl Fn(Maps<2, 3, OnTape>) -> Result<Maps<H, W, OnTape>, CpuError>,
    output: Seen,
    gradients: &[Seen],
) {
    check_to(params, operation, output, gradients);
}

/// The same for an output of other channels.
fn check_to<const C: usize, const H: usize, const W: usize>(
    params: &[&dyn Parameter],
    operation: impl Fn(Maps<2, 3, OnTape>) -> Result<Map<Const<2>, C, H, W, f64, Cpu, OnTape>, CpuError>,
    output: Seen,
    gradients: &[Seen],
) {
    let cpu = Cpu::default();
    let x = input(&cpu);
    let y = operation(Act::read(x.leaky_trace()).unwrap())
        .unwrap()
        .into_tensor()
        .unwrap();
    let weight = |at: usize| f64::from((at as i32 * 5) % 17 - 8) / 8.0;
    agrees(seen(&y.as_vec(), weight), output);
    let weights = cpu.tensor_from_vec((0..2 * C * H * W).map(weight).collect(), *y.shape());
    let found = (y * weights).sum::<Rank0, _>().backward();
    agrees(seen(&found.get(&x).as_vec(), |at| at as f64), gradients[0]);
    for (param, want) in params.iter().zip(&gradients[1..]) {
        agrees(seen(&param.gradient(&found), |at| at as f64), *want);
    }
    assert_eq!(params.len() + 1, gradients.len());
}

fn times(factor: f64, x: Maps<2, 3, OnTape>) -> Result<Maps<2, 3, OnTape>, CpuError> {
    op::apply(op::Affine { factor, offset: 0.0 }, [x])
}
