//! Batch normalisation.

use super::prelude::*;
use crate::steps::Kind;

/// PyTorch's defaults.
const EPS: Real = Real(1e-5);
const MOMENTUM: Real = Real(0.1);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "batch_norm",
    doc: "batch normalisation (Ioffe & Szegedy 2015)",
    params: &[
        param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false),
        param("momentum", ParamKind::Number { min: 0.0, max: 1.0 }, false),
        param("affine", ParamKind::Flag, false),
    ],
    family: Family::Norm,
    resolve: Resolve::One(|args, input| {
        Ok(Some(Op::new(BatchNorm {
            eps: Real(args.number("eps", EPS.0)),
            momentum: Real(args.number("momentum", MOMENTUM.0)),
            affine: args.flag("affine", true),
            ..BatchNorm::new(input.channels())
        })))
    }),
}];

/// Batch normalisation with running statistics per channel, and with scale and shift or without.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// Channels.
    pub channels: u64,
    /// Added to the variance.
    pub eps: Real,
    /// Weight of the newest batch in the running statistics.
    pub momentum: Real,
    affine: bool,
}

impl BatchNorm {
    /// One with the defaults.
    pub(crate) fn new(channels: u64) -> Self {
        BatchNorm {
            channels,
            eps: EPS,
            momentum: MOMENTUM,
            affine: true,
        }
    }
}

impl Operation for BatchNorm {
    fn call(&self) -> Call {
        Call::new("batch_norm")
            .with("channels", self.channels)
            .with("eps", self.eps)
            .with("momentum", self.momentum)
            .with("affine", self.affine)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let learned = [
            Tensor::of_norm("weight", self.channels, 1.0),
            Tensor::of_norm("bias", self.channels, 0.0),
        ];
        let statistics = [
            Tensor::of_norm("running_mean", self.channels, 0.0).untrained(),
            Tensor::of_norm("running_var", self.channels, 1.0).untrained(),
        ];
        let learned = learned.into_iter().filter(|_| self.affine);
        learned.chain(statistics).collect()
    }

    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm(self.module()?.what, self.channels)
    }

    fn module(&self) -> Option<Module> {
        let (name, what, class) = match self.affine {
            true => ("BatchNorm", "batch norm", &CLASS),
            false => ("PlainBatchNorm", "batch norm without scale and shift", &PLAIN_CLASS),
        };
        Some(Module {
            name,
            what,
            channels: self.channels,
            class,
        })
    }

    fn details(&self) -> Vec<String> {
        let differs = (self.eps, self.momentum) != (EPS, MOMENTUM);
        let mut words = Vec::new();
        words.extend(differs.then(|| format!("eps {}, momentum {}", self.eps.0, self.momentum.0)));
        words.extend((!self.affine).then(|| "no affine".to_owned()));
        words
    }

    fn needs_pass(&self) -> bool {
        true
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (norm, eps, momentum) = (to.module(), rust::real(self.eps.0), rust::real(self.momentum.0));
        to.call(quote!(#norm.apply(pass, x, #eps, #momentum)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let mut inputs = vec![to.x()];
        // The operator needs a scale and a shift.
        for (name, value) in [("weight", 1.0), ("bias", 0.0)] {
            let all = |to: &mut Onnx<'_>| to.reals(&[self.channels], vec![value; lower::count(self.channels)]);
            inputs.push(to.tensor(name).unwrap_or_else(|| all(to)));
        }
        inputs.extend(
            ["running_mean", "running_var"]
                .iter()
                .filter_map(|name| to.tensor(name)),
        );
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        to.node("BatchNormalization", &inputs, vec![onnx::real("epsilon", self.eps)])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let eps = self.eps.0;
        let factor = move |weight: f32, variance: f32| f64::from(weight) / (f64::from(variance) + eps).sqrt();
        let scale_of = |weight: &[f32], variance: &[f32]| {
            let both = weight.iter().zip(variance);
            both.map(|(weight, variance)| factor(*weight, *variance) as f32)
                .collect()
        };
        let shift_of = |bias: &[f32], weight: &[f32], mean: &[f32], variance: &[f32]| {
            let shift = |at: usize| f64::from(bias[at]) - f64::from(mean[at]) * factor(weight[at], variance[at]);
            (0..bias.len()).map(|at| shift(at) as f32).collect()
        };
        let (scale, shift) = if self.affine {
            let scale = to.made(["weight", "running_var"], "folded scale", |[weight, variance]| {
                scale_of(weight, variance)
            })?;
            let all = ["bias", "weight", "running_mean", "running_var"];
            let shift = to.made(all, "folded shift", |[bias, weight, mean, variance]| {
                shift_of(bias, weight, mean, variance)
            })?;
            (scale, shift)
        } else {
            let [ones, zeros] = [1.0, 0.0].map(|value| vec![value; lower::count(self.channels)]);
            let scale = to.made(["running_var"], "folded scale", |[variance]| scale_of(&ones, variance))?;
            let shift = to.made(["running_mean", "running_var"], "folded shift", |[mean, variance]| {
                shift_of(&zeros, &ones, mean, variance)
            })?;
            (scale, shift)
        };
        let (x, scale, shift) = (to.x(), Some(scale), Some(shift));
        Ok(to.step(Kind::Affine { scale, shift }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        let (function, mut args) = match to.module() {
            Some(own) => (own, Vec::new()),
            None => {
                let mut args = to.tensors(&["running_mean", "running_var", "weight", "bias"]);
                args.resize(4, "None".to_owned());
                args.push("self.training".to_owned());
                ("F.batch_norm".to_owned(), args)
            }
        };
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        args.extend((self.momentum != MOMENTUM).then(|| format!("momentum={:?}", self.momentum.0)));
        to.call(&function, args);
    }
}

const CLASS: Helper = Helper {
    name: "BatchNorm",
    needs: &[],
    text: r#"class BatchNorm(Part):
    """Batch normalisation over the channels of feature maps or the features of vectors."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x, eps: float = 1e-5, momentum: float = 0.1):
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, momentum, eps)
"#,
};

const PLAIN_CLASS: Helper = Helper {
    name: "PlainBatchNorm",
    needs: &[],
    text: r#"class PlainBatchNorm(Part):
    """Batch normalisation without scale and shift."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x, eps: float = 1e-5, momentum: float = 0.1):
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, None, None, self.training, momentum, eps)
"#,
};
