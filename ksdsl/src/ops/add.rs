//! Sums of paths.

use super::prelude::*;
use crate::steps::{Binary, BufferId, Kind};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "add",
    doc: "the sum of paths",
    params: &[],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, usize::MAX],
        resolve: |_, _| Ok(Op::new(Add)),
    },
}];

/// The sum of inputs of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Operation for Add {
    fn call(&self) -> Call {
        Call::new("add")
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        equal(inputs, "added")
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        for (path, _) in to.inputs().iter().skip(1) {
            to.call(quote!(rt::op::add(x, #path)));
        }
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let inputs = to.inputs().into_iter().map(|(path, _)| path);
        inputs
            .reduce(|sum, path| to.apply("Add", &[&sum, &path]))
            .unwrap_or_default()
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let inputs: Vec<BufferId> = to.inputs().into_iter().map(|(path, _)| path).collect();
        let sum = |sum: BufferId, path: &BufferId| to.step(Kind::Binary(Binary::Add), &[sum, *path]);
        Ok(inputs[1..].iter().fold(inputs[0], sum))
    }

    fn python(&self, to: &mut Python) {
        let inputs: Vec<String> = to.inputs().into_iter().map(|(path, _)| path).collect();
        to.assign(&inputs.join(" + "));
    }
}
