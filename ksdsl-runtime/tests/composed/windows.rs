//! What makes larger and smaller maps.

use super::*;

/// F.interpolate(x, scale_factor=3, mode="nearest")
/// F.interpolate(x, scale_factor=f, mode="bilinear", align_corners=False) for f in (2, 3)
#[test]
fn upsampling_is_pytorchs() {
    let by = |factor, bilinear| op::Upsample {
        factor_height: factor,
        factor_width: factor,
        bilinear,
    };
    check::<6, 9>(
        &[],
        |x| op::apply(by(3, false), [x]),
        ([-2.75, -2.75, -2.75, -1.0, -1.0, -1.0], 26.125),
        &[([0.5, 0.375, -1.875, 1.5, -0.75, -0.875], 19.875)],
    );
    check::<4, 6>(
        &[],
        |x| op::apply(by(2, true), [x]),
        ([-2.75, -2.3125, -1.4375, -0.5625, 0.3125, 0.75], -1.736328125),
        &[([-1.1640625, 0.6015625, -0.15625, 0.3828125, 0.0234375, 0.0625], -15.125)],
    );
    check::<6, 9>(
        &[],
        |x| op::apply(by(3, true), [x]),
        (
            [-2.75, -2.75, -2.166666666667, -1.583333333333, -1.0, -0.416666666667],
            19.298611111111107,
        ),
        &[(
            [
                0.611111111111,
                0.333333333333,
                -2.069444444444,
                1.222222222222,
                -0.708333333333,
                -0.513888888889,
            ],
            20.583333333333364,
        )],
    );
}

/// F.pad(x, (2, 1, 1, 0)); F.adaptive_avg_pool2d(x, (1, 2)); F.adaptive_avg_pool2d(x, (3, 5))
/// F.avg_pool2d(x, 2, ceil_mode=True); F.avg_pool2d(x, (2, 3), (2, 3), (1, 1), ceil_mode=True)
#[test]
fn windows_are_pytorchs() {
    check_to::<4, 3, 6>(
        &[],
        |x| {
            op::apply(
                op::ZeroPad {
                    top: 1,
                    bottom: 0,
                    left: 2,
                    right: 1,
                },
                [x],
            )
        },
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], -9.625),
        &[([-0.25, 0.375, 1.0, -0.75, -0.125, 0.5], -16.625)],
    );
    check_to::<4, 1, 2>(
        &[],
        |x| op::apply(op::AdaptiveAvgPool { height: 1, width: 2 }, [x]),
        ([-0.6875, -0.375, -0.25, -1.375, 1.625, 0.5], -1.40625),
        &[([-0.25, -0.34375, -0.09375, -0.25, -0.34375, -0.09375], 6.625)],
    );
    check_to::<4, 3, 5>(
        &[],
        |x| op::apply(op::AdaptiveAvgPool { height: 3, width: 5 }, [x]),
        ([-2.75, -1.875, -1.0, -0.125, 0.75, -0.125], 16.4765625),
        &[([-1.03125, 0.15625, -0.0625, 0.90625, -0.09375, -0.25], -18.75)],
    );
    check_to::<4, 1, 2>(
        &[],
        |x| {
            op::apply(
                op::AvgPoolCeil {
                    kernel_height: 2,
                    kernel_width: 2,
                    stride_height: 2,
                    stride_width: 2,
                    pad_height: 0,
                    pad_width: 0,
                    count_pad: true,
                    ceil: true,
                },
                [x],
            )
        },
        ([-0.6875, 0.5, -0.25, -0.5, 1.625, -1.5], 1.21875),
        &[([-0.25, -0.25, -0.1875, -0.25, -0.25, -0.1875], 6.6875)],
    );
    check_to::<4, 1, 2>(
        &[],
        |x| {
            op::apply(
                op::AvgPoolCeil {
                    kernel_height: 2,
                    kernel_width: 3,
                    stride_height: 3,
                    stride_width: 3,
                    pad_height: 1,
                    pad_width: 1,
                    count_pad: true,
                    ceil: true,
                },
                [x],
            )
        },
        ([-0.625, 0.1875, 0.0, -0.0625, 0.625, -0.3125], 0.6692708333333333),
        &[(
            [-0.166666666667, -0.166666666667, -0.09375, 0.0, 0.0, 0.0],
            2.0208333333333335,
        )],
    );
}

