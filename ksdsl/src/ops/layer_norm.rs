//! Layer normalisation.

use super::prelude::*;
use crate::steps::Kind;

/// PyTorch's default.
const EPS: Real = Real(1e-5);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "layer_norm",
    doc: "layer normalisation over the channels of each position (Ba et al. 2016)",
    params: &[
        param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false),
        param("affine", ParamKind::Flag, false),
        param("bias", ParamKind::Flag, false),
    ],
    family: Family::Norm,
    resolve: Resolve::One(|args, input| {
        let affine = args.flag("affine", true);
        if !affine && args.flag("bias", false) {
            let text = "`bias` cannot be true: with `affine = false` the norm has neither scale nor shift";
            return Err(Problem::new(Code::OutOfRange, text)
                .at("bias")
                .help("leave out `bias` or `affine = false`"));
        }
        Ok(Some(Op::new(LayerNorm {
            channels: input.channels(),
            eps: Real(args.number("eps", EPS.0)),
            affine,
            bias: affine && args.flag("bias", true),
        })))
    }),
}];

/// Normalisation over the channels of each position, with scale and shift per channel, with scale alone, or without both.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Channels.
    pub channels: u64,
    /// Added to the variance.
    pub eps: Real,
    affine: bool,
    bias: bool,
}

impl Operation for LayerNorm {
    fn call(&self) -> Call {
        Call::new("layer_norm")
            .with("channels", self.channels)
            .with("eps", self.eps)
            .with("affine", self.affine)
            .with("bias", self.bias)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let weight = Tensor::of_norm("weight", self.channels, 1.0);
        let bias = Tensor::of_norm("bias", self.channels, 0.0);
        let of = |has: bool, tensor| has.then_some(tensor);
        [of(self.affine, weight), of(self.bias, bias)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn sharing(&self) -> Option<Sharing> {
        let mut sharing = Sharing::of_norm("layer norm", self.channels).filter(|_| self.affine)?;
        sharing
            .sizes
            .push(("number of shifts", vec![self.channels * u64::from(self.bias)]));
        Some(sharing)
    }

    fn module(&self) -> Option<Module> {
        let module = Module {
            name: "LayerNorm",
            what: "layer norm",
            channels: self.channels,
            class: &CLASS,
        };
        self.bias.then_some(module)
    }

    fn details(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend((self.eps != EPS).then(|| format!("eps {}", self.eps.0)));
        words.extend((!self.affine).then(|| "no affine".to_owned()));
        words.extend((self.affine && !self.bias).then(|| "no bias".to_owned()));
        words
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let eps = rust::real(self.eps.0);
        if self.bias {
            let norm = to.module();
            return to.call(quote!(#norm.apply(x, #eps)));
        }
        let tensors: &[&str] = if self.affine { &["weight"] } else { &[] };
        to.composed(quote!(rt::op::LayerNorm { eps: #eps }), tensors);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let x = to.channels_last(&x, shape);
        // The operator needs a scale.
        let ones = |to: &mut Onnx<'_>| to.reals(&[self.channels], vec![1.0; self.channels as usize]);
        let weight = to.tensor("weight").unwrap_or_else(|| ones(to));
        let mut inputs = vec![x, weight];
        inputs.extend(to.tensor("bias"));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![onnx::real("epsilon", self.eps)];
        let y = to.node("LayerNormalization", &inputs, attributes);
        to.channels_back(&y, shape)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, eps) = (to.x(), self.eps.0 as f32);
        let (weight, bias) = (to.tensor("weight"), to.tensor("bias"));
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
    text: r#"def layer_norm(x, weight=None, bias=None, eps: float = 1e-5):
    """Layer normalisation over the features of vectors and tokens, or over the channels at each position."""
    if x.dim() != 4:
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    x = x.permute(0, 2, 3, 1)
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps).permute(0, 3, 1, 2)
"#,
};
