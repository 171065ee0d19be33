//! Each item of a batch is computed by itself: what its neighbours hold cannot reach it.
//!
//! Expected is the same operation on the same batch with ordinary neighbours, bit by bit, and on the item
//! alone; and nothing of an empty batch.

use crate::activations::ALL;
use crate::support::{Checked, Kernels, Rng, at_every_level, buf, cpu_of};
use ksdsl_cpu::CpuBuf;
use ksdsl_cpu::CpuExec;
use ksdsl_engine::exec::{ConvLink, ConvTail, Exec, JoinedConv, JoinedGradients, NormBackward, Recipe};
use ksdsl_engine::size::{
    Activation, Algorithm, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Tail, Window,
};
use ksdsl_oracle::outputs_along;
use std::borrow::Cow;

/// An operation on this many items: from the operands that items have to its outputs, item after item.
type Operation<'a, E> = dyn Fn(usize, &[CpuBuf<E>]) -> Vec<CpuBuf<E>> + 'a;

/// How an item alone compares with the same item in a batch.
#[derive(Clone, Copy, PartialEq)]
enum Alone {
    /// The same bits.
    Bits,
    /// Another algorithm may be chosen for a batch.
    Rounding,
    /// What becomes of an item follows from its position.
    Positioned,
}

fn items<E: Checked>(values: &[E], batch: usize) -> std::slice::ChunksExact<'_, E> {
    values.chunks_exact(values.len() / batch)
}

fn bits<E: Checked>(values: &[E]) -> Vec<u64> {
    values.iter().map(|value| value.wide().to_bits()).collect()
}

/// Runs an operation of which an item has `lens` operands on ordinary values, then with all items but one
/// replaced, and on that one alone.
fn check<E: Checked>(name: &str, (batch, lens): (usize, &[usize]), alone: Alone, run: &Operation<'_, E>) {
    let mut rng = Rng(400 + batch as u64);
    let operands: Vec<Vec<E>> = lens.iter().map(|len| rng.values(batch * len)).collect();
    let buffers = |operands: &[Vec<E>]| operands.iter().map(|values| buf(values)).collect::<Vec<_>>();
    let empty = run(0, &buffers(&vec![Vec::new(); lens.len()]));
    assert!(
        empty.iter().all(|output| output.is_empty()),
        "{name}: of an empty batch"
    );
    let ordinary = run(batch, &buffers(&operands));
    for item in [0, batch / 2, batch - 1] {
        let want: Vec<&[E]> = ordinary
            .iter()
            .map(|output| items(output, batch).nth(item).unwrap())
            .collect();
        assert!(
            want.iter().all(|values| values.iter().all(|value| value.is_finite())),
            "{name}"
        );
        for neighbour in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e8, -3.4e38] {
            let mut operands = operands.clone();
            for (values, len) in operands.iter_mut().zip(lens) {
                let others = values.chunks_exact_mut(*len).enumerate().filter(|(at, _)| *at != item);
                others.for_each(|(_, values)| values.fill(E::of(neighbour)));
            }
            for (output, want) in run(batch, &buffers(&operands)).iter().zip(&want) {
                let got = items(output, batch).nth(item).unwrap();
                assert!(
                    bits(got) == bits(want),
                    "{name}: item {item} of {batch} beside {neighbour}"
                );
            }
        }
        if alone == Alone::Positioned {
            continue;
        }
        let operands = operands
            .iter()
            .map(|values| items(values, batch).nth(item).unwrap().to_vec());
        for (got, want) in run(1, &buffers(&operands.collect::<Vec<_>>())).iter().zip(&want) {
            match alone {
                Alone::Bits => assert!(bits(got) == bits(want), "{name}: item {item} of {batch} alone"),
                _ => {
                    let want: Vec<f64> = want.iter().map(|value| value.wide()).collect();
                    let distance = crate::support::distance(got, &want);
                    assert!(
                        distance <= E::TOLERANCE,
                        "{name}: item {item} alone is {distance:e} off"
                    );
                }
            }
        }
    }
}

fn map(batch: usize, [height, width, channels]: [usize; 3]) -> MapSize {
    MapSize {
        batch,
        height,
        width,
        channels,
    }
}

/// A convolution of one image: the map, outputs and groups, kernel, stride and dilation.
#[derive(Clone, Copy, Debug)]
struct Conv {
    map: [usize; 3],
    outputs: usize,
    groups: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    algorithm: Algorithm,
}

