//! Stochastic depth.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "stochastic_depth",
    doc: "zeroes each image with probability p in training (Huang et al. 2016)",
    params: &[param("p", ParamKind::Number { min: 0.0, max: 1.0 }, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(StochasticDepth {
            p: Real(args.number("p", 0.0)),
        })))
    }),
}];

/// Zeroes images in training and scales the others by `1 / (1 - p)`.
#[derive(Clone, Copy, Debug)]
pub struct StochasticDepth {
    /// The probability that an image becomes zeros.
    pub p: Real,
}

impl Operation for StochasticDepth {
    fn call(&self) -> Call {
        Call::new("stochastic_depth").with("p", self.p)
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
        to.call(quote!(rt::op::stochastic_depth(pass, x, #p)));
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        to.call(
            "stochastic_depth",
            vec![format!("{:?}", self.p.0), "self.training".to_owned()],
        );
    }
}

const FUNCTION: Helper = Helper {
    name: "stochastic_depth",
    needs: &[],
    text: r#"def stochastic_depth(x, p: float, training: bool):
    """Zeroes each image with probability p in training and scales the others by 1 / (1 - p)."""
    factors = F.dropout(x.new_ones([x.shape[0]] + [1] * (x.dim() - 1)), p, training)
    return x * factors
"#,
};
