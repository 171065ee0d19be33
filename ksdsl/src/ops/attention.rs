//! Multi-head self-attention. Its tokens are the positions of maps, row by row; a token's features are the channels.

use super::args::param;
use super::conv::{self, Spec};
use super::{
    Args, Call, Helper, LayerDef, Op, Operation, ParamKind, Problem, Python, Resolve, Rust, Shape, map_of, rust,
};
use crate::diag::Code;
use quote::quote;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "attention",
    doc: "multi-head self-attention (Vaswani et al. 2017) over the positions of maps",
    params: &[
        param("heads", ParamKind::Size, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    kind: false,
    resolve: Resolve::Attention,
}];

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
    Ok([Op::new(projection), Op::new(Attend { heads })])
}

/// Scaled dot-product attention (Vaswani et al. 2017, section 3.2) over the positions of maps, on queries, keys and
/// values.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// Heads, each on as many channels.
    pub heads: u64,
}

impl Operation for Attend {
    fn call(&self) -> Call {
        Call::new("attend").with("heads", self.heads)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0])
    }

    /// Each channel of a query meets that of every key, and each of its outputs every value.
    fn macs(&self, output: Shape) -> u128 {
        2 * u128::from(output.pixels()) * u128::from(output.elements())
    }

    fn details(&self) -> Vec<String> {
        vec![format!("heads {}", self.heads)]
    }

    fn rust(&self, to: &mut Rust) {
        let (heads, inputs) = (rust::size(self.heads), to.inputs());
        let inputs = inputs.iter().map(|(name, _)| name);
        to.call(quote!(rt::op::Attend::<#heads>::apply(#(#inputs),*)));
    }

    fn python(&self, to: &mut Python) {
        to.needs(&ATTEND);
        let inputs = to.inputs().into_iter().map(|(name, _)| name);
        to.call_of("attend", inputs.chain([self.heads.to_string()]).collect(), "");
    }
}

pub(crate) const ATTEND: Helper = Helper {
    name: "multi_head_attention",
    needs: &[],
    text: r#"def heads_of(x, heads: int):
    """Feature maps as `[batch, head, position, channel of the head]`."""
    return x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)


def attend(query, key, value, heads: int):
    """Multi-head scaled dot-product attention over positions; a head is a range of channels."""
    y = F.scaled_dot_product_attention(
        heads_of(query, heads), heads_of(key, heads), heads_of(value, heads)
    )
    return y.transpose(2, 3).reshape(query.shape)
"#,
};
