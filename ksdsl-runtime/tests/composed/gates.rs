//! Standardised kernels, one factor for all values, windows whose padding does not count, and gates.

use super::*;

/// kernel = lambda *s: torch.tensor([((i * 5) % 13 - 6) / 8.0 for i in range(math.prod(s))]).reshape(s).requires_grad_()
/// def standardized(k, eps):
///     return F.batch_norm(k.reshape(1, k.shape[0], -1), None, None, training=True, eps=eps).reshape(k.shape)
/// k = kernel(4, 4, 3, 3); F.conv2d(x, standardized(k, 1e-6), padding=1)
/// k = kernel(4, 2, 2, 1); gain = (weight * 4 ** -0.5).reshape(4, 1, 1, 1)
/// F.conv2d(x, standardized(k, 0.01) * gain, bias, groups=2)
#[test]
fn standardised_kernels_are_pytorchs() {
    let cpu = Cpu::default();
    let (gain, bias) = (cpu.tensor([0.5, -1.0, 2.0, 1.5]), cpu.tensor([0.1, 0.2, -0.3, 0.4]));
    let values = |len: i32| (0..len).map(|i| f64::from((i * 5) % 13 - 6) / 8.0).collect();
    let plain: Tensor<Rank4<4, 4, 3, 3>, f64, _> = cpu.tensor_from_vec(values(144), Default::default());
    let scaled: Tensor<Rank4<4, 2, 2, 1>, f64, _> = cpu.tensor_from_vec(values(16), Default::default());
    check::<2, 3>(
        &[&plain],
        |x| {
            op::Conv::<Stride<1, 1>, Pad<1, 1, 1, 1>, Dilation<1, 1>, 1>::apply(
                x,
                Standardized::new(&plain, NoBias, 1e-6),
                NoBias,
            )
        },
        (
            [
                -3.040519498768,
                11.836572257979,
                -5.333855373752,
                1.953034422567,
                8.97360134308,
                -2.470884458853,
            ],
            -3.0417572716159986,
        ),
        &[
            (
                [
                    4.326482457907,
                    -3.032694410284,
                    0.9956793409,
                    0.694425300925,
                    4.621280349933,
                    0.070625013748,
                ],
                -259.1569126944038,
            ),
            (
                [
                    3.871029574747,
                    -6.178975642551,
                    -3.112579226475,
                    0.450253958388,
                    14.5024690014,
                    -4.735675431154,
                ],
                -13.671858790915394,
            ),
        ],
    );
    check::<1, 3>(
        &[&scaled, &gain, &bias],
        |x| {
            op::Conv::<Stride<1, 1>, Pad<0, 0, 0, 0>, Dilation<1, 1>, 2>::apply(
                x,
                Standardized::new(&scaled, &gain, 0.01),
                &bias,
            )
        },
        (
            [
                1.508041756951,
                -0.078541317884,
                -0.078541317884,
                -0.833658127587,
                0.117307349793,
                0.117307349793,
            ],
            -2.7563390831619663,
        ),
        &[
            (
                [
                    0.420639629138,
                    0.00010699647,
                    -0.068981872819,
                    -0.627541638144,
                    0.395203343524,
                    0.012173271674,
                ],
                2.625967293712545,
            ),
            (
                [
                    1.043164478111,
                    -0.734033298818,
                    0.475278241591,
                    -0.784409420883,
                    5.189393548942,
                    -0.838982077168,
                ],
                -17.764378865076438,
            ),
            (
                [
                    -2.816083513903,
                    0.80108504888,
                    -0.089270658942,
                    -0.312447306298,
                    0.0,
                    0.0,
                ],
                -0.31479818789720426,
            ),
            ([-1.0, -0.375, 0.25, 0.875, 0.0, 0.0], 2.75),
        ],
    );
}

