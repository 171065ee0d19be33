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
        param("window", ParamKind::Whole, false),
        param("prefix", ParamKind::Whole, false),
        param("chunk", ParamKind::Whole, false),
        param("lengths", ParamKind::Value, false),
        param("qk_norm", ParamKind::Flag, false),
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
                ("window", size(args.size("window", 0))),
                ("prefix", size(args.size("prefix", 0))),
                ("chunk", size(args.size("chunk", 0))),
                ("lengths", args.value("lengths").map_or(Value::Bool(false), Value::Kept)),
                ("qk_norm", Value::Bool(args.flag("qk_norm", false))),
                ("bias", Value::Bool(args.flag("bias", true))),
            ])
        },
        text: "
            attend(
                heads = heads, key_heads = key_heads, causal = causal, window = window, prefix = prefix, chunk = chunk,
                lengths = lengths
            ) {
                path { q: pointwise(channels, bias = bias); when qk_norm { q_norm: rms_norm(heads = heads) } }
                path { k: pointwise(key_channels, bias = bias); when qk_norm { k_norm: rms_norm(heads = key_heads) } }
                path { v: pointwise(key_channels, bias = bias) }
            }
            out: pointwise(channels, bias = bias)
        ",
    }),
}];
