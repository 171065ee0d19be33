//! A learned token before a sequence.

use super::prelude::*;
use crate::steps::{Kind, Move};

/// The standard deviation that ViT's class token starts with in timm.
const DEVIATION: f64 = 1e-6;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "class_token",
    doc: "a learned token before those of a sequence (Dosovitskiy et al. 2020)",
    params: &[param("init", ParamKind::Init, false)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let choice = args.init("init").unwrap_or(InitChoice::Normal(DEVIATION));
        Ok(Some(Op::new(ClassToken {
            features: input.channels(),
            init: Init::of(Some(choice), 1.0, 1.0),
        })))
    }),
}];

/// A learned token before those of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct ClassToken {
    features: u64,
    init: Init,
}

impl Operation for ClassToken {
    fn call(&self) -> Call {
        Call::new("prepend_token").with("features", self.features)
    }

    fn word(&self) -> &'static str {
        "class_token"
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Tokens {
            length: inputs[0].pixels() + 1,
            features: self.features,
        })
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("weight", &[1, self.features], Part::Kernel, self.init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "class token",
            sizes: vec![("number of input channels", vec![self.features])],
            whole: Some("a class token is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("it puts a token before those of the input, so that positions no longer correspond")
    }

    fn rust(&self, to: &mut Rust) {
        let weight = to.tensor("weight");
        to.call_typed(quote!(rt::op::class_token(x, #weight)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        let batch = to.node("Shape", &[&x], vec![onnx::int("start", 0), onnx::int("end", 1)]);
        let token = to.ints(&[1, onnx::long(self.features)]);
        let sizes = to.node("Concat", &[&batch, &token], vec![onnx::int("axis", 0)]);
        let token = to.apply("Expand", &[&weight, &sizes]);
        to.node("Concat", &[&token, &x], vec![onnx::int("axis", 1)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, constant, features) = (to.x(), to.needed("weight")?, lower::count(self.features));
        let (y, count) = (to.output_buffer(), lower::count(to.shape().elements()));
        let part = Move {
            count: [1, 1, count],
            from: [0, 0, 0, 1],
            to: [features, 0, 0, 1],
        };
        to.step_to(y, Kind::Write { constant, at: 0 }, &[]);
        to.step_to(y, Kind::Move(part), &[x]);
        Ok(y)
    }

    fn python(&self, to: &mut Python) {
        let (x, weight) = (to.x(), to.tensors(&["weight"]).concat());
        to.assign(&format!("torch.cat(({weight}.expand({x}.shape[0], 1, -1), {x}), 1)"));
    }
}
