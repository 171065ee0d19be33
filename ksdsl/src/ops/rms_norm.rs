//! Normalisation by the root mean square.

use super::attend::split;
use super::prelude::*;
use crate::steps::Kind;

/// PyTorch's default is the epsilon of the floating-point type; a number here, so that `f32` and `f64` agree.
const EPS: Real = Real(1e-6);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "rms_norm",
    doc: "division by the root mean square over the channels of each position (Zhang & Sennrich 2019)",
    params: &[
        param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false),
        param("heads", ParamKind::Size, false),
        param("affine", ParamKind::Flag, false),
    ],
    family: Family::Norm,
    resolve: Resolve::One(|args, input| {
        let heads = args.size("heads", 1);
        split(input.channels(), heads)?;
        Ok(Some(Op::new(RmsNorm {
            channels: input.channels() / heads,
            heads,
            eps: Real(args.number("eps", EPS.0)),
            affine: args.flag("affine", true),
        })))
    }),
}];

/// Division by the root mean square over the channels of each position, or of each head of them, with scale per channel of
/// a head or without.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    channels: u64,
    heads: u64,
    eps: Real,
    affine: bool,
}

impl Operation for RmsNorm {
    fn call(&self) -> Call {
        Call::new("rms_norm")
            .with("channels", self.channels)
            .with("eps", self.eps)
            .with("heads", self.heads)
            .with("affine", self.affine)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let weight = Tensor::of_norm("weight", self.channels, 1.0);
        self.affine.then_some(weight).into_iter().collect()
    }

    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm("RMS norm", self.channels).filter(|_| self.affine)
    }

    fn details(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend((self.eps != EPS).then(|| format!("eps {}", self.eps.0)));
        words.extend((self.heads > 1).then(|| format!("heads {}", self.heads)));
        words.extend((!self.affine).then(|| "no affine".to_owned()));
        words
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (eps, heads) = (rust::real(self.eps.0), rust::size(self.heads));
        let tensors: &[&str] = if self.affine { &["weight"] } else { &[] };
        to.composed(quote!(rt::op::RmsNorm { eps: #eps, heads: #heads }), tensors);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape, weight) = (to.x(), to.shape(), to.tensor("weight"));
        let mut x = to.channels_last(&x, shape);
        let mut sizes = vec![0; if matches!(shape, Shape::Flat(_)) { 1 } else { 2 }];
        sizes.extend(matches!(shape, Shape::Map { .. }).then_some(0));
        if self.heads > 1 {
            x = to.reshape(&x, &[sizes.as_slice(), &[onnx::long(self.heads), -1]].concat());
        }
        let squares = to.apply("Mul", &[&x, &x]);
        let mean = to.reduce("ReduceMean", &squares, &[-1], true);
        let eps = to.real(self.eps.0);
        let mean = to.apply("Add", &[&mean, &eps]);
        let root = to.apply("Sqrt", &[&mean]);
        let y = to.apply("Div", &[&x, &root]);
        let mut y = weight.map_or_else(|| y.clone(), |weight| to.apply("Mul", &[&y, &weight]));
        if self.heads > 1 {
            y = to.reshape(&y, &[sizes.as_slice(), &[onnx::long(shape.channels())]].concat());
        }
        to.channels_back(&y, shape)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, weight) = (to.x(), to.tensor("weight"));
        let (heads, eps) = (lower::count(self.heads), self.eps.0 as f32);
        Ok(to.step(Kind::RmsNorm { weight, heads, eps }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let mut args = to.tensors(&["weight"]);
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        args.extend((self.heads > 1).then(|| format!("heads={}", self.heads)));
        to.call("rms_norm", args);
    }
}

const FUNCTION: Helper = Helper {
    name: "rms_norm",
    needs: &[],
    text: r#"def rms_norm(x, weight=None, eps: float = 1e-6, heads: int = 1):
    """RMS normalisation over the channels of each position, features or heads of these."""
    y = x.permute(0, 2, 3, 1) if x.dim() == 4 else x
    y = y.unflatten(-1, (heads, -1))
    y = F.rms_norm(y, y.shape[-1:], weight, eps).flatten(-2)
    return y.permute(0, 3, 1, 2) if x.dim() == 4 else y
"#,
};
