//! Loops over rows of channels, which several operations share.

use crate::exec::Exec;
use crate::loops::{Expr, Loops, View};
use crate::real::Real;
use crate::size::{MapSize, PoolKind, RowSize};

/// How an operand is read: `x` by row and channel, `r` by row, `c` by channel.
fn views(size: RowSize, kinds: &str, [row, channel]: [usize; 2]) -> Vec<View> {
    let view = |kind| {
        let mut steps = [0; 2];
        steps[row] = match kind {
            'r' => 1,
            'c' => 0,
            _ => size.channels,
        };
        steps[channel] = usize::from(kind != 'r');
        View::steps(steps)
    };
    kinds.chars().map(view).collect()
}

/// A value for each element, of operands of these kinds.
pub(super) fn map(size: RowSize, kinds: &str, value: Expr) -> Loops {
    Loops {
        output: vec![size.rows, size.channels],
        summed: Vec::new(),
        views: views(size, kinds, [0, 1]),
        value,
    }
}

/// A sum over the channels of each row.
pub(super) fn row_sums(size: RowSize, kinds: &str, value: Expr) -> Loops {
    Loops {
        output: vec![size.rows],
        summed: vec![size.channels],
        views: views(size, kinds, [0, 1]),
        value,
    }
}

/// A sum over the rows for each channel.
pub(super) fn channel_sums(size: RowSize, kinds: &str, value: Expr) -> Loops {
    Loops {
        output: vec![size.channels],
        summed: vec![size.rows],
        views: views(size, kinds, [1, 0]),
        value,
    }
}

/// Rows as maps of one channel and one row of pixels, so that pools are over the channels of a row.
pub(super) fn as_lines(size: RowSize) -> MapSize {
    MapSize {
        batch: size.rows,
        height: 1,
        width: size.channels,
        channels: 1,
    }
}

/// The maximum of each row.
pub(super) fn maxima<E: Real, X: Exec<E>>(exec: &X, size: RowSize, x: &X::Buf) -> Result<X::Buf, X::Err> {
    // Loops have sums, pools have maxima.
    exec.global_pool_forward(PoolKind::Max, as_lines(size), x)
}
