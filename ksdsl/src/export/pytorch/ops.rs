//! The operations of layers as calls of PyTorch's functions.

use super::lines::Lines;
use crate::ir::{Activation, Conv, Op, PoolKind, Shape};

/// Expressions for what a layer computes with.
#[derive(Default)]
pub(super) struct Operand {
    pub(super) weight: Option<String>,
    pub(super) bias: Option<String>,
    /// What is called for a norm, and its arguments after the input.
    pub(super) norm: Option<(String, Vec<String>)>,
}

/// Writes the statement that makes a new `x` of the old one.
pub(super) fn write(op: &Op, output: Shape, operand: &Operand, x: &str, lines: &mut Lines) {
    let mut call = |function: &str, args: Vec<String>, tail: &str| {
        let all: Vec<String> = std::iter::once(x.to_owned()).chain(args).collect();
        lines.call(&format!("{x} = {function}"), &all, tail);
    };
    match op {
        Op::Conv(conv) => {
            pad(conv, &mut call);
            call("F.conv2d", conv_args(conv, operand), "");
        }
        Op::Linear { .. } => call("F.linear", tensors(operand), ""),
        Op::BatchNorm { eps, momentum, .. } => {
            let (function, mut args) = operand.norm.clone().unwrap_or_default();
            args.extend((eps.0 != 1e-5).then(|| format!("eps={:?}", eps.0)));
            args.extend((momentum.0 != 0.1).then(|| format!("momentum={:?}", momentum.0)));
            call(&function, args, "");
        }
        Op::LayerNorm { eps, .. } => {
            let (function, mut args) = operand.norm.clone().unwrap_or_default();
            args.extend((eps.0 != 1e-5).then(|| format!("eps={:?}", eps.0)));
            call(&function, args, "");
        }
        Op::Activation(function) => {
            let (name, args) = activation(*function);
            call(name, args.iter().map(|arg| (*arg).to_owned()).collect(), "");
        }
        Op::Pool {
            kind,
            kernel,
            stride,
            pad,
        } => {
            let name = match kind {
                PoolKind::Max => "F.max_pool2d",
                PoolKind::Average => "F.avg_pool2d",
            };
            let mut args = vec![sizes(*kernel)];
            args.extend((stride != kernel).then(|| format!("stride={}", sizes(*stride))));
            args.extend((*pad != [0, 0]).then(|| format!("padding={}", sizes(*pad))));
            call(name, args, "");
        }
        Op::GlobalPool(PoolKind::Average) => lines.line(&format!("{x} = {x}.mean((2, 3))")),
        // Not `amax`, which shares the gradient among equal maxima.
        Op::GlobalPool(PoolKind::Max) => call("F.adaptive_max_pool2d", vec!["1".to_owned()], ".flatten(1)"),
        Op::Dropout(p) => call("F.dropout", vec![format!("{:?}", p.0), "self.training".to_owned()], ""),
        Op::Flatten if matches!(output, Shape::Flat(_)) => lines.line(&format!("{x} = {x}.flatten(1)")),
        Op::PositionEmbedding { .. } => {
            let weight = operand.weight.as_deref().unwrap_or_default();
            lines.line(&format!("{x} = {x} + {weight}"));
        }
        // `Step::Attend` joins what such a layer joins.
        Op::Attend { .. } | Op::Flatten | Op::Invalid => {}
    }
}

/// Zeros that are more on one side than on the other.
fn pad(conv: &Conv, call: &mut impl FnMut(&str, Vec<String>, &str)) {
    let [above, below, left, right] = conv.pad;
    if above != below || left != right {
        call("F.pad", vec![format!("({left}, {right}, {above}, {below})")], "");
    }
}

fn conv_args(conv: &Conv, operand: &Operand) -> Vec<String> {
    let [above, below, left, right] = conv.pad;
    let even = above == below && left == right;
    let mut args = tensors(operand);
    args.extend((conv.stride != [1, 1]).then(|| format!("stride={}", sizes(conv.stride))));
    args.extend((even && [above, left] != [0, 0]).then(|| format!("padding={}", sizes([above, left]))));
    args.extend((conv.dilation != [1, 1]).then(|| format!("dilation={}", sizes(conv.dilation))));
    args.extend((conv.groups != 1).then(|| format!("groups={}", conv.groups)));
    args
}

fn tensors(operand: &Operand) -> Vec<String> {
    [&operand.weight, &operand.bias]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

/// One size for both directions, or `(height, width)`.
fn sizes([height, width]: [u64; 2]) -> String {
    match height == width {
        true => height.to_string(),
        false => format!("({height}, {width})"),
    }
}

fn activation(function: Activation) -> (&'static str, &'static [&'static str]) {
    match function {
        Activation::Relu => ("F.relu", &[]),
        Activation::Gelu => ("F.gelu", &[]),
        Activation::GeluTanh => ("F.gelu", &["approximate=\"tanh\""]),
        Activation::Silu => ("F.silu", &[]),
        Activation::Sigmoid => ("torch.sigmoid", &[]),
        Activation::HardSwish => ("F.hardswish", &[]),
    }
}
