//! Rotary position embedding.

use super::attend::split;
use super::prelude::*;

/// That of the paper.
const BASE: Real = Real(10000.0);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "rotary",
    doc: "rotary position embedding of queries or keys (Su et al. 2021)",
    params: &[
        param("heads", ParamKind::Size, true),
        param("base", ParamKind::Number { min: 1.0, max: 1e9 }, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (heads, features) = (args.size("heads", 1), input.channels());
        split(features, heads)?;
        if !(features / heads).is_multiple_of(2) {
            let text = format!(
                "heads of {} features cannot be rotated: pairs of features are",
                features / heads
            );
            return Err(Problem::new(Code::InexactDivision, text)
                .at("heads")
                .help("choose a number of heads that gives each an even number of features"));
        }
        Ok(Some(Op::new(Rotary {
            heads,
            base: Real(args.number("base", BASE.0)),
        })))
    }),
}];

/// Rotates pairs of features of each head by angles that grow with the position.
#[derive(Clone, Copy, Debug)]
pub struct Rotary {
    heads: u64,
    base: Real,
}

impl Operation for Rotary {
    fn call(&self) -> Call {
        Call::new("rotary").with("heads", self.heads).with("base", self.base)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("heads {}", self.heads)];
        words.extend((self.base != BASE).then(|| format!("base {}", self.base.0)));
        words
    }

    fn counts_positions(&self) -> bool {
        true
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (heads, base) = (rust::size(self.heads), rust::real(self.base.0));
        to.composed(quote!(rt::op::Rotary { heads: #heads, base: #base }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let (tokens, half) = (shape.pixels(), shape.channels() / self.heads.max(1) / 2);
        let [length, features] = [tokens, shape.channels()].map(onnx::long);
        let base = self.base.0;
        let angles = || {
            let of = move |token: u64| move |c: u64| token as f64 * base.powf(-(c as f64) / half as f64);
            (0..tokens).flat_map(move |token| (0..half).map(of(token)))
        };
        let cos = to.reals(&[tokens, 1, half], angles().map(f64::cos));
        let sin = to.reals(&[tokens, 1, half], angles().map(f64::sin));
        let x = to.reshape(&x, &[0, length, onnx::long(self.heads), -1]);
        let [one, other] = [[0, half], [half, 2 * half]].map(|part| to.slice(&x, 3, part));
        let product = |a: &str, b: &str, to: &mut Onnx<'_>| to.apply("Mul", &[a, b]);
        let (a, b) = (product(&one, &cos, to), product(&other, &sin, to));
        let (c, d) = (product(&other, &cos, to), product(&one, &sin, to));
        let (one, other) = (to.apply("Sub", &[&a, &b]), to.apply("Add", &[&c, &d]));
        let y = to.node("Concat", &[&one, &other], vec![onnx::int("axis", 3)]);
        to.reshape(&y, &[0, length, features])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let mut args = vec![self.heads.to_string()];
        args.extend((self.base != BASE).then(|| format!("base={:?}", self.base.0)));
        to.call("rotary", args);
    }
}

const FUNCTION: Helper = Helper {
    name: "rotary",
    needs: &[],
    text: r#"def rotary(x, heads: int, base: float = 10000.0):
    """Rotary position embedding; features are paired by halves of a head, as in Llama."""
    y = x.unflatten(2, (heads, 2, -1))
    half = torch.arange(y.shape[4], device=x.device, dtype=torch.float64) / y.shape[4]
    positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float64)
    angles = torch.outer(positions, base**-half)
    cos, sin = (f(angles).to(x.dtype)[:, None, :] for f in (torch.cos, torch.sin))
    one, other = y[:, :, :, 0], y[:, :, :, 1]
    return torch.stack((one * cos - other * sin, other * cos + one * sin), 3).flatten(2)
"#,
};
