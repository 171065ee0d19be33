//! Cyclic shifts of maps.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "roll",
    doc: "a cyclic shift of feature maps: what leaves on one side comes back on the other",
    params: &[
        param("up", ParamKind::Whole, false),
        param("down", ParamKind::Whole, false),
        param("left", ParamKind::Whole, false),
        param("right", ParamKind::Whole, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (_, height, width) = map_of("roll", input)?;
        let net = |to: &str, back: &str, size: u64| (args.size(to, 0) % size + size - args.size(back, 0) % size) % size;
        let [down, right] = [net("down", "up", height), net("right", "left", width)];
        Ok(Some(Op::new(Roll { down, right })))
    }),
}];

/// A cyclic shift of feature maps.
#[derive(Clone, Copy, Debug)]
pub struct Roll {
    down: u64,
    right: u64,
}

impl Operation for Roll {
    fn call(&self) -> Call {
        Call::new("roll").with("down", self.down).with("right", self.right)
    }

    fn details(&self) -> Vec<String> {
        let words = [("down", self.down), ("right", self.right)];
        let words = words.into_iter().filter(|(_, by)| *by > 0);
        words.map(|(name, by)| format!("{name} {by}")).collect()
    }

    fn rust(&self, to: &mut Rust) {
        let (down, right) = (rust::size(self.down), rust::size(self.right));
        to.composed(quote!(rt::op::Roll { down: #down, right: #right }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (mut x, shape) = (to.x(), to.shape());
        let sizes = shape.sizes();
        for (axis, by) in [(2, self.down), (3, self.right)] {
            let size = sizes[axis - 1];
            if by > 0 {
                let axis = axis as u64;
                let last = to.slice(&x, onnx::long(axis), [size - by, size]);
                let first = to.slice(&x, onnx::long(axis), [0, size - by]);
                x = to.node("Concat", &[&last, &first], vec![onnx::int("axis", axis)]);
            }
        }
        x
    }

    fn python(&self, to: &mut Python) {
        to.call(
            "torch.roll",
            vec![format!("({}, {})", self.down, self.right), "(2, 3)".to_owned()],
        );
    }
}
