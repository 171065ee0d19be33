//! Multi-head self-attention: pointwise convolutions around `attend`.

use super::attend::split;
use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "attention",
    doc: "multi-head self-attention (Vaswani et al. 2017) over the positions of maps",
    params: &[
        param("heads", ParamKind::Size, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Other,
    resolve: Resolve::Block(Block {
        constants: |args, input| {
            let (channels, ..) = map_of("attention", input)?;
            let heads = args.size("heads", 1);
            split(channels, heads)?;
            Ok(vec![
                ("channels", size(channels)),
                ("heads", size(heads)),
                ("bias", Value::Bool(args.flag("bias", true))),
            ])
        },
        text: "
            attend(heads = heads) {
                path { q: pointwise(channels, bias = bias) }
                path { k: pointwise(channels, bias = bias) }
                path { v: pointwise(channels, bias = bias) }
            }
            out: pointwise(channels, bias = bias)
        ",
    }),
}];
