//! Zeros around maps.

use super::prelude::*;
use crate::steps::{Kind, Move};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "pad",
    doc: "rows and columns of zeros around maps",
    params: &[
        param("top", ParamKind::Whole, false),
        param("bottom", ParamKind::Whole, false),
        param("left", ParamKind::Whole, false),
        param("right", ParamKind::Whole, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        map_of("pad", input)?;
        Ok(Some(Op::new(Pad {
            sides: ["top", "bottom", "left", "right"].map(|side| args.size(side, 0)),
        })))
    }),
}];

/// Zeros around maps.
#[derive(Clone, Copy, Debug)]
pub struct Pad {
    /// Rows above and below, columns on the left and on the right.
    sides: [u64; 4],
}

impl Operation for Pad {
    fn call(&self) -> Call {
        let [top, bottom, left, right] = self.sides;
        Call::new("zero_pad")
            .with("top", top)
            .with("bottom", bottom)
            .with("left", left)
            .with("right", right)
    }

    fn word(&self) -> &'static str {
        "pad"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, height, width) = map_of("pad", inputs[0])?;
        let [top, bottom, left, right] = self.sides;
        Ok(Shape::Map {
            channels,
            height: top + height + bottom,
            width: left + width + right,
        })
    }

    fn details(&self) -> Vec<String> {
        let [top, bottom, left, right] = self.sides;
        vec![format!("{top}+{bottom} x {left}+{right}")]
    }

    fn rust(&self, to: &mut Rust) {
        let [top, bottom, left, right] = self.sides.map(rust::size);
        to.composed(
            quote!(rt::op::ZeroPad { top: #top, bottom: #bottom, left: #left, right: #right }),
            &[],
        );
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let ([top, bottom, left, right], x) = (self.sides, to.x());
        to.pad(&x, &[0, 0, top, left, 0, 0, bottom, right])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let ([height, width, channels], [_, wide, _]) = (lower::map(to.shape()), lower::map(to.output()));
        let [top, _, left, _] = self.sides.map(lower::count);
        let (x, y) = (to.x(), to.output_buffer());
        let part = Move {
            count: [1, height, width * channels],
            from: [0, 0, width * channels, 1],
            to: [(top * wide + left) * channels, 0, wide * channels, 1],
        };
        to.step_to(y, Kind::Zero, &[]);
        to.step_to(y, Kind::Move(part), &[x]);
        Ok(y)
    }

    fn python(&self, to: &mut Python) {
        let [top, bottom, left, right] = self.sides;
        to.call(
            "F.pad",
            vec![format!("({left}, {right}, {top}, {bottom})"), "value=0.0".to_owned()],
        );
    }
}
