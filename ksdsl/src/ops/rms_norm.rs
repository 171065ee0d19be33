//! Normalisation by the root mean square.

use super::prelude::*;

/// PyTorch's default is the epsilon of the floating-point type; a number here, so that `f32` and `f64` agree.
const EPS: Real = Real(1e-6);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "rms_norm",
    doc: "division by the root mean square over the channels of each position (Zhang & Sennrich 2019)",
    params: &[param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false)],
    family: Family::Norm,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(RmsNorm {
            channels: input.channels(),
            eps: Real(args.number("eps", EPS.0)),
        })))
    }),
}];

/// Division by the root mean square over the channels of each position, with scale per channel.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    channels: u64,
    eps: Real,
}

impl Operation for RmsNorm {
    fn call(&self) -> Call {
        Call::new("rms_norm")
            .with("channels", self.channels)
            .with("eps", self.eps)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::of_norm("weight", self.channels, 1.0)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm("RMS norm", self.channels)
    }

    fn details(&self) -> Vec<String> {
        let words = || format!("eps {}", self.eps.0);
        (self.eps != EPS).then(words).into_iter().collect()
    }

    fn rust(&self, to: &mut Rust) {
        let eps = rust::real(self.eps.0);
        to.composed(quote!(rt::op::RmsNorm { eps: #eps }), &["weight"]);
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let mut args = to.tensors(&["weight"]);
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        to.call("rms_norm", args);
    }
}

const FUNCTION: Helper = Helper {
    name: "rms_norm",
    needs: &[],
    text: r#"def rms_norm(x, weight, eps: float = 1e-6):
    """RMS normalisation over the features of vectors and tokens, or over the channels at each position."""
    if x.dim() != 4:
        return F.rms_norm(x, weight.shape, weight, eps)
    x = F.rms_norm(x.permute(0, 2, 3, 1), weight.shape, weight, eps)
    return x.permute(0, 3, 1, 2)
"#,
};
