//! Layer normalisation.

use super::prelude::*;
use crate::steps::Kind;

/// PyTorch's default.
const EPS: Real = Real(1e-5);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "layer_norm",
    doc: "layer normalisation over the channels of each position (Ba et al. 2016)",
    params: &[param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false)],
    family: Family::Norm,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(LayerNorm {
            channels: input.channels(),
            eps: Real(args.number("eps", EPS.0)),
        })))
    }),
}];

/// Normalisation over the channels of each position, with scale and shift per channel.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Channels.
    pub channels: u64,
    /// Added to the variance.
    pub eps: Real,
}

impl Operation for LayerNorm {
    fn call(&self) -> Call {
        Call::new("layer_norm")
            .with("channels", self.channels)
            .with("eps", self.eps)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![
            Tensor::of_norm("weight", self.channels, 1.0),
            Tensor::of_norm("bias", self.channels, 0.0),
        ]
    }

    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm("layer norm", self.channels)
    }

    fn module(&self) -> Option<Module> {
        Some(Module {
            name: "LayerNorm",
            what: "layer norm",
            channels: self.channels,
            class: &CLASS,
        })
    }

    fn details(&self) -> Vec<String> {
        let words = || format!("eps {}", self.eps.0);
        (self.eps != EPS).then(words).into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (norm, eps) = (to.module(), rust::real(self.eps.0));
        to.call(quote!(#norm.apply(x, #eps)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let x = to.channels_last(&x, shape);
        let mut inputs = vec![x, to.weight()];
        inputs.extend(to.tensor("bias"));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![onnx::real("epsilon", self.eps)];
        let y = to.node("LayerNormalization", &inputs, attributes);
        to.channels_back(&y, shape)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, eps) = (to.x(), self.eps.0 as f32);
        let (weight, bias) = (to.needed("weight")?, to.needed("bias")?);
        Ok(to.step(Kind::LayerNorm { weight, bias, eps }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        let (function, mut args) = match to.module() {
            Some(own) => (own, Vec::new()),
            None => {
                to.needs(&FUNCTION);
                ("layer_norm".to_owned(), to.tensors(&["weight", "bias"]))
            }
        };
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        to.call(&function, args);
    }
}

const CLASS: Helper = Helper {
    name: "LayerNorm",
    needs: &[&FUNCTION],
    text: r#"class LayerNorm(Part):
    """Layer normalisation over the features of vectors and tokens, or over the channels at each position."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x, eps: float = 1e-5):
        return layer_norm(x, self.weight, self.bias, eps)
"#,
};

const FUNCTION: Helper = Helper {
    name: "layer_norm",
    needs: &[],
    text: r#"def layer_norm(x, weight, bias, eps: float = 1e-5):
    """Layer normalisation over the features of vectors and tokens, or over the channels at each position."""
    if x.dim() != 4:
        return F.layer_norm(x, weight.shape, weight, bias, eps)
    x = F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, eps)
    return x.permute(0, 3, 1, 2)
"#,
};
