//! What runs slice by slice or overlaps what it reads: memory, and the same numbers.

use super::cases::{Case, Random, case, distance, weights};
use super::compilers::{run_units, size_on_cortex_m4};
use crate::net;
use ksdsl::export::c::{Options, integer, single};
use ksdsl::ir::Network;
use ksdsl::quantize::{Ranges, infer, quantize, quantized};
use ksdsl::steps::{Arena, Axis, Place, Program, arena, program};

const CONVMIXER: &str = include_str!("../../../../examples/nets/convmixer.ksn");

/// Networks, and whether their steps in slices are of channels or positions.
fn nets() -> Vec<(Network, Vec<Axis>)> {
    let small = CONVMIXER
        .replace("dim = 256, depth = 16", "dim = 64, depth = 2")
        .replace("net convmixer", "net small");
    let mixed = "net mixed { input 3 x 8 x 8; conv(16, kernel = 1); batch_norm\n\
        m: repeat 5 { residual { depthwise(5, pad = same, bias = true); gelu; batch_norm }\n\
        pointwise(16, bias = true); gelu; batch_norm }\nglobal_avg_pool; linear(10)\nshare isomorphic conv in m }";
    // An inverted bottleneck (Sandler et al. 2018): its depthwise convolution has nothing after it but its activation.
    let inverted = "net inverted { input 3 x 9 x 9; conv(8, kernel = 3, stride = 2, pad = 1); batch_norm; relu6\n\
        b: repeat 3 { residual { pointwise(48); batch_norm; relu6; depthwise(3, pad = 1); batch_norm; relu6; \
        pointwise(8); batch_norm } } global_avg_pool; linear(5) }";
    // A kernel of even size, dilation, a product and a difference with what the convolution reads.
    let products = "net products { input 6 x 7 x 10; relu\n\
        multiply { path { depthwise(3, pad = 1); sigmoid } path { identity } }\n\
        residual { depthwise(3, pad = 2, dilation = 2); tanh }\n\
        pointwise(6, bias = true); prelu; pointwise(6); batch_norm; relu; pointwise(2, bias = true) }";
    // Convolutions that overlap what they read: strides, pads, kernels of all sizes, pooling, fewer and more channels.
    let chain = "net chain { input 3 x 13 x 11; conv(5, kernel = 3, pad = 1, bias = true); relu; conv(7, kernel = 1 x 5, \
        pad = 0 x 2); relu; max_pool(3, stride = 2, pad = 1); conv(7, kernel = 3, pad = 1, groups = 7); avg_pool(2, \
        stride = 1); conv(9, kernel = 2, stride = 2); conv(4, kernel = 1); conv(12, kernel = 3, pad = 2) }";
    [
        (small.as_str(), [[Axis::Channels, Axis::Positions]; 2].concat()),
        (mixed, [[Axis::Channels, Axis::Positions]; 5].concat()),
        (inverted, vec![Axis::Channels; 3]),
        (
            products,
            vec![Axis::Channels, Axis::Channels, Axis::Positions, Axis::Positions],
        ),
        (chain, vec![Axis::Channels]),
    ]
    .into_iter()
    .map(|(text, axes)| (net(text), axes))
    .collect()
}

/// Runs of them in C on one arena: the bits of `infer`, and the numbers of the graph executor.
#[test]
fn slices_and_overlaps_change_no_number() {
    let mut random = Random(6);
    let nets = nets();
    let cases: Vec<Case> = nets
        .iter()
        .map(|(network, _)| case(network, &mut random).expect("a case"))
        .collect();
    for (case, (_, axes)) in cases.iter().zip(&nets) {
        let found: Vec<Axis> = case.program.slices.iter().map(|slices| slices.axis).collect();
        assert!(found == *axes, "{}: {found:?}", case.program.name);
        assert!(smaller(&case.program), "{}", case.program.name);
    }
    let units: Vec<_> = cases
        .iter()
        .map(|case| (case.program.name.clone(), &case.program, single(&case.program)))
        .collect();
    let input: Vec<u8> = cases
        .iter()
        .flat_map(|case| case.inputs.iter().flatten().flat_map(|value| value.to_le_bytes()))
        .collect();
    let Some(output) = run_units(&units, "float", &input) else {
        return;
    };
    let mut values = output.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    for case in &cases {
        let mut take = |of: &Vec<f32>| values.by_ref().take(of.len()).collect();
        let found: Vec<Vec<f32>> = case.expected.iter().map(&mut take).collect();
        let distance = distance(&found, &case.expected);
        assert!(distance < 1e-5, "{}: {distance}", case.program.name);
    }
    integers(&cases);
}

