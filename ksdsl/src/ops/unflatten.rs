//! A vector to feature maps.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "unflatten",
    doc: "a vector to feature maps, in the order channel, row, column",
    params: &[
        param("channels", ParamKind::Size, true),
        param("height", ParamKind::Size, true),
        param("width", ParamKind::Size, true),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let [channels, height, width] = ["channels", "height", "width"].map(|name| args.size(name, 1));
        let Shape::Flat(features) = input else {
            let text = format!("`unflatten` expects a vector, but its input is {}", in_words(input));
            return Err(Problem::new(Code::WrongInput, text).help("write `flatten` or a global pooling before it"));
        };
        let map = u128::from(channels) * u128::from(height) * u128::from(width);
        if map != u128::from(features) {
            let text = format!("{features} features cannot be {channels}x{height}x{width}, which is {map} values");
            return Err(Problem::new(Code::ShapesDiffer, text)
                .help(format!("the product of the three sizes must be {features}")));
        }
        Ok(Some(Op::new(Unflatten {
            channels,
            height,
            width,
        })))
    }),
}];

/// A vector as maps, in the order channel, row, column.
#[derive(Clone, Copy, Debug)]
pub struct Unflatten {
    channels: u64,
    height: u64,
    width: u64,
}

impl Operation for Unflatten {
    fn call(&self) -> Call {
        Call::new("unflatten")
            .with("channels", self.channels)
            .with("height", self.height)
            .with("width", self.width)
    }

    fn output(&self, _: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Map {
            channels: self.channels,
            height: self.height,
            width: self.width,
        })
    }

    fn rust(&self, to: &mut Rust) {
        let [channels, height, width] = [self.channels, self.height, self.width].map(rust::size);
        let operation = quote!(rt::op::Unflatten { channels: #channels, height: #height, width: #width });
        to.composed(operation, &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, [channels, height, width]) = (to.x(), [self.channels, self.height, self.width].map(onnx::long));
        to.reshape(&x, &[0, channels, height, width])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [positions, channels] = [to.output().pixels(), to.output().channels()].map(lower::count);
        Ok(to.moves([Move {
            count: [1, positions, channels],
            from: [0, 0, 1, positions],
            to: [0, 0, channels, 1],
        }]))
    }

    fn python(&self, to: &mut Python) {
        let sizes = format!("({}, {}, {})", self.channels, self.height, self.width);
        to.call("torch.unflatten", vec!["1".to_owned(), sizes]);
    }
}
