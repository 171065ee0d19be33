//! A learned factor for each channel.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "layer_scale",
    doc: "a learned factor for each channel (Touvron et al. 2021)",
    params: &[param("init", ParamKind::Number { min: -1e3, max: 1e3 }, false)],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(LayerScale {
            channels: input.channels(),
            init: Real(args.number("init", 1e-6)),
        })))
    }),
}];

/// A learned factor for each channel.
#[derive(Clone, Copy, Debug)]
pub struct LayerScale {
    channels: u64,
    init: Real,
}

impl Operation for LayerScale {
    fn call(&self) -> Call {
        Call::new("layer_scale").with("channels", self.channels)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let init = Init::Constant(self.init);
        vec![Tensor::new("weight", &[self.channels], Part::Kernel, init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "layer scale",
            sizes: vec![("number of channels", vec![self.channels])],
            whole: Some("a layer scale is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn rust(&self, to: &mut Rust) {
        let weight = to.tensor("weight");
        to.call(quote!(rt::op::layer_scale(x, #weight)));
    }

    fn python(&self, to: &mut Python) {
        let axes = match to.inputs()[0].1 {
            Shape::Map { .. } | Shape::Signal { .. } => "[:, None, None]",
            Shape::Flat(_) | Shape::Tokens { .. } | Shape::Ids { .. } => "",
        };
        let weight = to.tensors(&["weight"]).concat();
        to.assign(&format!("{} * {weight}{axes}", to.x()));
    }
}
