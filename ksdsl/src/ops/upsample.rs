//! Upsampling by a whole factor.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "upsample",
    doc: "larger maps: each pixel repeated, or interpolated linearly",
    params: &[
        param("factor", ParamKind::Sizes, true),
        param("mode", ParamKind::Word(&["nearest", "bilinear"]), false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        map_of("upsample", input)?;
        Ok(Some(Op::new(Upsample {
            factor: args.sizes("factor", [1, 1]),
            bilinear: args.word("mode", "nearest") == "bilinear",
        })))
    }),
}];

/// Maps that are larger by a factor, as PyTorch's `interpolate` makes them without `align_corners`.
#[derive(Clone, Copy, Debug)]
pub struct Upsample {
    factor: [u64; 2],
    bilinear: bool,
}

impl Operation for Upsample {
    fn call(&self) -> Call {
        Call::new("upsample")
            .with("factor_height", self.factor[0])
            .with("factor_width", self.factor[1])
            .with("bilinear", u64::from(self.bilinear))
    }

    fn word(&self) -> &'static str {
        "upsample"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, height, width) = map_of("upsample", inputs[0])?;
        Ok(Shape::Map {
            channels,
            height: height.saturating_mul(self.factor[0]),
            width: width.saturating_mul(self.factor[1]),
        })
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("factor {}", pair(self.factor))];
        words.extend(self.bilinear.then(|| "bilinear".to_owned()));
        words
    }

    fn rust(&self, to: &mut Rust) {
        let ([height, width], bilinear) = (self.factor.map(rust::size), self.bilinear);
        to.composed(
            quote!(rt::op::Upsample { factor_height: #height, factor_width: #width, bilinear: #bilinear }),
            &[],
        );
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, [height, width]) = (to.x(), self.factor);
        let scales = to.reals(&[4], [1.0, 1.0, height as f64, width as f64]);
        let attributes = match self.bilinear {
            true => vec![
                onnx::text("mode", "linear"),
                onnx::text("coordinate_transformation_mode", "half_pixel"),
            ],
            false => vec![
                onnx::text("mode", "nearest"),
                onnx::text("coordinate_transformation_mode", "asymmetric"),
                onnx::text("nearest_mode", "floor"),
            ],
        };
        to.node("Resize", &[&x, "", &scales], attributes)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        if self.bilinear {
            return Err(Unsupported::with("it interpolates"));
        }
        let ([height, width, channels], [down, across]) = (lower::map(to.shape()), self.factor.map(lower::count));
        let part = |row: usize, column: usize| Move {
            count: [height, width, channels],
            from: [0, width * channels, channels, 1],
            to: [
                (row * width * across + column) * channels,
                down * width * across * channels,
                across * channels,
                1,
            ],
        };
        Ok(to.moves((0..down).flat_map(|row| (0..across).map(move |column| part(row, column)))))
    }

    fn python(&self, to: &mut Python) {
        let mut args = vec![format!("scale_factor={}", python::sizes(self.factor))];
        let more = ["mode=\"bilinear\"", "align_corners=False"];
        args.extend(more.into_iter().filter(|_| self.bilinear).map(str::to_owned));
        to.call("F.interpolate", args);
    }
}
