//! The engine's operations on sequences by name, on the CPU in `f64`: against PyTorch 2.15, and their gradients against
//! finite differences. Sequences are maps one row high, so their values are in the order of PyTorch's
//! `[batch, tokens, features]`.
//!
//! import torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def r(seed, *shape):
//!     count = torch.Size(shape).numel()
//!     return torch.tensor([((i * 7 + seed) % 23 - 11) / 8 for i in range(count)]).reshape(shape).requires_grad_()
//! def show(y, *inputs):
//!     w = torch.tensor([((i * 5) % 17 - 8) / 8 for i in range(y.numel())]).reshape(y.shape)
//!     for t in (y, *torch.autograd.grad((y * w).sum(), inputs)):
//!         t = t.flatten()
//!         print(t[:6].tolist(), (t * torch.arange(t.numel())).sum().item())

mod attention;
mod chunks;
mod masks;
mod tokens;
mod whole;

use ksdsl_cpu::{CpuBuf, CpuExec, Error};
use ksdsl_engine::act::GradCell;
use ksdsl_engine::ops::{Call, CallError, call};
use ksdsl_engine::size::MapSize;
use ksdsl_engine::{Act, Context, Exec, Param, Recorder};
use std::rc::Rc;

type Failure = CallError<Error>;

/// The output, and the gradients of inputs (none where nothing was added to it) and parameters.
type Outcome = (Vec<f64>, Vec<Option<Vec<f64>>>);

/// A sequence: images, tokens, features.
#[derive(Clone)]
struct Sequence {
    shape: [usize; 3],
    values: Vec<f64>,
}

/// The `r` of the module's documentation.
fn ramp(seed: usize, shape: [usize; 3]) -> Sequence {
    let values = (0..shape.iter().product()).map(|i| ((i * 7 + seed) % 23) as f64);
    Sequence {
        shape,
        values: values.map(|x| (x - 11.0) / 8.0).collect(),
    }
}

/// A sequence of these values.
fn numbers(shape: [usize; 3], values: &[f64]) -> Sequence {
    let values = values.to_vec();
    Sequence { shape, values }
}

/// The `w` of the module's documentation.
fn weight(at: usize) -> f64 {
    ((at * 5 % 17) as f64 - 8.0) / 8.0
}

/// An operation with what it reads.
#[derive(Clone)]
struct Case<'a> {
    call: Call<'a>,
    inputs: Vec<Sequence>,
    params: Vec<Vec<f64>>,
}

impl Case<'_> {
    fn run(&self) -> Result<Outcome, Failure> {
        let exec = CpuExec;
        let taped = || GradCell::new(true);
        let grads: Vec<GradCell<CpuBuf<f64>>> = self.inputs.iter().map(|_| taped()).collect();
        let inputs = self.inputs.iter().zip(&grads).map(|(input, grad)| {
            let [batch, width, channels] = input.shape;
            let size = MapSize {
                batch,
                height: 1,
                width,
                channels,
            };
            let context = Context {
                exec,
                tape: Recorder::default(),
                kernels: None,
                unit: None,
                in_loop: None,
                past: None,
            };
            let data = Rc::new(CpuBuf::from_vec(input.values.clone()));
            Act::<f64, CpuExec, Recorder<f64, CpuExec>>::input(size, context, data, grad.clone())
        });
        let params = self.params.iter().map(|values| {
            let kernel = Exec::<f64>::kernel(&exec, CpuBuf::from_vec(values.clone()));
            Param::new(Rc::new(kernel), values.len(), true)
        });
        let params: Vec<Param<f64, CpuExec>> = params.collect();
        let y = call(&self.call, inputs.collect(), params.clone())?;
        let (size, y) = (y.size, y.ready().map_err(CallError::Failed)?);
        assert_eq!(size.len(), y.data.len(), "the size of the output");
        let dy = CpuBuf::from_vec((0..size.len()).map(weight).collect());
        y.grad.add::<f64, _>(&exec, dy).map_err(CallError::Failed)?;
        y.context.tape.run(&exec).map_err(CallError::Failed)?;
        let mut gradients: Vec<_> = grads.iter().map(|grad| grad.take().map(|dx| dx.to_vec())).collect();
        for param in params {
            let gradient = param.take_gradient(&exec).map_err(CallError::Failed)?;
            gradients.push(gradient.map(|gradient| gradient.to_vec()));
        }
        Ok((y.data.to_vec(), gradients))
    }

    fn loss(&self) -> f64 {
        let (y, _) = self.run().unwrap();
        y.iter().enumerate().map(|(at, y)| y * weight(at)).sum()
    }

    /// What the `n`-th gradient is of.
    fn operand(&mut self, n: usize) -> &mut Vec<f64> {
        match self.inputs.len() {
            inputs if n < inputs => &mut self.inputs[n].values,
            inputs => &mut self.params[n - inputs],
        }
    }

    /// Compares with PyTorch's output and gradients, those that there are, and with central differences.
    fn check(&self, want: &[([f64; 6], f64)]) {
        let (y, gradients) = self.run().unwrap();
        let found: Vec<&Vec<f64>> = std::iter::once(&y).chain(gradients.iter().flatten()).collect();
        assert_eq!(found.len(), want.len());
        for (got, (first, sum)) in found.iter().zip(want) {
            let weighted: f64 = got.iter().enumerate().map(|(at, value)| value * at as f64).sum();
            let pairs = got.iter().zip(first).chain(std::iter::once((&weighted, sum)));
            for (got, want) in pairs {
                assert!((got - want).abs() <= 2e-12 * want.abs().max(1.0), "{got} is not {want}");
            }
        }
        for (n, gradient) in gradients.iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            for (at, got) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut case = self.clone();
                    case.operand(n)[at] += by;
                    case.loss()
                };
                let want = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((got - want).abs() < 1e-8, "gradient {n} at {at}: {got} is not {want}");
            }
        }
    }
}

fn case<'a, const N: usize>(name: &'a str, args: &'a [(&'a str, f64)], inputs: [Sequence; N]) -> Case<'a> {
    Case {
        call: Call { name, args },
        inputs: inputs.to_vec(),
        params: Vec::new(),
    }
}
