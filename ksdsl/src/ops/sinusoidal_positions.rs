//! Sinusoidal positions.

use super::prelude::*;

/// That of the paper.
const BASE: Real = Real(10000.0);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "sinusoidal_positions",
    doc: "adds sines and cosines of the position (Vaswani et al. 2017)",
    params: &[param("base", ParamKind::Number { min: 1.0, max: 1e9 }, false)],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(SinusoidalPositions {
            base: Real(args.number("base", BASE.0)),
        })))
    }),
}];

/// Adds to each token what tells its position.
#[derive(Clone, Copy, Debug)]
pub struct SinusoidalPositions {
    base: Real,
}

impl Operation for SinusoidalPositions {
    fn call(&self) -> Call {
        Call::new("sinusoidal_positions").with("base", self.base)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn details(&self) -> Vec<String> {
        let word = (self.base != BASE).then(|| format!("base {}", self.base.0));
        word.into_iter().collect()
    }

    fn counts_positions(&self) -> bool {
        true
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let base = rust::real(self.base.0);
        to.composed(quote!(rt::op::SinusoidalPositions { base: #base }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, tokens, features) = (to.x(), to.shape().pixels(), to.shape().channels());
        let base = self.base.0;
        let value = move |token: u64, c: u64| {
            let angle = token as f64 * base.powf(-((c - c % 2) as f64) / features as f64);
            if c.is_multiple_of(2) { angle.sin() } else { angle.cos() }
        };
        let values = (0..tokens).flat_map(|token| (0..features).map(move |c| value(token, c)));
        let table = to.reals(&[tokens, features], values);
        to.apply("Add", &[&x, &table])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let args = (self.base != BASE).then(|| format!("base={:?}", self.base.0));
        to.call("sinusoidal_positions", args.into_iter().collect());
    }
}

const FUNCTION: Helper = Helper {
    name: "sinusoidal_positions",
    needs: &[],
    text: r#"def sinusoidal_positions(x, base: float = 10000.0):
    """Sines and cosines of the position, as in Vaswani et al. 2017, section 3.5."""
    tokens, features = x.shape[1:]
    c = torch.arange(features, device=x.device)
    exponents = (c - c % 2).to(torch.float64) / features
    positions = torch.arange(tokens, device=x.device, dtype=torch.float64)
    angles = torch.outer(positions, base**-exponents)
    return x + torch.where(c % 2 == 0, angles.sin(), angles.cos()).to(x.dtype)
"#,
};
