//! Squeeze-and-excitation.

use super::args::param;
use super::linear::linear;
use super::{Args, LayerDef, Op, ParamKind, Problem, Resolve, Shape, map_of};
use crate::diag::Code;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "squeeze_excite",
    doc: "squeeze-and-excitation (Hu et al. 2018): one factor per channel from the pooled maps",
    params: &[
        param("reduction", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
    ],
    kind: false,
    resolve: Resolve::SqueezeExcite,
}];

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
