//! SinusoidalPositions positions.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::memo;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::ops::Range;
use std::rc::Rc;

/// Adds sines and cosines of the position (Vaswani et al. 2017, section 3.5): of `d` channels, channels `2 i` and `2 i + 1`
/// of position `p` get sine and cosine of `p / base^(2 i / d)`.
#[derive(Clone, Copy, Debug)]
pub struct SinusoidalPositions {
    /// The base of the wavelengths; 10 000 in the paper.
    pub base: f64,
}

impl Operation for SinusoidalPositions {
    const NAMES: &'static [&'static str] = &["sinusoidal_positions"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let base = call.real("base").unwrap_or(10_000.0);
        (base > 0.0).then_some(Self { base })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = x.size;
        let (tokens, channels) = (size.height * size.width, size.channels);
        let x = x.ready()?;
        let first = x.context.position();
        let numbers = [self.base.to_bits(), channels as u64, first as u64, tokens as u64, 0];
        let waves = memo::table(("waves", numbers), || self.waves::<E>(first..first + tokens, channels));
        let waves = x.context.exec.upload(waves.to_vec())?;
        let loops = Loops {
            output: vec![size.batch, tokens, channels],
            summed: Vec::new(),
            views: vec![
                View::steps([tokens * channels, channels, 1]),
                View::steps([0, channels, 1]),
            ],
            value: operand(0) + operand(1),
        };
        let y = x.context.exec.compute(&loops, &[&x.data, &waves])?;
        drop(x.saved);
        let grad = x.grad;
        Ok(Act::output(x.context, size, Rc::new(y), move |exec, dy| {
            grad.add(exec, dy)
        }))
    }
}

impl SinusoidalPositions {
    /// What is added, position by position.
    fn waves<E: Real>(&self, tokens: Range<usize>, channels: usize) -> Vec<E> {
        let places = tokens.flat_map(|token| (0..channels).map(move |c| (token, c)));
        let wave = |(token, c): (usize, usize)| {
            let even = c - c % 2;
            let angle = token as f64 / self.base.powf(even as f64 / channels as f64);
            E::of(if c == even { angle.sin() } else { angle.cos() })
        };
        places.map(wave).collect()
    }
}
