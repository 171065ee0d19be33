//! Depthwise convolutions with the pointwise ones around them, in inference, band by band.

use crate::support::{Checked, Kernels, LEVEL, Rng, Worst, at_every_level, buf, cpu_of, pixels, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::CpuReal;
use ksdsl_cpu::{CpuBuf, Level, with_threads};
use ksdsl_engine::exec::{ConvLink, ConvTail, Exec};
use ksdsl_engine::size::{Activation, ConvSize, LinearSize, MapSize, Window};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::{activation, conv, outputs_along};
use std::num::NonZeroUsize;

/// A convolution's operands and what follows it.
struct Link {
    size: ConvSize,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    before: Option<Activation>,
    affine: Option<[Vec<f32>; 2]>,
    residual: Option<Vec<f32>>,
    after: Option<Activation>,
}

impl Link {
    /// `turn` says what follows.
    fn new(size: ConvSize, turn: usize, rng: &mut Rng) -> Self {
        let taps = size.window.kernel[0] * size.window.kernel[1];
        let channels = size.output.channels;
        let before = [None, Some(Activation::Gelu), Some(Activation::HardSwish)];
        Self {
            size,
            weight: rng.values(channels * size.input.channels / size.groups * taps),
            bias: turn.is_multiple_of(2).then(|| rng.values(channels)),
            before: before[turn % 3],
            affine: (turn % 5 != 4).then(|| [0; 2].map(|_| rng.values(channels))),
            residual: (turn % 4 < 2).then(|| rng.values(size.output.len())),
            after: [None, Some(Activation::Relu), None, Some(Activation::Silu)][turn % 4],
        }
    }

    /// By the oracle, one after the other; maps are NCHW.
    fn want(&self, x: &[f64]) -> Vec<f64> {
        let size = self.size;
        let bias = self.bias.as_ref().map(|bias| wide(bias));
        let mut y = conv::forward(size, x, &wide(&self.weight), bias.as_deref());
        if let Some(kind) = self.before {
            y = activation::forward(kind, &y);
        }
        let plane = size.output.height * size.output.width;
        for (at, y) in y.iter_mut().enumerate() {
            let channel = at / plane % size.output.channels;
            if let Some([factor, offset]) = &self.affine {
                *y = *y * f64::from(factor[channel]) + f64::from(offset[channel]);
            }
        }
        if let Some(residual) = &self.residual {
            let residual = to_nchw(size.output, &wide(residual));
            y.iter_mut().zip(residual).for_each(|(y, more)| *y += more);
        }
        self.after
            .map_or_else(|| y.clone(), |kind| activation::forward(kind, &y))
    }
}

/// Buffers of a link, for elements `E`.
struct Buffers<E: CpuReal, K> {
    kernel: K,
    bias: Option<CpuBuf<E>>,
    affine: Option<[CpuBuf<E>; 2]>,
    residual: Option<CpuBuf<E>>,
}

fn exact<E: CpuReal>(values: &[f32]) -> CpuBuf<E> {
    let values: Vec<E> = values.iter().map(|&value| E::of(f64::from(value))).collect();
    buf(&values)
}

/// The chain on the device.
fn chain<E: Checked>(x: &[f32], links: &[Link]) -> Vec<E>
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    let buffers = links.iter().map(|link| Buffers {
        kernel: device.kernel(exact(&link.weight)),
        bias: link.bias.as_deref().map(exact::<E>),
        affine: link
            .affine
            .as_ref()
            .map(|both| both.each_ref().map(|values| exact(values))),
        residual: link.residual.as_deref().map(exact),
    });
    let buffers: Vec<_> = buffers.collect();
    let calls = links.iter().zip(&buffers).map(|(link, buffers)| ConvLink {
        size: link.size,
        kernel: &buffers.kernel,
        bias: buffers.bias.as_ref(),
        tail: ConvTail {
            before: link.before,
            affine: buffers.affine.as_ref().map(|[factor, offset]| (factor, offset)),
            residual: buffers.residual.as_ref(),
            after: link.after,
        },
    });
    let calls: Vec<_> = calls.collect();
    device.conv_chain(&exact(x), &calls).unwrap().to_vec()
}

/// Both convolutions: kernel, stride and dilation of the first, outputs of the second.
fn sizes(input: MapSize, [kernel, stride, dilation, outs]: [usize; 4]) -> [ConvSize; 2] {
    let window = Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [kernel / 2 * dilation; 2],
        dilation: [dilation; 2],
    };
    let middle = MapSize {
        height: outputs_along(&window, 0, input.height).unwrap(),
        width: outputs_along(&window, 1, input.width).unwrap(),
        ..input
    };
    let first = ConvSize {
        input,
        output: middle,
        window,
        groups: input.channels,
        algorithm: Default::default(),
        unit: None,
    };
    let second = pixels(LinearSize {
        rows: middle.rows(),
        inputs: input.channels,
        outputs: outs,
    });
    let output = MapSize {
        channels: outs,
        ..middle
    };
    let second = ConvSize {
        input: middle,
        output,
        ..second
    };
    [first, second]
}

