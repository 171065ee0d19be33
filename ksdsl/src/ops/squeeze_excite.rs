//! Squeeze-and-excitation.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "squeeze_excite",
    doc: "squeeze-and-excitation (Hu et al. 2018): one factor per channel from the pooled maps",
    params: &[
        param("reduction", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
        param("features", ParamKind::Size, false),
        param("act", ParamKind::Word(super::activation::NAMES), false),
        param("gate", ParamKind::Word(super::activation::NAMES), false),
    ],
    family: Family::Other,
    resolve: Resolve::Block(Block {
        constants: |args, input| {
            let (channels, ..) = map_of("squeeze_excite", input)?;
            Ok(vec![
                ("channels", size(channels)),
                ("reduced", size(reduced(args, channels)?)),
                ("bias", Value::Bool(args.flag("bias", false))),
                ("act", Value::word(args.word("act", "relu"))),
                ("gate", Value::word(args.word("gate", "sigmoid"))),
            ])
        },
        text: "
            multiply {
                path {}
                path {
                    pool: global_avg_pool
                    reduce: linear(reduced, bias = bias)
                    act
                    expand: linear(channels, bias = bias)
                    gate
                }
            }
        ",
    }),
}];

/// The features between the two linear layers: as many as the call says, or a part of the channels.
fn reduced(args: &Args, channels: u64) -> Result<u64, Problem> {
    let reduction = args.size("reduction", 16);
    match args.get("features") {
        Some(_) if args.get("reduction").is_some() => {
            let text = "`features` is the number of features itself, so that `reduction` has no effect";
            Err(Problem::new(Code::SurplusArgument, text)
                .at("reduction")
                .help("remove one of them"))
        }
        Some(_) => Ok(args.size("features", 1)),
        None if !channels.is_multiple_of(reduction) => {
            let text = format!(
                "{channels} channels cannot be reduced {reduction}-fold: {channels} is not divisible by {reduction}"
            );
            Err(Problem::new(Code::InexactDivision, text)
                .at("reduction")
                .help("choose a reduction that divides the channels, or give their number: `features = ...`"))
        }
        None => Ok(channels / reduction),
    }
}
