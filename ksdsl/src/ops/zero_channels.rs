//! Channels of zeros around others.

use super::prelude::*;
use crate::steps::{Kind, Move};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "zero_channels",
    doc: "channels of zeros before and after those of the input (He et al. 2016)",
    params: &[
        param("before", ParamKind::Whole, true),
        param("after", ParamKind::Whole, true),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(ZeroChannels {
            before: args.size("before", 0),
            after: args.size("after", 0),
        })))
    }),
}];

/// Channels of zeros before and after those of the input.
#[derive(Clone, Copy, Debug)]
pub struct ZeroChannels {
    before: u64,
    after: u64,
}

impl Operation for ZeroChannels {
    fn call(&self) -> Call {
        Call::new("zero_channels")
            .with("before", self.before)
            .with("after", self.after)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let channels = inputs[0].channels();
        Ok(inputs[0].with_channels(self.before + channels + self.after))
    }

    fn details(&self) -> Vec<String> {
        vec![format!("{}+{}", self.before, self.after)]
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (before, after) = (rust::size(self.before), rust::size(self.after));
        to.composed(quote!(rt::op::ZeroChannels { before: #before, after: #after }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        let (axis, axes) = (to.shape().python_channels(), to.shape().sizes().len() + 1);
        let mut pads = vec![0; 2 * axes];
        (pads[axis], pads[axes + axis]) = (self.before, self.after);
        to.pad(&x, &pads)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [positions, channels] = [to.shape().pixels(), to.shape().channels()].map(lower::count);
        let [before, wide] = [self.before, to.output().channels()].map(lower::count);
        let (x, y) = (to.x(), to.output_buffer());
        let part = Move {
            count: [1, positions, channels],
            from: [0, 0, channels, 1],
            to: [before, 0, wide, 1],
        };
        to.step_to(y, Kind::Zero, &[]);
        to.step_to(y, Kind::Move(part), &[x]);
        Ok(y)
    }

    fn python(&self, to: &mut Python) {
        // `F.pad` begins with the last axis.
        let around = match to.inputs()[0].1 {
            Shape::Map { .. } | Shape::Signal { .. } => "0, 0, 0, 0, ",
            Shape::Flat(_) | Shape::Tokens { .. } | Shape::Ids { .. } => "",
        };
        let pads = format!("({around}{}, {})", self.before, self.after);
        to.call("F.pad", vec![pads, "value=0.0".to_owned()]);
    }
}