impl Conv {
    fn new(map: [usize; 3], [outputs, groups]: [usize; 2], [kernel, stride, dilation]: [usize; 3]) -> Self {
        Self {
            map,
            outputs,
            groups,
            kernel,
            stride,
            dilation,
            algorithm: Algorithm::Auto,
        }
    }

    fn by(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    fn window(self) -> Window {
        Window {
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            pad: [self.kernel / 2 * self.dilation; 2],
            dilation: [self.dilation; 2],
        }
    }

    fn size(self, batch: usize) -> ConvSize {
        let (window, input) = (self.window(), map(batch, self.map));
        let output = MapSize {
            height: outputs_along(&window, 0, input.height).unwrap(),
            width: outputs_along(&window, 1, input.width).unwrap(),
            channels: self.outputs,
            ..input
        };
        ConvSize {
            input,
            output,
            window,
            groups: self.groups,
            algorithm: self.algorithm,
            unit: None,
        }
    }

    fn weight<E: Checked>(self, rng: &mut Rng) -> CpuBuf<E> {
        buf(&rng.values(self.outputs * self.map[2] / self.groups * self.kernel * self.kernel))
    }
}

/// Every algorithm, among them products of many rows with large kernels, and maps smaller than a tile.
fn convolutions() -> Vec<(usize, Conv, Alone)> {
    let bits = |batch, conv| (batch, conv, Alone::Bits);
    vec![
        bits(1024, Conv::new([1, 1, 256], [256, 1], [1, 1, 1])),
        bits(64, Conv::new([4, 4, 256], [256, 1], [1, 1, 1])),
        bits(5, Conv::new([1, 1, 40], [30, 1], [1, 1, 1])),
        bits(40, Conv::new([9, 7, 24], [33, 1], [1, 1, 1])),
        bits(3, Conv::new([8, 8, 20], [12, 1], [1, 2, 1])),
        bits(7, Conv::new([9, 6, 16], [24, 1], [3, 1, 1]).by(Algorithm::Direct)),
        bits(7, Conv::new([2, 2, 9], [5, 1], [3, 1, 1])),
        bits(5, Conv::new([11, 9, 18], [12, 3], [3, 2, 1])),
        bits(3, Conv::new([11, 13, 8], [8, 2], [3, 1, 2])),
        bits(6, Conv::new([9, 6, 16], [24, 1], [3, 1, 1]).by(Algorithm::Winograd)),
        bits(9, Conv::new([1, 2, 40], [33, 1], [3, 1, 1]).by(Algorithm::Winograd)),
        (24, Conv::new([8, 8, 16], [16, 1], [3, 1, 1]), Alone::Rounding),
        (6, Conv::new([8, 8, 64], [64, 1], [3, 1, 1]), Alone::Rounding),
        bits(9, Conv::new([9, 11, 17], [17, 17], [3, 1, 1])),
        bits(9, Conv::new([9, 11, 17], [17, 17], [3, 2, 1])),
        bits(5, Conv::new([14, 13, 20], [20, 20], [9, 1, 1])),
        bits(5, Conv::new([14, 13, 20], [20, 20], [7, 1, 1]).by(Algorithm::ToomCook)),
        bits(5, Conv::new([3, 2, 20], [20, 20], [7, 2, 2])),
    ]
}

fn convolutions_by_themselves<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    for (batch, conv, alone) in convolutions() {
        let mut rng = Rng(401);
        let (weight, bias) = (device.kernel(conv.weight(&mut rng)), buf(&rng.values(conv.outputs)));
        let affine = [0; 2].map(|_| buf(&rng.values(conv.outputs)));
        let one = conv.size(1);
        let forward = |batch, of: &[CpuBuf<E>]| {
            let tail = ConvTail {
                before: Some(Activation::Gelu),
                affine: Some((&affine[0], &affine[1])),
                residual: Some(&of[1]),
                after: Some(Activation::Relu),
            };
            let tails = [ConvTail::default(), tail];
            let run = |tail| device.conv_forward(conv.size(batch), &of[0], &weight, Some(&bias), tail);
            tails.map(|tail| run(tail).unwrap()).to_vec()
        };
        let lens = [one.input.len(), one.output.len()];
        check(&format!("forward {conv:?}"), (batch, &lens), alone, &forward);
        let backward = |batch, of: &[CpuBuf<E>]| {
            let others = [None, Some(of[0].clone())];
            let run = |others| device.conv_backward_data(conv.size(batch), &weight, &of[1], others);
            others.map(|others| run(others).unwrap()).to_vec()
        };
        check(&format!("data gradient {conv:?}"), (batch, &lens), alone, &backward);
    }
}

