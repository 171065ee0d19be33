//! Dropout.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "dropout",
    doc: "zeroes each value with probability p in training (Srivastava et al. 2014)",
    params: &[param("p", ParamKind::Number { min: 0.0, max: 1.0 }, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(Dropout {
            p: Real(args.number("p", 0.5)),
        })))
    }),
}];

/// Zeroes values in training and scales the others by `1 / (1 - p)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that a value becomes zero.
    pub p: Real,
}

impl Operation for Dropout {
    fn call(&self) -> Call {
        Call::new("dropout").with("p", self.p)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        vec![format!("p {}", self.p.0)]
    }

    fn needs_pass(&self) -> bool {
        true
    }

    fn rust(&self, to: &mut Rust) {
        let p = rust::real(self.p.0);
        to.call(quote!(rt::op::dropout(pass, x, #p)));
    }

    fn python(&self, to: &mut Python) {
        to.call("F.dropout", vec![format!("{:?}", self.p.0), "self.training".to_owned()]);
    }
}
