//! The counts of a resolved network, from nothing but the sizes of its layers: what the figures of the book are
//! held against besides the compiler's own.

use ksdsl::ir::{Layer, Network, Op, Part, Shape};
use std::collections::BTreeMap;

/// Parameters and multiply-adds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) trainable: u64,
    pub(crate) unshared: u64,
    pub(crate) buffers: u64,
    pub(crate) macs: u64,
}

/// The sizes of a layer's kernel, bias and norm, and of the statistics of that.
fn sizes(op: &Op) -> ([(Part, u64); 2], u64) {
    let of = |name| op.call().int(name);
    let weighted = |kernel| [(Part::Kernel, kernel), (Part::Bias, of("bias") * of("outputs"))];
    let norm = |values| [(Part::Norm, values), (Part::Bias, 0)];
    match op.call().name {
        "conv" => {
            let taps = of("kernel_height") * of("kernel_width");
            let gains = of("gain") * of("outputs");
            (
                weighted(of("outputs") * (of("inputs") / of("groups")) * taps + gains),
                0,
            )
        }
        "linear" => (weighted(of("inputs") * of("outputs")), 0),
        "batch_norm" => (norm(2 * of("affine") * of("channels")), 2 * of("channels")),
        "layer_norm" => (norm((of("affine") + of("bias")) * of("channels")), 0),
        "group_norm" => (norm(2 * of("affine") * of("channels")), 0),
        "layer_scale" | "layer_shift" => (weighted(of("channels")), 0),
        "gain" => (weighted(1), 0),
        "prelu" => (weighted(of("slopes")), 0),
        "conv_transpose" => {
            let kernel = of("inputs") * (of("channels") / of("groups")) * of("kernel_height") * of("kernel_width");
            ([(Part::Kernel, kernel), (Part::Bias, of("bias") * of("channels"))], 0)
        }
        "rms_norm" => (norm(of("affine") * of("channels")), 0),
        // Of sequences there is no width.
        "position_embedding" => (weighted(of("channels") * of("height") * of("width").max(1)), 0),
        "embedding" => (weighted(of("vocabulary") * of("features")), 0),
        "prepend_token" => (weighted(of("features")), 0),
        "masked_attend" if of("relative") == 1 => {
            let distances = (2 * of("grid_height") - 1) * (2 * of("grid_width") - 1);
            (weighted(distances * of("heads")), 0)
        }
        _ => (weighted(0), 0),
    }
}

/// Multiply-adds: for each output value as many as it sums over; of attention the products of queries with keys
/// and of weights with values; of an addition of low rank the product of its factors, of a combination one for
/// each element of each kernel.
fn macs(layer: &Layer) -> u64 {
    let outputs: u64 = layer.output.sizes().iter().product();
    let is_sequence = matches!(layer.output, Shape::Tokens { .. });
    let tokens: u64 = match layer.output.sizes().as_slice() {
        [tokens, _] if is_sequence => *tokens,
        [_, positions @ ..] => positions.iter().product(),
        [] => 1,
    };
    let of = |name| layer.op.call().int(name);
    if layer.op.call().name == "conv_transpose" {
        // Each value of the input is multiplied by every tap of every output channel of its group.
        let inputs: u64 = layer.input.sizes().iter().product();
        return inputs * (of("channels") / of("groups")) * of("kernel_height") * of("kernel_width");
    }
    let (rows, columns, each) = match layer.op.call().name {
        "conv" => {
            let taps = of("inputs") / of("groups") * of("kernel_height") * of("kernel_width");
            (of("outputs"), taps, taps)
        }
        "linear" => (of("outputs"), of("inputs"), of("inputs")),
        "attend" => (0, 0, 2 * tokens),
        "masked_attend" if of("chunk") > 0 => (0, 0, 2 * of("chunk")),
        "masked_attend" => (0, 0, 2 * tokens),
        "matmul" if of("first") == 1 => (0, 0, layer.input.pixels()),
        "matmul" => (0, 0, layer.input.channels()),
        _ => (0, 0, 0),
    };
    outputs * each + (layer.rank.unwrap_or(0) + layer.combined.unwrap_or(0)) * rows * columns
}

/// How often a layer runs if loops run as often as they can.
fn times(layer: &Layer) -> u64 {
    layer.iterations.unwrap_or(1)
}

/// Counts a network.
pub(crate) fn recount(network: &Network) -> Counts {
    // Each kernel, bias and norm once: by its group and number, or by its layer.
    let mut stored: BTreeMap<(Part, usize, u32, bool), (u64, u64)> = BTreeMap::new();
    let (mut unshared, mut own) = (0, 0);
    for (id, layer) in network.layers.iter().enumerate() {
        let (parts, statistics) = sizes(&layer.op);
        for (part, size) in parts {
            let visit = if part == Part::Bias { layer.bias } else { layer.kernel };
            let key = visit.map_or((part, id, 0, false), |visit| (part, visit.group, visit.kernel, true));
            let kernels = if part == Part::Kernel {
                layer.combined.unwrap_or(1)
            } else {
                1
            };
            let statistics = if part == Part::Norm { statistics } else { 0 };
            // Of slices the largest is stored.
            let held = stored.entry(key).or_default();
            *held = (held.0.max(kernels * size), statistics);
            unshared += size * times(layer);
        }
        if let Some(shape) = layer.op.kernel_shape() {
            let (rows, columns) = (shape[0], shape[1..].iter().product::<u64>());
            own += layer.combined.unwrap_or(0);
            own += layer.rank.map_or(0, |rank| rank * (rows + columns)) + if layer.scaled { rows } else { 0 };
        }
    }
    Counts {
        trainable: own + stored.values().map(|(size, _)| size).sum::<u64>(),
        unshared,
        buffers: stored.values().map(|(_, statistics)| statistics).sum(),
        macs: network.layers.iter().map(|layer| macs(layer) * times(layer)).sum(),
    }
}
