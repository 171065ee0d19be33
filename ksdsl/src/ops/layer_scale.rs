//! A learned factor for each channel, or one for all.

use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "layer_scale",
    doc: "a learned factor for each channel (Touvron et al. 2021), or one for all",
    params: &[
        param("init", ParamKind::Number { min: -1e3, max: 1e3 }, false),
        param("per_channel", ParamKind::Flag, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(LayerScale {
            channels: args.flag("per_channel", true).then(|| input.channels()),
            init: Real(args.number("init", 1e-6)),
        })))
    }),
}];

/// A learned factor for each channel, or one for all.
#[derive(Clone, Copy, Debug)]
pub struct LayerScale {
    channels: Option<u64>,
    init: Real,
}

impl LayerScale {
    /// The number of factors.
    fn factors(&self) -> u64 {
        self.channels.unwrap_or(1)
    }
}

impl Operation for LayerScale {
    fn call(&self) -> Call {
        match self.channels {
            Some(channels) => Call::new("layer_scale").with("channels", channels),
            None => Call::new("gain"),
        }
    }

    fn word(&self) -> &'static str {
        "layer_scale"
    }

    fn tensors(&self) -> Vec<Tensor> {
        let init = Init::Constant(self.init);
        vec![Tensor::new("weight", &[self.factors()], Part::Kernel, init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "layer scale",
            sizes: vec![("number of factors", vec![self.factors()])],
            whole: Some("a layer scale is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        let one = self.channels.is_none().then(|| "one factor".to_owned());
        one.into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        if self.channels.is_none() {
            return to.composed(quote!(rt::op::Gain), &["weight"]);
        }
        let weight = to.tensor("weight");
        to.call(quote!(rt::op::layer_scale(x, #weight)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        let weight = match self.channels {
            Some(_) => to.over_channels(&weight, to.shape()),
            None => weight,
        };
        to.apply("Mul", &[&x, &weight])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, channels) = (to.x(), lower::count(to.shape().channels()));
        let scale = match self.channels {
            Some(_) => to.needed("weight")?,
            None => to.made(["weight"], "for each channel", |[factor]| vec![factor[0]; channels])?,
        };
        let scale = Some(scale);
        Ok(to.step(Kind::Affine { scale, shift: None }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        let axes = match to.inputs()[0].1 {
            Shape::Map { .. } | Shape::Signal { .. } if self.channels.is_some() => "[:, None, None]",
            _ => "",
        };
        let weight = to.tensors(&["weight"]).concat();
        to.assign(&format!("{} * {weight}{axes}", to.x()));
    }
}
