//! What a transformer has besides norms and pointwise convolutions. Its tokens are the positions of
//! maps, row by row; a token's features are the channels.

use super::conv::{self, Spec};
use super::{Args, InitChoice, LayerDef, ParamDef, ParamKind, Problem, Resolve, map_of};
use crate::diag::Code;
use crate::ir::{Op, Shape};

/// The standard deviation of ViT's position embeddings (Dosovitskiy et al. 2020, appendix B).
const DEVIATION: f64 = 0.02;

const fn param(name: &'static str, kind: ParamKind, required: bool) -> ParamDef {
    ParamDef { name, kind, required }
}

pub(super) const ATTENTION: LayerDef = LayerDef {
    name: "attention",
    doc: "multi-head self-attention (Vaswani et al. 2017) over the positions of maps",
    params: &[
        param("heads", ParamKind::Size, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    resolve: Resolve::Attention,
};

pub(super) const PATCH_EMBEDDING: LayerDef = LayerDef {
    name: "patch_embedding",
    doc: "patch embedding (Dosovitskiy et al. 2020): a convolution with stride = kernel size",
    params: &[
        param("channels", ParamKind::Size, true),
        param("patch", ParamKind::Sizes, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    resolve: Resolve::One(patches),
};

pub(super) const POSITION_EMBEDDING: LayerDef = LayerDef {
    name: "position_embedding",
    doc: "learned position embedding (Dosovitskiy et al. 2020), added to the feature maps",
    params: &[param("init", ParamKind::Init, false)],
    resolve: Resolve::One(|args, input| {
        let (channels, height, width) = map_of("position_embedding", input)?;
        // Every value is added to one value: both fans are 1.
        let choice = args.init("init").unwrap_or(InitChoice::Normal(DEVIATION));
        Ok(Op::PositionEmbedding {
            shape: [channels, height, width],
            init: conv::init(Some(choice), 1.0, 1.0),
        })
    }),
};

fn patches(args: &Args, input: Shape) -> Result<Op, Problem> {
    let (inputs, height, width) = map_of("patch_embedding", input)?;
    let patch = args.sizes("patch", [1, 1]);
    for (axis, size, patch) in [("height", height, patch[0]), ("width", width, patch[1])] {
        if size % patch != 0 {
            let text =
                format!("a {axis} of {size} cannot be cut into patches of {patch}: {size} is not divisible by {patch}");
            let help = format!("choose a patch that divides the {axis}");
            return Err(Problem::new(Code::InexactDivision, text).at("patch").help(help));
        }
    }
    let spec = Spec {
        outputs: args.size("channels", 1),
        groups: 1,
        kernel: patch,
        stride: patch,
        bias: true,
        groups_param: None,
    };
    conv::conv(args, spec, inputs, [height, width])
}

/// The layers of attention: what makes queries, keys, values and, of the joined heads, the output
/// (each a pointwise convolution of its own), and what joins the first three.
pub fn attention(args: &Args, input: Shape) -> Result<[Op; 2], Problem> {
    let (channels, height, width) = map_of("attention", input)?;
    let heads = args.size("heads", 1);
    if channels % heads != 0 {
        let text =
            format!("{channels} channels cannot be split into {heads} heads: {channels} is not divisible by {heads}");
        return Err(Problem::new(Code::InexactDivision, text)
            .at("heads")
            .help("choose a number of heads that divides the channels"));
    }
    let spec = Spec {
        outputs: channels,
        groups: 1,
        kernel: [1, 1],
        stride: [1, 1],
        bias: true,
        groups_param: None,
    };
    let projection = conv::conv(args, spec, channels, [height, width])?;
    Ok([projection, Op::Attend { heads }])
}
