//! The input, unchanged: no operation, but a word where a layer must stand.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "identity",
    doc: "the input, unchanged",
    params: &[],
    family: Family::Other,
    resolve: Resolve::One(|_, _| Ok(None)),
}];
