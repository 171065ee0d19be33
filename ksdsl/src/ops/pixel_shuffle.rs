//! Pixels from channels.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "pixel_shuffle",
    doc: "larger maps of fewer channels: each pixel becomes factor x factor (Shi et al. 2016)",
    params: &[param("factor", ParamKind::Size, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (channels, ..) = map_of("pixel_shuffle", input)?;
        let factor = args.size("factor", 1);
        if channels % (factor * factor) != 0 {
            let square = factor * factor;
            let text = format!("{channels} channels cannot be split into {factor} x {factor} pixels");
            return Err(Problem::new(Code::InexactDivision, text)
                .at("factor")
                .help(format!("the channels must be divisible by {square}")));
        }
        Ok(Some(Op::new(PixelShuffle { factor })))
    }),
}];

/// Maps that are larger by a factor, whose pixels are those of several channels.
#[derive(Clone, Copy, Debug)]
pub struct PixelShuffle {
    factor: u64,
}

impl Operation for PixelShuffle {
    fn call(&self) -> Call {
        Call::new("pixel_shuffle").with("factor", self.factor)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, height, width) = map_of(self.word(), inputs[0])?;
        Ok(Shape::Map {
            channels: channels / (self.factor * self.factor),
            height: height * self.factor,
            width: width * self.factor,
        })
    }

    fn details(&self) -> Vec<String> {
        vec![format!("factor {}", self.factor)]
    }

    fn rust(&self, to: &mut Rust) {
        let factor = rust::size(self.factor);
        to.composed(quote!(rt::op::PixelShuffle { factor: #factor }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        to.node(
            "DepthToSpace",
            &[&x],
            vec![onnx::int("blocksize", self.factor), onnx::text("mode", "CRD")],
        )
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let ([height, width, channels], factor) = (lower::map(to.shape()), lower::count(self.factor));
        let own = channels / (factor * factor).max(1);
        let part = |row: usize, column: usize| Move {
            count: [height, width, own],
            from: [row * factor + column, width * channels, channels, factor * factor],
            to: [
                (row * width * factor + column) * own,
                width * factor * factor * own,
                factor * own,
                1,
            ],
        };
        Ok(to.moves((0..factor).flat_map(|row| (0..factor).map(move |column| part(row, column)))))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.pixel_shuffle", vec![self.factor.to_string()]);
    }
}
