//! Tokens as the windows of maps.

use super::prelude::*;
use super::windows::cover;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "merge_windows",
    doc: "the feature maps whose windows the tokens are: the opposite of `windows`",
    params: &[
        param("size", ParamKind::Sizes, true),
        param("map", ParamKind::Sizes, true),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let Shape::Tokens { length, .. } = input else {
            return Err(super::not_taken("merge_windows", input));
        };
        let (size, map) = (args.sizes("size", [1, 1]), args.sizes("map", [1, 1]));
        if map[0].saturating_mul(map[1]) != length {
            let text = format!("{length} tokens are no map of {} x {}", map[0], map[1]);
            return Err(Problem::new(Code::ShapesDiffer, text)
                .at("map")
                .help(format!("give height and width whose product is {length}")));
        }
        cover(map, size)?;
        Ok(Some(Op::new(MergeWindows { size, map })))
    }),
}];

/// The maps whose windows tokens are.
#[derive(Clone, Copy, Debug)]
pub struct MergeWindows {
    size: [u64; 2],
    map: [u64; 2],
}

impl Operation for MergeWindows {
    fn call(&self) -> Call {
        let ([height, width], [map_height, map_width]) = (self.size, self.map);
        Call::new("merge_windows")
            .with("height", height)
            .with("width", width)
            .with("map_height", map_height)
            .with("map_width", map_width)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let [height, width] = self.map;
        Ok(Shape::Map {
            channels: inputs[0].channels(),
            height,
            width,
        })
    }

    fn details(&self) -> Vec<String> {
        vec![format!("size {}", pair(self.size))]
    }

    fn rust(&self, to: &mut Rust) {
        let ([height, width], [map_height, map_width]) = (self.size.map(rust::size), self.map.map(rust::size));
        to.composed(
            quote!(rt::op::MergeWindows {
                height: #height, width: #width, map_height: #map_height, map_width: #map_width
            }),
            &[],
        );
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, channels) = (to.x(), onnx::long(to.shape().channels()));
        let ([rows, columns], [height, width]) = (self.size.map(onnx::long), self.map.map(onnx::long));
        let x = to.reshape(
            &x,
            &[0, height / rows.max(1), width / columns.max(1), rows, columns, channels],
        );
        let x = to.transpose(&x, &[0, 5, 1, 3, 2, 4]);
        to.reshape(&x, &[0, channels, height, width])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let sizes = self.size.iter().chain(&self.map);
        to.call("merge_windows", sizes.map(u64::to_string).collect());
    }
}

const FUNCTION: Helper = Helper {
    name: "merge_windows",
    needs: &[],
    text: r#"def merge_windows(x, rows: int, columns: int, height: int, width: int):
    """The feature maps of this size whose windows the tokens are."""
    x = x.unflatten(1, (height // rows, width // columns, rows, columns))
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
"#,
};