/// F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
/// F.avg_pool2d(x, (2, 3), (3, 3), (1, 1), ceil_mode=True, count_include_pad=False)
#[test]
fn padding_that_does_not_count_is_pytorchs() {
    let pool = |[kernel_height, kernel_width]: [usize; 2], stride, ceil| op::AvgPoolCeil {
        kernel_height,
        kernel_width,
        stride_height: stride,
        stride_width: stride,
        pad_height: 1,
        pad_width: 1,
        count_pad: false,
        ceil,
    };
    check::<2, 3>(
        &[],
        |x| op::apply(pool([3, 3], 1, false), [x]),
        (
            [-0.6875, -0.291666666667, -0.375, -0.6875, -0.291666666667, -0.375],
            -2.440104166666666,
        ),
        &[(
            [
                -0.197916666667,
                -0.135416666667,
                -0.104166666667,
                -0.197916666667,
                -0.135416666667,
                -0.104166666667,
            ],
            49.0625,
        )],
    );
    check::<1, 2>(
        &[],
        |x| op::apply(pool([2, 3], 3, true), [x]),
        ([-1.875, 0.75, 0.0, -0.25, 1.875, -1.25], 2.53125),
        &[([-0.5, -0.5, -0.375, 0.0, 0.0, 0.0], 7.4375)],
    );
}

/// one = torch.tensor([0.5]).requires_grad_(); x * one
#[test]
fn one_factor_is_for_all() {
    let one = Cpu::default().tensor([0.5]);
    check::<2, 3>(
        &[&one],
        |x| op::apply_with(op::Gain, [x], [&one]),
        ([-1.375, -0.5, 0.375, 1.25, -0.75, 0.125], 1.75),
        &[
            ([-0.5, -0.1875, 0.125, 0.4375, -0.3125, 0.0], 24.5),
            ([3.5, 0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
        ],
    );
}

/// x.max(1, keepdim=True).values; x.mean(1, keepdim=True); x.flatten(1).unflatten(1, (2, 3, 4))
/// x * x.mean(1, keepdim=True); x.max(1, keepdim=True).values * x
#[test]
fn channels_are_pooled_and_positions_gated_as_by_pytorch() {
    check_to::<1, 2, 3>(
        &[],
        |x| op::apply(op::ChannelPool { max: true }, [x]),
        ([2.0, 2.75, 0.75, 2.5, 2.25, 0.25], -1.53125),
        &[([0.0, 0.0, 0.25, 0.875, 0.0, 0.0], 4.5)],
    );
    check_to::<1, 2, 3>(
        &[],
        |x| op::apply(op::ChannelPool { max: false }, [x]),
        ([0.0625, 0.375, -0.75, 1.0, -0.125, -1.25], -0.34375),
        &[([-0.25, -0.09375, 0.0625, 0.21875, -0.15625, 0.0], 6.0)],
    );
    check_to::<2, 3, 4>(
        &[],
        |x| {
            let x: Flat<Const<2>, 24, f64, Cpu, _> = op::flatten(x)?;
            let (channels, height, width) = (2, 3, 4);
            op::apply(
                op::Unflatten {
                    channels,
                    height,
                    width,
                },
                [x],
            )
        },
        ([-2.75, -1.0, 0.75, 2.5, -1.5, 0.25], 3.5),
        &[([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], 49.0)],
    );
    check::<2, 3>(
        &[],
        |x| {
            let (x, other) = x.fork()?;
            op::gate_positions(x, op::apply(op::ChannelPool { max: false }, [other])?)
        },
        ([-0.171875, -0.375, -0.5625, 2.5, 0.1875, -0.3125], 7.375),
        &[([0.96875, 1.015625, -0.3828125, 1.625, -0.03125, 0.1015625], -130.84375)],
    );
    check::<2, 3>(
        &[],
        |x| {
            let (x, other) = x.fork()?;
            op::gate_positions(x, op::apply(op::ChannelPool { max: true }, [other])?)
        },
        ([-5.5, -2.75, 0.5625, 6.25, -3.375, 0.0625], 14.8125),
        &[([-2.0, -1.03125, -0.59375, 5.1875, -1.40625, 0.40625], -20.5625)],
    );
}