/// F.max_pool2d(x, 2, ceil_mode=True); F.max_pool2d(x, (2, 3), (3, 3), (1, 1), ceil_mode=True)
#[test]
fn maxima_of_windows_beyond_the_padding_are_pytorchs() {
    check_to::<4, 1, 2>(
        &[],
        op::MaxPool::<Kernel<2, 2>, Stride<2, 2>, Pad<0, 0, 0, 1>>::apply,
        ([2.5, 0.75, 2.0, -0.25, 2.75, -1.25], -1.9375),
        &[([0.0, 0.0, -0.375, -1.0, 0.0, 0.0], 5.5)],
    );
    check_to::<4, 1, 2>(
        &[],
        op::MaxPool::<Kernel<2, 3>, Stride<3, 3>, Pad<1, 1, 1, 2>>::apply,
        ([-1.0, 0.75, 2.0, -0.25, 2.75, -1.25], 1.5625),
        &[([0.0, -1.0, -0.375, 0.0, 0.0, 0.0], 7.5)],
    );
}

/// kernel = lambda *s: torch.tensor([((i * 5) % 13 - 6) / 8.0 for i in range(math.prod(s))]).reshape(s).requires_grad_()
/// F.conv_transpose2d(x, kernel(4, 3, 2, 2), stride=2)
/// F.conv_transpose2d(x, kernel(4, 2, 4, 4), bias, stride=2, padding=1, groups=2)
/// F.conv_transpose2d(x, kernel(4, 4, 3, 2), bias, stride=(3, 1), padding=(1, 0), output_padding=(2, 0))
#[test]
fn transposed_convolutions_are_pytorchs() {
    let cpu = Cpu::default();
    let bias = cpu.tensor([0.1, 0.2, -0.3, 0.4]);
    let values = |len: i32| (0..len).map(|i| f64::from((i * 5) % 13 - 6) / 8.0).collect();
    let small: Tensor<Rank4<4, 3, 2, 2>, f64, _> = cpu.tensor_from_vec(values(48), Default::default());
    let grouped: Tensor<Rank4<4, 2, 4, 4>, f64, _> = cpu.tensor_from_vec(values(128), Default::default());
    let uneven: Tensor<Rank4<4, 4, 3, 2>, f64, _> = cpu.tensor_from_vec(values(96), Default::default());
    check_to::<3, 4, 6>(
        &[&small],
        |x| {
            op::conv_transpose(
                op::ConvTranspose {
                    channels: 3,
                    kernel_height: 2,
                    kernel_width: 2,
                    stride_height: 2,
                    stride_width: 2,
                    pad_height: 0,
                    pad_width: 0,
                    output_pad_height: 0,
                    output_pad_width: 0,
                    groups: 1,
                },
                x,
                &small,
                NoBias,
            )
        },
        ([2.1875, -0.90625, 0.3125, 1.65625, -1.5625, 0.625], -16.40625),
        &[
            (
                [2.03125, -0.140625, 1.140625, -0.109375, 0.640625, -1.53125],
                -41.828125,
            ),
            ([4.96875, 2.5625, -5.21875, 5.125, 5.125, 2.71875], -140.0),
        ],
    );
    check_to::<4, 4, 6>(
        &[&grouped, &bias],
        |x| {
            op::conv_transpose(
                op::ConvTranspose {
                    channels: 4,
                    kernel_height: 4,
                    kernel_width: 4,
                    stride_height: 2,
                    stride_width: 2,
                    pad_height: 1,
                    pad_width: 1,
                    output_pad_height: 0,
                    output_pad_width: 0,
                    groups: 2,
                },
                x,
                &grouped,
                &bias,
            )
        },
        (
            [-2.7125, -0.0875, -2.43125, -0.2125, 1.88125, -0.15],
            13.157812499999999,
        ),
        &[
            (
                [-0.515625, 1.6875, -1.078125, -2.390625, 2.140625, -0.65625],
                -356.421875,
            ),
            ([3.0625, 2.5, -2.09375, -2.65625, -1.375, 5.34375], 1220.1875),
            ([-1.25, 0.5, 0.125, -0.25, 0.0, 0.0], 0.0),
        ],
    );
    check_to::<4, 6, 4>(
        &[&uneven, &bias],
        |x| {
            op::conv_transpose(
                op::ConvTranspose {
                    channels: 4,
                    kernel_height: 3,
                    kernel_width: 2,
                    stride_height: 3,
                    stride_width: 1,
                    pad_height: 1,
                    pad_width: 0,
                    output_pad_height: 2,
                    output_pad_width: 0,
                    groups: 1,
                },
                x,
                &uneven,
                &bias,
            )
        },
        (
            [-3.15, 1.44375, 3.6625, -1.9625, 0.00625, -6.93125],
            -17.650781249999998,
        ),
        &[
            ([0.046875, 0.59375, -0.984375, -0.234375, -0.15625, -0.875], -4.3125),
            ([-2.34375, -2.15625, 3.125, 4.96875, 1.46875, -3.0625], 2523.5625),
            ([-1.25, 0.5, 0.125, -0.25, 0.0, 0.0], 0.0),
        ],
    );
}
