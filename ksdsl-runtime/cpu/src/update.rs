//! [`Updates`] on the CPU: one loop per rule, a small part of a step.

use super::CpuBuf;
use crate::real::CpuReal;
use crate::{CpuExec, Error};
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};

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

/// In eight sums side by side, so that no addition waits for the one before.
fn sum_of_squares<E: CpuReal + Into<f64>>(x: &[E]) -> f64 {
    let (chunks, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    let mut add = |sum: usize, x: E| {
        let x: f64 = x.into();
        sums[sum] += x * x;
    };
    for chunk in chunks {
        (0..8).for_each(|i| add(i, chunk[i]));
    }
    rest.iter().enumerate().for_each(|(i, &x)| add(i, x));
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
                sgd::<$E>(rule, parameter, gradient, velocity);
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
                adam::<$E>(rule, parameter, gradient, first, second);
                Ok(())
            }

            fn average(&self, decay: f64, average: &mut CpuBuf<$E>, value: &CpuBuf<$E>) -> Result<(), Error> {
                same_length(&[average.len(), value.len()])?;
                let (kept, rest) = (decay as $E, (1.0 - decay) as $E);
                for (average, value) in average.iter_mut().zip(value.iter()) {
                    *average = kept * *average + rest * value;
                }
                Ok(())
            }

            fn sum_of_squares(&self, x: &CpuBuf<$E>) -> Result<f64, Error> {
                Ok(sum_of_squares::<$E>(x))
            }

            fn scale(&self, factor: f64, x: &mut CpuBuf<$E>) -> Result<(), Error> {
                x.iter_mut().for_each(|x| *x *= factor as $E);
                Ok(())
            }
        }
    };
}

cpu_updates!(f32);
cpu_updates!(f64);
