//! One token of a sequence.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "token",
    doc: "one token of a sequence as a vector",
    params: &[param("index", ParamKind::Whole, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (index, length) = (args.size("index", 0), input.pixels());
        if index >= length {
            let text = format!("there is no token {index} in {}", in_words(input));
            let help = format!("indices count from 0 to {}", length - 1);
            return Err(Problem::new(Code::OutOfRange, text).at("index").help(help));
        }
        Ok(Some(Op::new(Token { index })))
    }),
}];

/// One token of a sequence as a vector.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    index: u64,
}

impl Operation for Token {
    fn call(&self) -> Call {
        Call::new("token").with("index", self.index)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Flat(inputs[0].channels()))
    }

    fn details(&self) -> Vec<String> {
        vec![format!("index {}", self.index)]
    }

    fn decodes(&self, inputs: &[Shape]) -> Result<(), &'static str> {
        match self.index + 1 == inputs[0].pixels() {
            true => Ok(()),
            false => Err("it takes a token that is not the last one, which is the newest when tokens are generated"),
        }
    }

    fn rust(&self, to: &mut Rust) {
        let index = rust::size(self.index);
        to.composed(quote!(rt::op::Token { index: #index }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, index) = (to.x(), to.int(onnx::long(self.index)));
        to.node("Gather", &[&x, &index], vec![onnx::int("axis", 1)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (features, index) = (lower::count(to.shape().channels()), lower::count(self.index));
        Ok(to.moves([Move {
            count: [1, 1, features],
            from: [index * features, 0, 0, 1],
            to: [0, 0, 0, 1],
        }]))
    }

    fn python(&self, to: &mut Python) {
        to.assign(&format!("{}[:, {}]", to.x(), self.index));
    }
}
