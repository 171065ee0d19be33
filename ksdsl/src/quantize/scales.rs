//! The scales of activations and kernels.

use super::{Ranges, Scale};
use crate::steps::{self, BufferId, ConvSize, PoolSize, Program};

/// The scale of a range.
pub(super) fn scale([least, most]: [f32; 2]) -> Scale {
    let [least, most] = [f64::from(least).min(0.0), f64::from(most).max(0.0)];
    let scale = (most - least) / 255.0;
    if scale <= 0.0 || !scale.is_finite() {
        return Scale { scale: 1.0, zero: 0 };
    }
    Scale {
        scale,
        zero: (-128.0 - least / scale).round().clamp(-128.0, 127.0) as i8,
    }
}

/// The scales of all buffers: copies and maxima of one buffer have its scale.
pub(super) fn scales(program: &Program, ranges: &Ranges) -> Vec<Scale> {
    let mut scales: Vec<Scale> = ranges.0.iter().map(|range| scale(*range)).collect();
    let mut source: Vec<Option<Option<BufferId>>> = vec![None; program.buffers.len()];
    for step in &program.steps {
        let of = match &step.kind {
            steps::Kind::Move(_) => Some(step.inputs[0]),
            steps::Kind::Pool(PoolSize { max: true, .. }) => Some(step.inputs[0]),
            // Zeros are zeros in every scale.
            steps::Kind::Zero => continue,
            _ => None,
        };
        let known = source[step.output].get_or_insert(of);
        if *known != of {
            *known = None;
        }
    }
    for step in &program.steps {
        if let Some(Some(of)) = source[step.output] {
            scales[step.output] = scales[of];
        }
    }
    scales
}

/// The unit of each row of a kernel.
pub(super) fn rows(size: &ConvSize, kernel: &[f32]) -> Vec<f64> {
    let mut rows = vec![0.0f64; size.output[2]];
    for (at, value) in kernel.iter().enumerate() {
        let row = &mut rows[size.row(at)];
        *row = row.max(f64::from(value.abs()) / 127.0);
    }
    rows
}

/// An element of a kernel whose row has this unit.
pub(super) fn integer(value: f32, unit: f64) -> i8 {
    match unit {
        0.0 => 0,
        unit => (f64::from(value) / unit).round().clamp(-127.0, 127.0) as i8,
    }
}
