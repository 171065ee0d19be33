//! Weight standardisation, which a convolution may have for its kernel.

use super::prelude::*;
use proc_macro2::TokenStream;

/// Weight standardisation: each row of the kernel, for one output channel, gets mean 0 and variance 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standardize {
    /// Whether each row is then divided by the root of its length, and has a learned factor.
    pub gain: bool,
    /// Added to the variance.
    pub eps: Real,
}

/// What is added to the variance of a row by default: timm's for weight standardisation.
const EPS: Real = Real(1e-6);

const FUNCTION: Helper = Helper {
    name: "standardized",
    needs: &[],
    text: r#"def standardized(weight, gain=None, eps: float = 1e-6):
    """Weight standardisation; scaled, with a factor for each row, if there are such."""
    rows = weight.flatten(1)
    variance, mean = torch.var_mean(rows, 1, correction=0, keepdim=True)
    rows = (rows - mean) / (variance + eps).sqrt()
    if gain is not None:
        rows = rows * (gain[:, None] * rows.shape[1] ** -0.5)
    return rows.reshape(weight.shape)
"#,
};

impl Standardize {
    /// How the arguments have a kernel standardised.
    pub(super) fn of(args: &Args) -> Result<Option<Self>, Problem> {
        if args.flag("standardize", false) {
            return Ok(Some(Self {
                gain: args.flag("gain", false),
                eps: Real(args.number("eps", EPS.0)),
            }));
        }
        let gain = args.flag("gain", false).then_some("gain");
        let eps = (args.number("eps", EPS.0) != EPS.0).then_some("eps");
        match gain.or(eps) {
            Some(name) => {
                let text = format!("`{name}` has no effect: the kernel is not standardised");
                Err(Problem::new(Code::SurplusArgument, text)
                    .at(name)
                    .help(format!("add `standardize = true`, or remove `{name}`")))
            }
            None => Ok(None),
        }
    }

    /// What must be equal for standardised convolutions to share, besides these sizes. A part, a transpose or a sum of
    /// the kernel before it is standardised means something else than after it: none of them is allowed.
    pub(super) fn sharing(self, sizes: Vec<(&'static str, Vec<u64>)>) -> Sharing {
        Sharing {
            what: match self.gain {
                true => "standardised convolution with gains",
                false => "standardised convolution",
            },
            sizes,
            no_rows: Some("it is standardised, so that factors for its rows would have no effect"),
            ..Sharing::default()
        }
    }

    /// What distinguishes it in summaries.
    pub(super) fn details(self) -> Vec<String> {
        let mut words = vec!["standardized".to_owned()];
        words.extend(self.gain.then(|| "gain".to_owned()));
        words.extend((self.eps != EPS).then(|| format!("eps {}", self.eps.0)));
        words
    }

    /// The standardised kernel in Rust.
    pub(super) fn rust(self, weight: &TokenStream, to: &Rust) -> TokenStream {
        let (gain, eps) = (to.tensor("gain"), rust::real(self.eps.0));
        quote!(rt::Standardized::new(#weight, #gain, #eps))
    }

    /// The standardised kernel in ONNX.
    pub(super) fn onnx(self, weight: &str, shape: [u64; 4], to: &mut Onnx<'_>) -> String {
        let [outputs, sizes @ ..] = shape;
        let rows = to.reshape(weight, &[onnx::long(outputs), -1]);
        let mean = to.reduce("ReduceMean", &rows, &[1], true);
        let rows = to.apply("Sub", &[&rows, &mean]);
        let squares = to.apply("Mul", &[&rows, &rows]);
        let variance = to.reduce("ReduceMean", &squares, &[1], true);
        let eps = to.real(self.eps.0);
        let variance = to.apply("Add", &[&variance, &eps]);
        let deviation = to.apply("Sqrt", &[&variance]);
        let mut rows = to.apply("Div", &[&rows, &deviation]);
        if let Some(gain) = to.tensor("gain") {
            let length: u64 = sizes.iter().product();
            let root = to.real((length as f64).powf(-0.5));
            let gain = to.apply("Mul", &[&gain, &root]);
            let gain = to.reshape(&gain, &[-1, 1]);
            rows = to.apply("Mul", &[&rows, &gain]);
        }
        to.reshape(&rows, &shape.map(onnx::long))
    }

    /// The standardised kernel in PyTorch.
    pub(super) fn python(self, weight: &str, to: &mut Python) -> String {
        to.needs(&FUNCTION);
        let mut args = vec![weight.to_owned()];
        args.extend(to.tensors(&["gain"]));
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        format!("standardized({})", args.join(", "))
    }
}
