//! Normalisation layers.

use super::{Args, LayerDef, ParamDef, ParamKind, Resolve};
use crate::ir::{Op, Real};

const EPS: ParamDef = ParamDef {
    name: "eps",
    kind: ParamKind::Number { min: 0.0, max: 1.0 },
    required: false,
};

fn eps(args: &Args) -> Real {
    Real(args.number("eps", 1e-5))
}

pub(super) const BATCH_NORM: LayerDef = LayerDef {
    name: "batch_norm",
    doc: "batch normalisation (Ioffe & Szegedy 2015)",
    params: &[
        EPS,
        ParamDef {
            name: "momentum",
            kind: ParamKind::Number { min: 0.0, max: 1.0 },
            required: false,
        },
    ],
    resolve: Resolve::One(|args, input| {
        Ok(Op::BatchNorm {
            channels: input.channels(),
            eps: eps(args),
            momentum: Real(args.number("momentum", 0.1)),
        })
    }),
};

pub(super) const LAYER_NORM: LayerDef = LayerDef {
    name: "layer_norm",
    doc: "layer normalisation over the channels of each position (Ba et al. 2016)",
    params: &[EPS],
    resolve: Resolve::One(|args, input| {
        Ok(Op::LayerNorm {
            channels: input.channels(),
            eps: eps(args),
        })
    }),
};