/// Every way of a depthwise convolution, maps that no vector, band or piece divides, and a large product:
/// batch, height, width and channels, then as for [`sizes`].
const CASES: [([usize; 4], [usize; 4]); 8] = [
    ([8, 32, 32, 16], [3, 1, 1, 24]),
    ([8, 33, 17, 19], [9, 1, 1, 7]),
    ([16, 31, 33, 24], [3, 2, 1, 40]),
    ([9, 29, 21, 5], [5, 1, 2, 33]),
    ([40, 12, 13, 33], [3, 1, 1, 1]),
    ([12, 30, 19, 48], [1, 1, 1, 17]),
    ([8, 32, 23, 20], [7, 1, 1, 65]),
    ([16, 16, 16, 256], [3, 1, 1, 256]),
];

/// What a pointwise convolution makes is read by a depthwise one: 3x3 and 5x5, with strides 1 and 2, in strips of some rows and of
/// one, within a task and at the ends of images; channels before it, and whether another pointwise one follows.
const EXPANDED: [([usize; 4], [usize; 4], usize, bool); 8] = [
    ([4, 37, 40, 48], [3, 1, 1, 24], 7, true),
    ([3, 41, 33, 80], [3, 2, 1, 17], 16, true),
    ([2, 56, 56, 144], [3, 1, 1, 24], 24, false),
    ([2, 45, 61, 96], [5, 2, 1, 40], 19, true),
    ([5, 33, 35, 47], [5, 1, 1, 9], 5, false),
    ([1, 112, 112, 96], [3, 2, 1, 24], 16, true),
    ([4, 20, 35, 200], [3, 2, 1, 1], 3, false),
    ([1, 56, 40, 800], [5, 1, 1, 33], 8, true),
];

fn cases() -> impl Iterator<Item = (Vec<f32>, Vec<Link>)> {
    let map = |[batch, height, width, channels]: [usize; 4]| MapSize {
        batch,
        height,
        width,
        channels,
    };
    let projected = CASES.map(|(input, rest)| sizes(map(input), rest).to_vec());
    let expanded = EXPANDED.map(|(input, rest, channels, project)| {
        let [depthwise, after] = sizes(map(input), rest);
        let expand = pixels(LinearSize {
            rows: depthwise.input.rows(),
            inputs: channels,
            outputs: depthwise.input.channels,
        });
        let expand = ConvSize {
            input: MapSize {
                channels,
                ..depthwise.input
            },
            output: depthwise.input,
            ..expand
        };
        let all = [expand, depthwise, after];
        all[..if project { 3 } else { 2 }].to_vec()
    });
    projected.into_iter().chain(expanded).enumerate().map(|(index, sizes)| {
        let mut rng = Rng(90 + index as u64);
        let links = sizes.iter().enumerate();
        let links: Vec<_> = links.map(|(at, &size)| Link::new(size, index + at, &mut rng)).collect();
        (rng.values(sizes[0].input.len()), links)
    })
}

#[test]
pub(crate) fn chains_match_the_oracle() {
    let want: Vec<Vec<f64>> = cases()
        .map(|(x, links)| {
            let x = to_nchw(links[0].size.input, &wide(&x));
            links.iter().fold(x, |x, link| link.want(&x))
        })
        .collect();
    at_every_level(|| {
        let mut worst = Worst::of("chain");
        for ((x, links), want) in cases().zip(&want) {
            let sizes: Vec<ConvSize> = links.iter().map(|link| link.size).collect();
            // Other levels have no kernel that takes some rows of each map that is expanded.
            if sizes[0].groups > 1 || LEVEL.get() == Some(Level::Avx512) {
                assert!(Exec::<f32>::chains(&CpuExec, &sizes), "{sizes:?}");
            }
            let last = sizes[sizes.len() - 1];
            let want = to_nhwc(last.output, want);
            worst.check(&sizes, &chain::<f32>(&x, &links), &want);
        }
    });
    let mut worst = Worst::of("chain in f64");
    for ((x, links), want) in cases().zip(&want) {
        let last = links[links.len() - 1].size;
        let want = to_nhwc(last.output, want);
        worst.check(&last, &chain::<f64>(&x, &links), &want);
    }
}

#[test]
fn chains_do_not_depend_on_threads() {
    for (x, links) in cases() {
        let bits = |threads| {
            with_threads(NonZeroUsize::new(threads).unwrap(), || {
                let y = chain::<f32>(&x, &links);
                y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let one = bits(1);
        for threads in [2, 3] {
            assert!(one == bits(threads), "{threads} threads");
        }
    }
}
