//! Concatenation of paths along the channels.

use super::prelude::*;
use crate::steps::{Kind, Move};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "concat",
    doc: "the concatenation of paths along the channels",
    params: &[],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, usize::MAX],
        resolve: |_, _| Ok(Op::new(Concat)),
    },
}];

/// The concatenation of inputs along the channels.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

/// Both one after the other, if they are equal but for their channels.
fn both(a: Shape, b: Shape) -> Option<Shape> {
    let fit = a.with_channels(1) == b.with_channels(1);
    fit.then(|| a.with_channels(a.channels() + b.channels()))
}

impl Operation for Concat {
    fn call(&self) -> Call {
        Call::new("concat")
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let help = "all paths must have the same height and width";
        joined(inputs, both, (Code::CannotConcatenate, "concatenated", help))
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let inputs = to.inputs();
        let mut so_far = inputs[0].1;
        for (path, shape) in &inputs[1..] {
            so_far = both(so_far, *shape).unwrap_or(so_far);
            to.call_to(so_far, quote!(rt::op::concat(x, #path)));
        }
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (inputs, axis) = (to.inputs(), to.shape().python_channels());
        let inputs: Vec<&str> = inputs.iter().map(|(path, _)| path.as_str()).collect();
        to.node("Concat", &inputs, vec![onnx::int("axis", axis as u64)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (inputs, channels) = (to.inputs(), lower::count(to.output().channels()));
        let (y, mut at) = (to.output_buffer(), 0);
        for (path, shape) in inputs {
            let [positions, own] = [shape.pixels(), shape.channels()].map(lower::count);
            let part = Move {
                count: [1, positions, own],
                from: [0, 0, own, 1],
                to: [at, 0, channels, 1],
            };
            to.step_to(y, Kind::Move(part), &[path]);
            at += own;
        }
        Ok(y)
    }

    fn python(&self, to: &mut Python) {
        let axis = to.inputs()[0].1.python_channels();
        let inputs: Vec<String> = to.inputs().into_iter().map(|(path, _)| path).collect();
        to.call_of(
            "torch.cat",
            vec![format!("({})", inputs.join(", ")), axis.to_string()],
            "",
        );
    }
}
