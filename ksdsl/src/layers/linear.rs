//! Linear layers and the squeeze-and-excitation gate made of them.

use super::conv::inits;
use super::{Args, LayerDef, ParamDef, ParamKind, Problem, Resolve, map_of};
use crate::diag::Code;
use crate::ir::{Op, Shape};

pub(super) const LINEAR: LayerDef = LayerDef {
    name: "linear",
    doc: "linear layer",
    params: &[
        ParamDef {
            name: "features",
            kind: ParamKind::Size,
            required: true,
        },
        ParamDef {
            name: "bias",
            kind: ParamKind::Flag,
            required: false,
        },
        ParamDef {
            name: "init",
            kind: ParamKind::Init,
            required: false,
        },
        ParamDef {
            name: "bias_init",
            kind: ParamKind::Init,
            required: false,
        },
    ],
    resolve: Resolve::One(|args, input| match input {
        Shape::Flat(inputs) => Ok(linear(args, inputs, args.size("features", 1), true)),
        Shape::Map { .. } => Err(Problem::new(
            Code::WrongInput,
            format!("`linear` expects a vector, but its input has the shape {input}"),
        )
        .help("add `global_avg_pool` or `flatten` before it, or write `pointwise`, a linear layer at each position")),
    }),
};

pub(super) const SQUEEZE_EXCITE: LayerDef = LayerDef {
    name: "squeeze_excite",
    doc: "squeeze-and-excitation (Hu et al. 2018): one factor per channel from the pooled maps",
    params: &[
        ParamDef {
            name: "reduction",
            kind: ParamKind::Size,
            required: false,
        },
        ParamDef {
            name: "bias",
            kind: ParamKind::Flag,
            required: false,
        },
    ],
    resolve: Resolve::SqueezeExcite,
};

fn linear(args: &Args, inputs: u64, outputs: u64, bias: bool) -> Op {
    Op::Linear {
        inputs,
        outputs,
        bias: args.flag("bias", bias),
        init: inits(args, inputs as f64, outputs as f64),
    }
}

/// The two linear layers of a squeeze-and-excitation gate.
pub fn squeeze_excite(args: &Args, input: Shape) -> Result<[Op; 2], Problem> {
    let (channels, ..) = map_of("squeeze_excite", input)?;
    let reduction = args.size("reduction", 16);
    if channels % reduction != 0 {
        return Err(Problem::new(
            Code::InexactDivision,
            format!(
                "{channels} channels cannot be reduced {reduction}-fold: {channels} is not divisible by {reduction}"
            ),
        )
        .at("reduction")
        .help("choose a reduction that divides the channels"));
    }
    let reduced = channels / reduction;
    Ok([
        linear(args, channels, reduced, false),
        linear(args, reduced, channels, false),
    ])
}
