//! Some of the channels.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "slice",
    doc: "the channels from one to one before another",
    params: &[
        param("start", ParamKind::Whole, true),
        param("end", ParamKind::Size, true),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (start, end) = (args.size("start", 0), args.size("end", 1));
        let channels = input.channels();
        if end > channels {
            let text = format!("`end` cannot be {end}: the input has {channels} channels");
            return Err(Problem::new(Code::OutOfRange, text)
                .at("end")
                .help(format!("use at most {channels}")));
        }
        if start >= end {
            let text = format!("`start` cannot be {start}: the slice ends before channel {end}");
            return Err(Problem::new(Code::OutOfRange, text)
                .at("start")
                .help(format!("use at most {}", end - 1)));
        }
        Ok(Some(Op::new(Slice { start, end })))
    }),
}];

/// The channels from one to one before another.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    start: u64,
    end: u64,
}

impl Operation for Slice {
    fn call(&self) -> Call {
        Call::new("slice").with("start", self.start).with("end", self.end)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].with_channels(self.end - self.start))
    }

    fn details(&self) -> Vec<String> {
        vec![format!("{} to {}", self.start, self.end)]
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (start, end) = (rust::size(self.start), rust::size(self.end));
        to.composed(quote!(rt::op::Slice { start: #start, end: #end }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, axis) = (to.x(), to.shape().python_channels());
        to.slice(&x, onnx::long(axis as u64), [self.start, self.end])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [positions, channels] = [to.shape().pixels(), to.shape().channels()].map(lower::count);
        let [start, end] = [self.start, self.end].map(lower::count);
        Ok(to.moves([Move {
            count: [1, positions, end - start],
            from: [start, 0, channels, 1],
            to: [0, 0, end - start, 1],
        }]))
    }

    fn python(&self, to: &mut Python) {
        let (length, axis) = (self.end - self.start, to.inputs()[0].1.python_channels());
        let args = [axis.to_string(), self.start.to_string(), length.to_string()];
        to.call("torch.narrow", args.to_vec());
    }
}
