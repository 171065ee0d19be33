//! Dropout, of values and of whole images.

use super::prelude::*;

const P: &[ParamDef] = &[param("p", ParamKind::Number { min: 0.0, max: 1.0 }, true)];

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "dropout",
        doc: "zeroes each value with probability p in training (Srivastava et al. 2014)",
        params: P,
        family: Family::Other,
        resolve: Resolve::One(|args, _| Ok(Some(Op::new(Dropout::new(args, false))))),
    },
    LayerDef {
        name: "stochastic_depth",
        doc: "zeroes each image with probability p in training (Huang et al. 2016)",
        params: P,
        family: Family::Other,
        resolve: Resolve::One(|args, _| Ok(Some(Op::new(Dropout::new(args, true))))),
    },
];

/// Zeroes values or images in training and scales the others by `1 / (1 - p)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that a value, or an image, becomes zero.
    pub p: Real,
    /// Whether images become zeros rather than values.
    pub of_images: bool,
}

impl Dropout {
    fn new(args: &Args, of_images: bool) -> Self {
        Dropout {
            p: Real(args.number("p", 0.0)),
            of_images,
        }
    }
}

impl Operation for Dropout {
    fn call(&self) -> Call {
        let name = if self.of_images { "stochastic_depth" } else { "dropout" };
        Call::new(name).with("p", self.p)
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

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let p = rust::real(self.p.0);
        to.call(match self.of_images {
            true => quote!(rt::op::stochastic_depth(pass, x, #p)),
            false => quote!(rt::op::dropout(pass, x, #p)),
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        // The identity in inference.
        to.x()
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        // The identity in inference.
        Ok(to.x())
    }

    fn python(&self, to: &mut Python) {
        let args = vec![format!("{:?}", self.p.0), "self.training".to_owned()];
        if self.of_images {
            to.needs(&FUNCTION);
            return to.call("stochastic_depth", args);
        }
        to.call("F.dropout", args);
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
