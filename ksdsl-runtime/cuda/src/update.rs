//! [`Updates`] on CUDA devices.

use super::buf::CudaBuf;
use super::error::Error;
use super::grid::Grid;
use super::handle::CudaExec;
use super::layers::{Done, int, long};
use super::real::CudaReal;
use super::source::Arg;
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};

fn sgd<E: CudaReal>(rule: SgdStep, parameter: &CudaBuf<E>, gradient: &CudaBuf<E>, velocity: &CudaBuf<E>) -> Done<()> {
    let real = |value: f64| Arg::Real(E::of(value));
    let args = [
        long(parameter.len()),
        real(rule.rate),
        real(rule.momentum),
        int(rule.nesterov.into()),
        real(rule.decay),
        real(1.0 - rule.rate * rule.decoupled),
        parameter.arg(),
        gradient.arg(),
        velocity.arg(),
    ];
    parameter.gpu().launch::<E>("sgd", Grid::flat(parameter.len()), &args)
}

fn adam<E: CudaReal>(
    rule: AdamStep,
    parameter: &CudaBuf<E>,
    gradient: &CudaBuf<E>,
    moments: [&CudaBuf<E>; 2],
) -> Done<()> {
    let real = |value: f64| Arg::Real(E::of(value));
    let corrected = |beta: f64| 1.0 - beta.powf(rule.step as f64);
    let [beta1, beta2] = rule.betas;
    let args = [
        long(parameter.len()),
        real(rule.rate / corrected(beta1)),
        real(corrected(beta2).sqrt()),
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
        real(rule.eps),
        real(rule.decay),
        real(1.0 - rule.rate * rule.decoupled),
        parameter.arg(),
        gradient.arg(),
        moments[0].arg(),
        moments[1].arg(),
    ];
    parameter.gpu().launch::<E>("adam", Grid::flat(parameter.len()), &args)
}

/// One copy to the host for all: each waits for everything before it.
fn sums_of_squares<E: CudaReal>(of: &[CudaBuf<E>]) -> Done<Vec<f64>> {
    let Some(first) = of.first() else {
        return Ok(Vec::new());
    };
    let gpu = first.gpu();
    let sums = gpu.zeros::<f64>(of.len())?;
    for (x, at) in of.iter().zip((sums.at()..).step_by(size_of::<f64>())) {
        if x.is_empty() {
            continue;
        }
        let blocks = x.len().div_ceil(256 * 8).min(1024);
        let partials = gpu.scratch::<f64>(blocks)?;
        let grid = Grid {
            blocks: [blocks, 1, 1],
            threads: [1, 256, 1],
        };
        gpu.launch::<E>("squares", grid, &[long(x.len()), x.arg(), partials.arg()])?;
        let args = [int(blocks), partials.arg(), Arg::Pointer(at)];
        gpu.launch::<E>("sum_doubles", Grid::flat(1), &args)?;
    }
    sums.to_host()
}

macro_rules! cuda_updates {
    ($E:ident) => {
        impl Updates<$E> for CudaExec {
            fn sgd_step(
                &self,
                rule: SgdStep,
                parameter: &mut CudaBuf<$E>,
                gradient: &CudaBuf<$E>,
                velocity: &mut CudaBuf<$E>,
            ) -> Result<(), Error> {
                sgd(rule, parameter, gradient, velocity)
            }

            fn adam_step(
                &self,
                rule: AdamStep,
                parameter: &mut CudaBuf<$E>,
                gradient: &CudaBuf<$E>,
                first: &mut CudaBuf<$E>,
                second: &mut CudaBuf<$E>,
            ) -> Result<(), Error> {
                adam(rule, parameter, gradient, [first, second])
            }

            fn average(&self, decay: f64, average: &mut CudaBuf<$E>, value: &CudaBuf<$E>) -> Result<(), Error> {
                let rest = [decay, 1.0 - decay].map(|value| Arg::Real(value as $E));
                let args = [long(average.len()), rest[0], rest[1], average.arg(), value.arg()];
                average
                    .gpu()
                    .launch::<$E>("average", Grid::flat(average.len()), &args)
            }

            fn sums_of_squares(&self, of: &[CudaBuf<$E>]) -> Result<Vec<f64>, Error> {
                sums_of_squares(of)
            }

            fn scale(&self, factor: f64, x: &mut CudaBuf<$E>) -> Result<(), Error> {
                let args = [long(x.len()), Arg::Real(factor as $E), x.arg()];
                x.gpu().launch::<$E>("scale", Grid::flat(x.len()), &args)
            }
        }
    };
}

cuda_updates!(f32);
cuda_updates!(f64);
