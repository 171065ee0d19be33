//! Patch embeddings: convolutions whose kernel and stride are the patch.

use super::conv::{self, Spec};
use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "patch_embedding",
    doc: "patch embedding (Dosovitskiy et al. 2020): a convolution with stride = kernel size",
    params: &[
        param("channels", ParamKind::Size, true),
        param("patch", ParamKind::Sizes, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(patches),
}];

fn patches(args: &Args, input: Shape) -> Result<Option<Op>, Problem> {
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
    conv::conv(args, spec, inputs, [height, width]).map(|conv| Some(Op::new(conv)))
}
