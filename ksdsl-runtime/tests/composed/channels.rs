//! Differences, and channels that move.

use super::*;

/// x - 2 * x, whose gradient is that of -x.
#[test]
fn differences_are_of_both_inputs() {
    let weight = |at: usize| f64::from((at as i32 * 5) % 17 - 8) / 8.0;
    let x = input(&Cpu::default()).as_vec();
    let negative: Vec<f64> = x.iter().map(|x| -x).collect();
    let gradient: Vec<f64> = (0..48).map(|at| -weight(at)).collect();
    check::<2, 3>(
        &[],
        |x| {
            let (x, other) = x.fork()?;
            let (other, more) = other.fork()?;
            let twice = op::add(other, more)?;
            op::apply(op::Subtract, [x, twice])
        },
        seen(&negative, weight),
        &[seen(&gradient, |at| at as f64)],
    );
}

/// x[:, 1:3]; F.pad(x, (0, 0, 0, 0, 1, 2)); F.channel_shuffle(x, 2); F.pixel_shuffle(x, 2)
#[test]
fn channels_are_moved_as_by_pytorch() {
    check_to::<2, 2, 3>(
        &[],
        |x| op::apply(op::Slice { start: 1, end: 3 }, [x]),
        ([2.0, -2.0, -0.25, 1.5, -2.5, -0.75], -1.53125),
        &[([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 11.875)],
    );
    check_to::<7, 2, 3>(
        &[],
        |x| op::apply(op::ZeroChannels { before: 1, after: 2 }, [x]),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], -11.71875),
        &[([0.625, -0.875, -0.25, 0.375, 1.0, -0.5], 0.5)],
    );
    check_to::<4, 2, 3>(
        &[],
        |x| op::apply(op::ChannelShuffle { groups: 2 }, [x]),
        ([-2.75, -1.0, 0.75, 2.5, -1.5, 0.25], 3.15625),
        &[([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], 46.75)],
    );
    check_to::<1, 4, 6>(
        &[],
        |x| op::apply(op::PixelShuffle { factor: 2 }, [x]),
        ([-2.75, 2.0, -1.0, -2.0, 0.75, -0.25], -0.84375),
        &[([-1.0, 0.25, -0.625, 0.125, -0.75, 0.5], 42.0)],
    );
}

/// x + weight[:, None, None]
#[test]
fn shifts_are_learned_as_pytorchs() {
    let weight = Cpu::default().tensor([0.5, -1.0, 2.0, 1.5]);
    check_to::<4, 2, 3>(
        &[&weight],
        |x| op::apply_with(op::LayerShift, [x], [&weight]),
        ([-2.25, -0.5, 1.25, 3.0, -1.0, 0.75], 6.5),
        &[
            ([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], 49.0),
            ([-1.0, -0.625, -0.25, 2.25, 0.0, 0.0], 5.625),
        ],
    );
}
