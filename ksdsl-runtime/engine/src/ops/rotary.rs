//! Rotary position embeddings.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::memo;
use crate::param::Param;
use crate::past::Past;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::ops::Range;
use std::rc::Rc;

/// Rotates the channels of each head by angles that grow with the position (Su et al. 2021, RoFormer, section 3.2.2):
/// with `d` channels in a head, channels `c` and `c + d / 2` of position `p` are the coordinates of a point that is rotated
/// by `p / base^(2 c / d)`. Halves are paired as in Llama (`rotate_half`), where the paper pairs neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Rotary {
    /// Heads; they divide the channels into even numbers.
    pub heads: usize,
    /// The base of the angles; 10 000 in the paper.
    pub base: f64,
}

impl Operation for Rotary {
    const NAMES: &'static [&'static str] = &["rotary"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (heads, base) = (call.size("heads")?, call.real("base").unwrap_or(10_000.0));
        (heads > 0 && base > 0.0).then_some(Self { heads, base })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (operation, size) = (*self, x.size);
        let x = x.ready()?;
        let y = operation.turn(&x.context.exec, (size, x.context.past.as_deref()), &x.data, 1.0)?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| grad.add(exec, operation.turn(exec, (size, None), &dy, -1.0)?);
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}

impl Rotary {
    /// `x` rotated by the angles times `sign`; the gradient is rotated back.
    fn turn<E: Real, X: Exec<E>>(
        &self,
        exec: &X,
        (size, past): (MapSize, Option<&Past<X::Buf>>),
        x: &X::Buf,
        sign: f64,
    ) -> Result<X::Buf, X::Err> {
        let (tokens, depth) = (size.height * size.width, size.channels / self.heads);
        let half = depth / 2;
        let other = |c: usize| if c < half { c + half } else { c - half };
        let table = |name, part: fn(f64, f64) -> f64| {
            let base = self.base.to_bits();
            let make = |first: usize| {
                let numbers = [base, depth as u64, sign.to_bits(), first as u64, tokens as u64];
                let values = memo::table((name, numbers), || {
                    self.table(first..first + tokens, depth, |sign_of, angle| {
                        part(sign * sign_of, angle)
                    })
                });
                exec.upload(values.to_vec())
            };
            match past {
                Some(past) => past.table((name, [base, depth as u64]), tokens, make),
                None => make(0).map(Rc::new),
            }
        };
        let cosines = table("cosines", |_, angle| angle.cos())?;
        let sines = table("sines", |sign, angle| sign * angle.sin())?;
        // Images, positions, heads, channels of a head.
        let [image, token] = [tokens * size.channels, size.channels];
        let loops = Loops {
            output: vec![size.batch, tokens, self.heads, depth],
            summed: Vec::new(),
            views: vec![
                View::steps([image, token, depth, 1]),
                View::steps([image, token, depth, 0]).with_table(&[3], (0..depth).map(other).collect()),
                View::steps([0, depth, 0, 1]),
                View::steps([0, depth, 0, 1]),
            ],
            value: operand(0) * operand(2) + operand(1) * operand(3),
        };
        exec.compute(&loops, &[x, x, &cosines, &sines])
    }

    /// What each channel of each position is multiplied with, or what its partner is, made of the sign of that and the
    /// angle.
    fn table<E: Real>(&self, tokens: Range<usize>, depth: usize, part: impl Fn(f64, f64) -> f64) -> Vec<E> {
        let periods: Vec<f64> = (0..depth / 2)
            .map(|pair| self.base.powf(2.0 * pair as f64 / depth as f64))
            .collect();
        let row = |token: usize| {
            let of = |sign: f64| {
                let (periods, part) = (periods.iter(), &part);
                periods.map(move |period| E::of(part(sign, token as f64 / period)))
            };
            of(-1.0).chain(of(1.0)).collect::<Vec<E>>()
        };
        tokens.flat_map(row).collect()
    }
}
