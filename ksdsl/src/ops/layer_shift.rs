//! A learned number for each channel, which is added.

use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "layer_shift",
    doc: "a learned number for each channel, added",
    params: &[param("init", ParamKind::Init, false)],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        let choice = args.init("init").unwrap_or(InitChoice::Constant(0.0));
        // Every value is added to one value: both fans are 1.
        Ok(Some(Op::new(LayerShift {
            channels: input.channels(),
            init: Init::of(Some(choice), 1.0, 1.0),
        })))
    }),
}];

/// A learned number for each channel, which is added.
#[derive(Clone, Copy, Debug)]
pub struct LayerShift {
    channels: u64,
    init: Init,
}

impl Operation for LayerShift {
    fn call(&self) -> Call {
        Call::new("layer_shift").with("channels", self.channels)
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("weight", &[self.channels], Part::Kernel, self.init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "layer shift",
            sizes: vec![("number of channels", vec![self.channels])],
            whole: Some("a layer shift is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        to.composed(quote!(rt::op::LayerShift), &["weight"]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        let weight = to.over_channels(&weight, to.shape());
        to.apply("Add", &[&x, &weight])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, shift) = (to.x(), Some(to.needed("weight")?));
        Ok(to.step(Kind::Affine { scale: None, shift }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        let axes = match to.inputs()[0].1 {
            Shape::Map { .. } | Shape::Signal { .. } => "[:, None, None]",
            Shape::Flat(_) | Shape::Tokens { .. } | Shape::Ids { .. } => "",
        };
        let weight = to.tensors(&["weight"]).concat();
        to.assign(&format!("{} + {weight}{axes}", to.x()));
    }
}