/// A depthwise convolution and the pointwise ones after and before it.
fn chains_by_themselves<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    let projected = |map: [usize; 3], kernel: usize, outputs: usize| {
        let depthwise = Conv::new(map, [map[2]; 2], [kernel, 1, 1]);
        vec![depthwise, Conv::new(map, [outputs, 1], [1, 1, 1])]
    };
    let mut expanded = projected([24, 20, 48], 3, 12);
    expanded.insert(0, Conv::new([24, 20, 8], [48, 1], [1, 1, 1]));
    for convs in [
        projected([16, 16, 256], 3, 256),
        projected([16, 12, 19], 9, 7),
        expanded,
    ] {
        let mut rng = Rng(402);
        let kernels: Vec<_> = convs.iter().map(|conv| device.kernel(conv.weight(&mut rng))).collect();
        let run = |batch, of: &[CpuBuf<E>]| {
            let links = convs
                .iter()
                .zip(&kernels)
                .enumerate()
                .map(|(index, (conv, kernel))| ConvLink {
                    size: conv.size(batch),
                    kernel,
                    bias: None,
                    tail: ConvTail {
                        before: Some(Activation::Gelu),
                        residual: (index + 1 == convs.len()).then_some(&of[1]),
                        ..ConvTail::default()
                    },
                });
            vec![device.conv_chain(&of[0], &links.collect::<Vec<_>>()).unwrap()]
        };
        let lens = [
            convs[0].size(1).input.len(),
            convs[convs.len() - 1].size(1).output.len(),
        ];
        check("chain", (16, &lens), Alone::Bits, &run);
    }
}

/// Norms whose statistics are given: those of a batch are its items' by definition.
fn norms_by_themselves<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    let (pixels, channels) = (12, 48);
    let mut rng = Rng(403);
    let parameters: Vec<CpuBuf<E>> = (0..6).map(|_| buf(&rng.values(channels))).collect();
    let [scale, shift, mean, sum, product, weight] = &parameters[..] else {
        unreachable!("six of them");
    };
    let (variance, zeros) = (buf(&vec![E::of(0.7); channels]), CpuBuf::<E>::zeros(channels));
    let kernel = device.kernel(buf(&rng.values(channels * channels)));
    for before in [None, Some(Activation::Gelu)] {
        let tail = Tail {
            before,
            after: Some(Activation::Relu),
        };
        let run = |batch: usize, of: &[CpuBuf<E>]| {
            let size = RowSize {
                rows: batch * pixels,
                channels,
            };
            let [x, residual, dy] = of else {
                unreachable!("three operands")
            };
            let apply = device.norm_apply(size, tail.after, Cow::Borrowed(x), scale, shift, Some(residual));
            let recall = device.norm_recall(size, tail, x, scale, shift, Some(residual)).unwrap();
            let norm = NormBackward {
                size,
                tail,
                input: x,
                output: Some(&recall),
                mean,
                variance: &variance,
                factor: scale,
                offset: shift,
                eps: 1e-5,
                sums: Some([sum, product]),
            };
            let [mut dscale, mut dshift] = [(); 2].map(|()| zeros.clone());
            let (dx, dresidual) = device
                .norm_backward(norm, dy.clone(), true, &mut dscale, &mut dshift)
                .unwrap();
            let layer = device.layer_norm_forward(size, x, scale, shift, 1e-5).unwrap();
            let (mean, inverse) = (&layer.mean, &layer.inverse_std);
            let layer_dx = device
                .layer_norm_backward(size, x, mean, inverse, weight, dy, &mut dscale, &mut dshift)
                .unwrap();
            vec![apply.unwrap(), dx, dresidual.unwrap(), layer.output, layer_dx, recall]
        };
        // Not alone: the number of rows is in the gradient.
        check("norms", (9, &[pixels * channels; 3]), Alone::Positioned, &run);
        let joined = |batch: usize, of: &[CpuBuf<E>]| {
            let size = RowSize {
                rows: batch * pixels,
                channels,
            };
            let norm = NormBackward {
                size,
                tail: Tail { before, after: None },
                input: &of[0],
                output: None,
                mean,
                variance: &variance,
                factor: scale,
                offset: shift,
                eps: 1e-5,
                sums: Some([sum, product]),
            };
            let conv = JoinedConv {
                size: Conv::new([pixels, 1, channels], [channels, 1], [1, 1, 1]).size(batch),
                x: Recipe::Kept(&of[1]),
                kernel: &kernel,
                others: None,
            };
            let [mut dscale, mut dshift] = [(); 2].map(|()| zeros.clone());
            let mut gradient = device.gradient(channels * channels).unwrap();
            let gradients = JoinedGradients {
                scale: &mut dscale,
                shift: &mut dshift,
                weight: &mut gradient,
                bias: None,
            };
            let dx = device.conv_norm_backward(norm, conv, of[2].clone(), gradients).unwrap();
            vec![dx.values]
        };
        check("joined", (90, &[pixels * channels; 3]), Alone::Positioned, &joined);
    }
}

