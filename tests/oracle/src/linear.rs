//! Linear layers: `y[r, o] = bias[o] + sum over i of x[r, i] * weight[o, i]`.

use ksdsl_engine::Real;
use ksdsl_engine::size::LinearSize;

/// The output, `[rows][outputs]`.
pub fn forward<E: Real>(size: LinearSize, x: &[E], weight: &[E], bias: Option<&[E]>) -> Vec<E> {
    let mut y = vec![E::zero(); size.rows * size.outputs];
    for row in 0..size.rows {
        for out in 0..size.outputs {
            let mut sum = bias.map_or(E::zero(), |bias| bias[out]);
            for input in 0..size.inputs {
                sum += x[row * size.inputs + input] * weight[out * size.inputs + input];
            }
            y[row * size.outputs + out] = sum;
        }
    }
    y
}

/// The gradient with respect to the input.
pub fn backward_data<E: Real>(size: LinearSize, weight: &[E], dy: &[E]) -> Vec<E> {
    let mut dx = vec![E::zero(); size.rows * size.inputs];
    for row in 0..size.rows {
        for out in 0..size.outputs {
            for input in 0..size.inputs {
                dx[row * size.inputs + input] += dy[row * size.outputs + out] * weight[out * size.inputs + input];
            }
        }
    }
    dx
}

/// The gradient with respect to the weight, `[outputs][inputs]`.
pub fn backward_weight<E: Real>(size: LinearSize, x: &[E], dy: &[E]) -> Vec<E> {
    let mut dweight = vec![E::zero(); size.outputs * size.inputs];
    for row in 0..size.rows {
        for out in 0..size.outputs {
            for input in 0..size.inputs {
                dweight[out * size.inputs + input] += dy[row * size.outputs + out] * x[row * size.inputs + input];
            }
        }
    }
    dweight
}

/// The gradient with respect to the bias: the sum of `dy` per output.
pub fn backward_bias<E: Real>(size: LinearSize, dy: &[E]) -> Vec<E> {
    let mut dbias = vec![E::zero(); size.outputs];
    for (index, &dy) in dy.iter().enumerate() {
        dbias[index % size.outputs] += dy;
    }
    dbias
}
