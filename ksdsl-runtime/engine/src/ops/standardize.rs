//! Weight standardisation: a convolution's kernel whose rows, one for each output channel, have mean 0 and variance 1.

use super::rows;
use crate::exec::Exec;
use crate::loops::{Expr, Loops, Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::RowSize;
use crate::weight::Weight;

/// `(kernel - mean) / sqrt(variance + eps)`, with mean and biased variance over each row of the kernel (Qiao et al. 2019);
/// with a gain for each row, that times `gain / sqrt(columns)` (Brock et al. 2021, section 2.1).
///
/// It is recomputed in the backward pass, so that it does not live longer than its layer runs.
#[derive(Debug)]
pub struct Standardized<E: Real, X: Exec<E>> {
    size: RowSize,
    eps: f64,
    kernel: Weight<E, X>,
    gain: Option<Param<E, X>>,
}

/// What the rows of a kernel are standardised with.
struct Moments<B> {
    mean: B,
    /// `1 / sqrt(variance + eps)`.
    inverse: B,
}

impl<E: Real, X: Exec<E>> Standardized<E, X> {
    pub(crate) fn new(rows: usize, eps: f64, kernel: Weight<E, X>, gain: Option<Param<E, X>>) -> Self {
        let channels = kernel.len() / rows.max(1);
        let size = RowSize { rows, channels };
        Self {
            size,
            eps,
            kernel,
            gain,
        }
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.size.rows * self.size.channels
    }

    /// The standardised kernel.
    pub(crate) fn values(&self, exec: &X) -> Result<X::Buf, X::Err> {
        let kernel = self.kernel.values(exec)?;
        let Moments { mean, inverse } = self.moments(exec, &kernel)?;
        let normed = (operand(0) - operand(1)) * operand(2);
        match &self.gain {
            Some(gain) => {
                let loops = rows::map(self.size, "xrrr", normed * (operand(3) * self.scale()));
                exec.compute(&loops, &[&kernel, &mean, &inverse, gain.values()])
            }
            None => exec.compute(&rows::map(self.size, "xrr", normed), &[&kernel, &mean, &inverse]),
        }
    }

    /// The constant factor beside a gain.
    fn scale(&self) -> Expr {
        constant(1.0 / (self.size.channels as f64).sqrt())
    }

    fn moments(&self, exec: &X, x: &X::Buf) -> Result<Moments<X::Buf>, X::Err> {
        let (size, count) = (self.size, constant(self.size.channels as f64));
        let mean = exec.compute(&rows::row_sums(size, "x", operand(0) / count.clone()), &[x])?;
        let centred = operand(0) - operand(1);
        let squares = centred.clone() * centred / count;
        let variance = exec.compute(&rows::row_sums(size, "xr", squares), &[x, &mean])?;
        let inverse = constant(1.0) / (operand(0) + constant(self.eps)).map(Unary::Sqrt);
        let inverse = exec.compute(&Loops::elementwise(size.rows, 1, inverse), &[&variance])?;
        Ok(Moments { mean, inverse })
    }

    /// Adds what follows from the gradient of the standardised kernel for kernel and gain.
    pub(crate) fn add(&self, exec: &X, dy: &X::Buf) -> Result<(), X::Err> {
        let (size, count, x) = (
            self.size,
            constant(self.size.channels as f64),
            self.kernel.values(exec)?,
        );
        let Moments { mean, inverse } = self.moments(exec, &x)?;
        let operands = [&x, &mean, &inverse, dy];
        let normed = || (operand(0) - operand(1)) * operand(2);
        let product = exec.compute(&rows::row_sums(size, "xrrx", normed() * operand(3)), &operands)?;
        let average = exec.compute(&rows::row_sums(size, "x", operand(0) / count.clone()), &[dy])?;
        // dk = f * inverse * (dy - mean(dy) - k' mean(k' dy)), where k' is the kernel without the gain's factor f.
        let centred = operand(3) - operand(4) - normed() * (operand(5) / count);
        let [a, b, c, d] = operands;
        let Some(gain) = &self.gain else {
            let loops = rows::map(size, "xrrxrr", operand(2) * centred);
            return self
                .kernel
                .add(exec, exec.compute(&loops, &[a, b, c, d, &average, &product])?);
        };
        let factor = operand(6) * self.scale();
        let loops = rows::map(size, "xrrxrrr", factor * operand(2) * centred);
        let dk = exec.compute(&loops, &[a, b, c, d, &average, &product, gain.values()])?;
        let of_gain = Loops::elementwise(size.rows, 1, operand(0) * self.scale());
        gain.add(exec, exec.compute(&of_gain, &[&product])?)?;
        self.kernel.add(exec, dk)
    }
}
