//! Scaled dot-product attention. Its tokens are the positions of maps, row by row; a token's features are the
//! channels.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "attend",
    doc: "scaled dot-product attention (Vaswani et al. 2017) of queries, keys and values",
    params: &[param("heads", ParamKind::Size, true)],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [3, 3],
        resolve: |args, inputs| {
            let heads = args.size("heads", 1);
            let (channels, ..) = map_of("attend", inputs[0])?;
            split(channels, heads)?;
            Ok(Op::new(Attend { heads }))
        },
    },
}];

/// Whether so many channels can be split into heads.
pub(super) fn split(channels: u64, heads: u64) -> Result<(), Problem> {
    if channels.is_multiple_of(heads) {
        return Ok(());
    }
    let text =
        format!("{channels} channels cannot be split into {heads} heads: {channels} is not divisible by {heads}");
    Err(Problem::new(Code::InexactDivision, text)
        .at("heads")
        .help("choose a number of heads that divides the channels"))
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
        equal(inputs, "queries, keys and values of one attention")
    }

    fn input_name(&self, input: usize) -> &'static str {
        ["query", "key", "value"].get(input).copied().unwrap_or("path")
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

const ATTEND: Helper = Helper {
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
