//! Layers that move values or drop them.

use super::{LayerDef, ParamDef, ParamKind, Resolve};
use crate::ir::{Op, Real};

pub(super) const DROPOUT: LayerDef = LayerDef {
    name: "dropout",
    doc: "zeroes each value with probability p in training (Srivastava et al. 2014)",
    params: &[ParamDef {
        name: "p",
        kind: ParamKind::Number { min: 0.0, max: 1.0 },
        required: true,
    }],
    resolve: Resolve::One(|args, _| Ok(Op::Dropout(Real(args.number("p", 0.5))))),
};

pub(super) const FLATTEN: LayerDef = LayerDef {
    name: "flatten",
    doc: "feature maps to a vector, in the order channel, row, column",
    params: &[],
    resolve: Resolve::One(|_, _| Ok(Op::Flatten)),
};

pub(super) const IDENTITY: LayerDef = LayerDef {
    name: "identity",
    doc: "the input, unchanged",
    params: &[],
    resolve: Resolve::Identity,
};
