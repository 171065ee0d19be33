//! Feature maps to a vector.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "flatten",
    doc: "feature maps to a vector, in the order channel, row, column",
    params: &[],
    family: Family::Other,
    // A vector is flat already.
    resolve: Resolve::One(|_, input| Ok(matches!(input, Shape::Map { .. }).then(|| Op::new(Flatten)))),
}];

/// Maps to a vector, in the order channel, row, column.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;

impl Operation for Flatten {
    fn call(&self) -> Call {
        Call::new("flatten")
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Flat(inputs[0].elements()))
    }

    fn rust(&self, to: &mut Rust) {
        to.call_typed(quote!(rt::op::flatten(x)));
    }

    fn python(&self, to: &mut Python) {
        to.assign(&format!("{}.flatten(1)", to.x()));
    }
}
