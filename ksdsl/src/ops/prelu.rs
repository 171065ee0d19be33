//! Leaky ReLU with learned slopes.

use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "prelu",
    doc: "x, and a learned slope times x below 0 (He et al. 2015)",
    params: &[
        param("per_channel", ParamKind::Flag, false),
        param("init", ParamKind::Number { min: -1e3, max: 1e3 }, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(Prelu {
            channels: args.flag("per_channel", true).then(|| input.channels()),
            init: Real(args.number("init", 0.25)),
        })))
    }),
}];

/// x, and a slope times x below 0, with a slope for each channel or one for all.
#[derive(Clone, Copy, Debug)]
pub struct Prelu {
    channels: Option<u64>,
    init: Real,
}

impl Operation for Prelu {
    fn call(&self) -> Call {
        Call::new("prelu")
            .with("slopes", self.slopes())
            .with("per_channel", self.channels.is_some())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let init = Init::Constant(self.init);
        vec![Tensor::new("weight", &[self.slopes()], Part::Kernel, init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "PReLU",
            sizes: vec![("number of slopes", vec![self.slopes()])],
            whole: Some("a PReLU is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn details(&self) -> Vec<String> {
        let one = self.channels.is_none().then(|| "one slope".to_owned());
        one.into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let per_channel = self.channels.is_some();
        to.composed(quote!(rt::op::Prelu { per_channel: #per_channel }), &["weight"]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        let weight = match self.channels {
            Some(_) => to.over_channels(&weight, to.shape()),
            None => weight,
        };
        to.apply("PRelu", &[&x, &weight])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, channels) = (to.x(), lower::count(to.shape().channels()));
        let slopes = match self.channels {
            Some(_) => to.needed("weight")?,
            None => to.made(["weight"], "for each channel", |[slope]| vec![slope[0]; channels])?,
        };
        Ok(to.step(Kind::Prelu(slopes), &[x]))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.prelu", to.tensors(&["weight"]));
    }
}

impl Prelu {
    /// The number of slopes.
    fn slopes(&self) -> u64 {
        self.channels.unwrap_or(1)
    }
}
