//! Squeeze-and-excitation.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "squeeze_excite",
    doc: "squeeze-and-excitation (Hu et al. 2018): one factor per channel from the pooled maps",
    params: &[
        param("reduction", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
    ],
    family: Family::Other,
    resolve: Resolve::Block(Block {
        constants: |args, input| {
            let (channels, ..) = map_of("squeeze_excite", input)?;
            let reduction = args.size("reduction", 16);
            if channels % reduction != 0 {
                let text = format!(
                    "{channels} channels cannot be reduced {reduction}-fold: {channels} is not divisible by {reduction}"
                );
                return Err(Problem::new(Code::InexactDivision, text)
                    .at("reduction")
                    .help("choose a reduction that divides the channels"));
            }
            Ok(vec![
                ("channels", size(channels)),
                ("reduced", size(channels / reduction)),
                ("bias", Value::Bool(args.flag("bias", false))),
            ])
        },
        text: "
            multiply {
                path {}
                path {
                    pool: global_avg_pool
                    reduce: linear(reduced, bias = bias)
                    relu
                    expand: linear(channels, bias = bias)
                    sigmoid
                }
            }
        ",
    }),
}];
