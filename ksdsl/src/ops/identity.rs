//! The input, unchanged: no operation, but a word where a layer must stand.

use super::{LayerDef, Resolve};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "identity",
    doc: "the input, unchanged",
    params: &[],
    kind: false,
    resolve: Resolve::One(|_, _| Ok(None)),
}];
