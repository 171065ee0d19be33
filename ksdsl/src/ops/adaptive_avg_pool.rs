//! Average pooling to a fixed size.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "adaptive_avg_pool",
    doc: "average pooling to maps of a fixed size",
    params: &[
        param("height", ParamKind::Size, true),
        param("width", ParamKind::Size, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        map_of("adaptive_avg_pool", input)?;
        let first = args.size("height", 1);
        // Of a signal the one size is the length.
        let height = if matches!(input, Shape::Signal { .. }) {
            1
        } else {
            first
        };
        let width = args.size("width", first);
        Ok(Some(Op::new(AdaptiveAvgPool { height, width })))
    }),
}];

/// Averages over windows that cover a map evenly.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool {
    height: u64,
    width: u64,
}

impl Operation for AdaptiveAvgPool {
    fn call(&self) -> Call {
        Call::new("adaptive_avg_pool")
            .with("height", self.height)
            .with("width", self.width)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, ..) = map_of(self.word(), inputs[0])?;
        Ok(Shape::Map {
            channels,
            height: self.height,
            width: self.width,
        })
    }

    fn details(&self) -> Vec<String> {
        vec![format!("size {}x{}", self.height, self.width)]
    }

    fn rust(&self, to: &mut Rust) {
        let (height, width) = (rust::size(self.height), rust::size(self.width));
        to.composed(quote!(rt::op::AdaptiveAvgPool { height: #height, width: #width }), &[]);
    }

    fn python(&self, to: &mut Python) {
        to.call(
            "F.adaptive_avg_pool2d",
            vec![format!("({}, {})", self.height, self.width)],
        );
    }
}
