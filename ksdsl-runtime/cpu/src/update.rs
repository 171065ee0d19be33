//! [`Updates`] on the CPU: one pass over memory per rule, since that is what it costs.

use super::CpuBuf;
use super::par::{self, ELEMENTS_PER_TASK};
use crate::real::CpuReal;
use crate::{CpuExec, Error};
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};

#[inline(always)]
fn sgd<E: CpuReal>(rule: SgdStep, parameter: &mut [E], gradient: &[E], velocity: &mut [E]) {
    let [rate, momentum, decay] = [rule.rate, rule.momentum, rule.decay].map(E::of);
    let kept = E::of(1.0 - rule.rate * rule.decoupled);
    for ((p, &g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
        let g = g + decay * *p;
        *v = momentum * *v + g;
        let step = if rule.nesterov { g + momentum * *v } else { *v };
        *p = kept * *p - rate * step;
    }
}

#[inline(always)]
fn adam<E: CpuReal>(rule: AdamStep, parameter: &mut [E], gradient: &[E], first: &mut [E], second: &mut [E]) {
    let power = |beta: f64| beta.powf(rule.step as f64);
    let [beta1, beta2] = rule.betas;
    let (rate, root) = (rule.rate / (1.0 - power(beta1)), (1.0 - power(beta2)).sqrt());
    let (kept, decay) = (E::of(1.0 - rule.rate * rule.decoupled), E::of(rule.decay));
    let [rate, root, eps] = [rate, root, rule.eps].map(E::of);
    let [(beta1, rest1), (beta2, rest2)] = rule.betas.map(|beta| (E::of(beta), E::of(1.0 - beta)));
    for (((p, &g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g + decay * *p;
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * g * g;
        *p = kept * *p - rate * *m / (v.sqrt() / root + eps);
    }
}

/// The sum of the sums over parts.
fn sum_of_squares<E: CpuReal + Into<f64>>(x: &[E]) -> f64 {
    let mut sums = vec![0.0; x.len().div_ceil(ELEMENTS_PER_TASK)];
    par::for_rows(
        &mut sums,
        1,
        1,
        #[inline(always)]
        |first, sums| {
            let parts = x[first * ELEMENTS_PER_TASK..].chunks(ELEMENTS_PER_TASK);
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = sum_of_part(part);
            }
        },
    );
    sums.iter().sum()
}

/// In sums side by side, so that no addition waits for the one before.
#[inline(always)]
fn sum_of_part<E: CpuReal + Into<f64>>(x: &[E]) -> f64 {
    let (chunks, rest) = x.as_chunks::<32>();
    let mut sums = [0.0; 32];
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            let x: f64 = x.into();
            *sum += x * x;
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        let x: f64 = x.into();
        *sum += x * x;
    }
    sums.iter().sum()
}

/// Whether all buffers of a call belong together.
fn same_length(lengths: &[usize]) -> Result<(), Error> {
    match lengths.iter().all(|length| *length == lengths[0]) {
        true => Ok(()),
        false => Err(Error::WrongLength),
    }
}

macro_rules! cpu_updates {
    ($E:ident) => {
        impl Updates<$E> for CpuExec {
            fn sgd_step(
                &self,
                rule: SgdStep,
                parameter: &mut CpuBuf<$E>,
                gradient: &CpuBuf<$E>,
                velocity: &mut CpuBuf<$E>,
            ) -> Result<(), Error> {
                same_length(&[parameter.len(), gradient.len(), velocity.len()])?;
                par::for_parts(
                    [parameter, velocity],
                    #[inline(always)]
                    |range, [parameter, velocity]| sgd::<$E>(rule, parameter, &gradient[range], velocity),
                );
                Ok(())
            }

            fn adam_step(
                &self,
                rule: AdamStep,
                parameter: &mut CpuBuf<$E>,
                gradient: &CpuBuf<$E>,
                first: &mut CpuBuf<$E>,
                second: &mut CpuBuf<$E>,
            ) -> Result<(), Error> {
                same_length(&[parameter.len(), gradient.len(), first.len(), second.len()])?;
                par::for_parts(
                    [parameter, first, second],
                    #[inline(always)]
                    |range, [parameter, first, second]| adam::<$E>(rule, parameter, &gradient[range], first, second),
                );
                Ok(())
            }

            fn average(&self, decay: f64, average: &mut CpuBuf<$E>, value: &CpuBuf<$E>) -> Result<(), Error> {
                same_length(&[average.len(), value.len()])?;
                let (kept, rest) = (decay as $E, (1.0 - decay) as $E);
                par::for_parts(
                    [average],
                    #[inline(always)]
                    |range, [average]| {
                        for (average, value) in average.iter_mut().zip(&value[range]) {
                            *average = kept * *average + rest * value;
                        }
                    },
                );
                Ok(())
            }

            fn sums_of_squares(&self, of: &[CpuBuf<$E>]) -> Result<Vec<f64>, Error> {
                Ok(of.iter().map(|x| sum_of_squares::<$E>(x)).collect())
            }

            fn scale(&self, factor: f64, x: &mut CpuBuf<$E>) -> Result<(), Error> {
                par::for_parts(
                    [x],
                    #[inline(always)]
                    |_, [x]| x.iter_mut().for_each(|x| *x *= factor as $E),
                );
                Ok(())
            }
        }
    };
}

cpu_updates!(f32);
cpu_updates!(f64);