fn attention_by_itself<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    for (batch, tokens, causal) in [(5, 49, false), (3, 300, false), (4, 1, false), (3, 300, true)] {
        let size = |batch| AttentionSize {
            causal,
            ..AttentionSize::full(batch, tokens, 48, 3)
        };
        let run = |batch, of: &[CpuBuf<E>]| {
            let [q, k, v, dy] = of else {
                unreachable!("four operands")
            };
            let mut all = vec![device.attention_forward(size(batch), q, k, v).unwrap()];
            all.extend(device.attention_backward(size(batch), q, k, v, dy).unwrap());
            all
        };
        check("attention", (batch, &[size(1).len(); 4]), Alone::Bits, &run);
    }
}

fn pools_by_themselves<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    for (kernel, stride) in [(3, 1), (2, 2), (3, 2)] {
        let conv = Conv::new([9, 7, 19], [19, 1], [kernel, stride, 1]);
        let run = |batch, of: &[CpuBuf<E>]| {
            let ConvSize { input, output, .. } = conv.size(batch);
            let size = PoolSize {
                input,
                output,
                window: conv.window(),
            };
            let mut all = Vec::new();
            for kind in [PoolKind::Max, PoolKind::Average] {
                all.push(device.pool_forward(kind, size, &of[0]).unwrap());
                all.push(device.pool_backward(kind, size, &of[0], &of[1]).unwrap());
                all.push(device.global_pool_forward(kind, input, &of[0]).unwrap());
                all.push(device.global_pool_backward(kind, input, Some(&of[0]), &of[2]).unwrap());
            }
            all
        };
        let one = conv.size(1);
        check(
            "pools",
            (7, &[one.input.len(), one.output.len(), 19]),
            Alone::Bits,
            &run,
        );
    }
}

fn maps_by_themselves<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    let device = cpu_of::<E>();
    let of_image = [9, 7, 19];
    let run = |batch, of: &[CpuBuf<E>]| {
        let size = map(batch, of_image);
        let [x, dy, gate] = of else {
            unreachable!("three operands")
        };
        let relu = Some(Activation::Relu);
        let gated = device.gate_forward(size, x, gate, Some(dy), relu).unwrap();
        let (dx, dgate, residual) = device
            .gate_backward(size, x, gate, Some(&gated), dy.clone(), true)
            .unwrap();
        let joined = device.concat(size.rows(), 19, 19, x, dy).unwrap();
        let (left, right) = device.split(size.rows(), 10, 9, x).unwrap();
        let mut all = vec![gated, dx, dgate, residual.unwrap(), joined, left, right];
        all.push(device.add(x.clone(), dy).unwrap());
        all.push(device.multiply(x.clone(), dy).unwrap());
        all.push(device.nhwc_to_nchw(size, x).unwrap());
        all.push(device.nchw_to_nhwc(size, x).unwrap());
        for kind in ALL {
            all.push(device.activation_forward(kind, x.clone()).unwrap());
            all.push(device.activation_backward(kind, x, dy.clone()).unwrap());
        }
        all
    };
    let len = map(1, of_image).len();
    check("maps", (9, &[len, len, 19]), Alone::Bits, &run);
    let dropout = |_, of: &[CpuBuf<E>]| vec![device.dropout(0.3, 7, of[0].clone()).unwrap()];
    check("dropout", (9, &[len]), Alone::Positioned, &dropout);
}

fn all<E: Checked>()
where
    CpuExec: Kernels<E>,
{
    convolutions_by_themselves::<E>();
    chains_by_themselves::<E>();
    norms_by_themselves::<E>();
    attention_by_itself::<E>();
    pools_by_themselves::<E>();
    maps_by_themselves::<E>();
}

#[test]
fn neighbours_of_an_item_do_not_reach_it() {
    at_every_level(all::<f32>);
}

#[test]
fn neighbours_of_an_item_do_not_reach_it_in_f64() {
    all::<f64>();
}
