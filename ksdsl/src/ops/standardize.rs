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

    /// The standardised kernel in PyTorch.
    pub(super) fn python(self, weight: &str, to: &mut Python) -> String {
        to.needs(&FUNCTION);
        let mut args = vec![weight.to_owned()];
        args.extend(to.tensors(&["gain"]));
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        format!("standardized({})", args.join(", "))
    }
}
