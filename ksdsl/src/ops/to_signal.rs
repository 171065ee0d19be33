//! Sequences as signals.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "to_signal",
    doc: "the tokens of a sequence as the samples of a signal",
    params: &[],
    family: Family::Other,
    resolve: Resolve::One(|_, _| Ok(Some(Op::new(ToSignal)))),
}];

/// Sequences to signals: a sample for each token, with the features as channels.
#[derive(Clone, Copy, Debug)]
pub struct ToSignal;

impl Operation for ToSignal {
    fn call(&self) -> Call {
        Call::new("to_signal")
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Signal {
            channels: inputs[0].channels(),
            length: inputs[0].pixels(),
        })
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        to.composed(quote!(rt::op::Reshape { vector: false }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, features) = (to.x(), onnx::long(to.shape().channels()));
        let x = to.transpose(&x, &[0, 2, 1]);
        to.reshape(&x, &[0, features, 1, -1])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        Ok(to.reshaped())
    }

    fn python(&self, to: &mut Python) {
        to.assign(&format!("{}.transpose(1, 2).unsqueeze(2)", to.x()));
    }
}
