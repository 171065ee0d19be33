//! Multi-head self-attention: pointwise convolutions around `attend`.

use super::attend::{key_heads, split};
use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "attention",
    doc: "multi-head self-attention (Vaswani et al. 2017) over the positions of maps",
    params: &[
        param("heads", ParamKind::Size, true),
        param("key_heads", ParamKind::Size, false),
        param("causal", ParamKind::Flag, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Other,
    resolve: Resolve::Block(Block {
        constants: |args, input| {
            let channels = positions_of("attention", input)?;
            let heads = args.size("heads", 1);
            split(channels, heads)?;
            let key_heads = key_heads(args, heads)?;
            Ok(vec![
                ("channels", size(channels)),
                ("heads", size(heads)),
                ("key_heads", size(key_heads)),
                ("key_channels", size(channels / heads * key_heads)),
                ("causal", Value::Bool(args.flag("causal", false))),
                ("bias", Value::Bool(args.flag("bias", true))),
            ])
        },
        text: "
            attend(heads = heads, key_heads = key_heads, causal = causal) {
                path { q: pointwise(channels, bias = bias) }
                path { k: pointwise(key_channels, bias = bias) }
                path { v: pointwise(key_channels, bias = bias) }
            }
            out: pointwise(channels, bias = bias)
        ",
    }),
}];