/// Whether the arena is smaller than without slices and overlaps: two maps that are needed at once, one after the other.
fn smaller(program: &Program) -> bool {
    let both = program
        .steps
        .iter()
        .filter(|step| !step.kind.is_in_place())
        .map(|step| {
            let buffers = step.inputs.iter().chain([&step.output]);
            let in_arena = |id: &&usize| {
                let ports = program.inputs.iter().chain(&program.outputs);
                !ports.map(|port| port.buffer).any(|buffer| buffer == **id)
            };
            buffers
                .filter(in_arena)
                .map(|id| program.buffers[*id].len())
                .sum::<usize>()
        });
    arena(program).len < both.max().unwrap_or(0)
}

fn integers(cases: &[Case]) {
    // PReLU has no integer form.
    let mut quantised = Vec::new();
    for case in cases.iter().filter(|case| case.program.name != "products") {
        let mut ranges = Ranges::new(&case.program);
        let slices: Vec<&[f32]> = case.inputs.iter().map(Vec::as_slice).collect();
        ranges.add(&case.program, &slices);
        let of = quantize(&case.program, &ranges).expect("integers");
        let input = quantized(&case.inputs[0], of.scales[case.program.inputs[0].buffer]);
        quantised.push((of, input));
    }
    let units: Vec<_> = quantised
        .iter()
        .map(|(of, _)| (of.program.name.clone(), &of.program, integer(of)))
        .collect();
    let input: Vec<u8> = quantised
        .iter()
        .flat_map(|(_, input)| input.iter().map(|value| *value as u8))
        .collect();
    let Some(output) = run_units(&units, "int8_t", &input) else {
        return;
    };
    let mut values = output.iter().map(|byte| *byte as i8);
    for (of, input) in &quantised {
        let expected = infer(of, &[input]).remove(0);
        let found: Vec<i8> = values.by_ref().take(expected.len()).collect();
        assert_eq!(found, expected, "{}", of.program.name);
    }
}

/// ConvMixer-256/16 for images of 32 x 32: one map of 32 x 32 x 256 values, one channel of it, and not a value more.
#[test]
fn convmixer_needs_one_map_and_one_channel() {
    let network = net(CONVMIXER);
    let program = program(&network, None, &Options::default()).expect("a program");
    let Arena { places, scratch, len } = arena(&program);
    assert_eq!(len, 32 * 32 * 256 + 32 * 32);
    assert_eq!(scratch.len(), 2 * 16);
    let map: Vec<&Place> = (0..places.len())
        .filter(|id| program.buffers[*id].len() == 32 * 32 * 256)
        .map(|id| &places[id])
        .collect();
    assert!(map.contains(&&Place::Arena(0)), "{map:?}");
    let of = quantize(&program, &Ranges::different(&program)).expect("integers");
    let bytes = integer(&of).bytes();
    assert_eq!(bytes.arena, 263_168);
    assert!(bytes.weights <= 130_000, "{}", bytes.weights);
}

/// In 8 bits, shared, it has weights, tables and code in little more than its weights, and nothing but its arena in RAM.
#[test]
fn convmixer_fits_a_cortex_m4() {
    for (text, most) in [
        (CONVMIXER.to_owned(), 140_000),
        (CONVMIXER.replace("shared = true", "shared = false"), 1_460_000),
    ] {
        let network = net(&text);
        let weights = weights(&network, &mut Random(7));
        let program = program(&network, Some(&weights), &Options::default()).expect("a program");
        let of = quantize(&program, &Ranges::different(&program)).expect("integers");
        let Some([flash, ram]) = size_on_cortex_m4(&integer(&of)) else {
            return;
        };
        println!("ConvMixer-256/16 in 8 bits: {flash} bytes of flash, {ram} of RAM");
        assert!(flash <= most, "{flash}");
        assert_eq!(ram, 263_168);
    }
}
