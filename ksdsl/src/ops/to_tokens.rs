//! The positions of maps as a sequence.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "to_tokens",
    doc: "the positions of feature maps, row by row, as the tokens of a sequence",
    params: &[],
    family: Family::Other,
    resolve: Resolve::One(|_, input| {
        map_of("to_tokens", input)?;
        Ok(Some(Op::new(ToTokens)))
    }),
}];

/// Maps to sequences: a token for each position, with the channels as features.
#[derive(Clone, Copy, Debug)]
pub struct ToTokens;

impl Operation for ToTokens {
    fn call(&self) -> Call {
        Call::new("to_tokens")
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Tokens {
            length: inputs[0].pixels(),
            features: inputs[0].channels(),
        })
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        to.composed(quote!(rt::op::Reshape { vector: false }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, channels) = (to.x(), onnx::long(to.shape().channels()));
        let x = to.reshape(&x, &[0, channels, -1]);
        to.transpose(&x, &[0, 2, 1])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        // Maps are stored position by position.
        Ok(to.reshaped())
    }

    fn python(&self, to: &mut Python) {
        to.assign(&format!("{}.flatten(2).transpose(1, 2)", to.x()));
    }
}
