//! Noise: drawn numbers that are added, such as those of a random state.

use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "noise",
    doc: "adds numbers of a normal distribution cut at three standard deviations, drawn anew in training",
    params: &[param("std", ParamKind::Number { min: 0.0, max: 1e30 }, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, _| {
        Ok(Some(Op::new(Noise {
            std: Real(args.number("std", 0.0)),
        })))
    }),
}];

/// Adds drawn numbers; in inference they are a function of position and channel.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// The standard deviation, before the distribution is cut.
    pub std: Real,
}

impl Noise {
    /// What is added in inference to a value of this shape, position by position.
    fn table(self, shape: Shape) -> impl Iterator<Item = f64> {
        (0..shape.elements()).map(move |index| self.std.0 * drawn(index))
    }
}

impl Operation for Noise {
    fn call(&self) -> Call {
        Call::new("noise").with("std", self.std)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        vec![format!("std {}", self.std.0)]
    }

    fn needs_pass(&self) -> bool {
        true
    }

    fn counts_positions(&self) -> bool {
        true
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let std = rust::real(self.std.0);
        to.call(quote!(rt::op::noise(pass, x, #std)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let (channels, positions) = (shape.channels(), shape.pixels());
        let mut values: Vec<f64> = self.table(shape).collect();
        if let Shape::Map { .. } = shape {
            let places = (0..channels).flat_map(|c| (0..positions).map(move |position| position * channels + c));
            values = places.map(|index| values[lower::count(index)]).collect();
        }
        let table = to.reals(&shape.sizes(), values);
        to.apply("Add", &[&x, &table])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, shape) = (to.x(), to.shape());
        let name = format!("noise of {} with std {}", in_words(shape), self.std.0);
        let table = to.constant(name, || self.table(shape).map(|value| value as f32).collect());
        Ok(to.step(Kind::Plus(table), &[x]))
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        to.call("noise", vec![format!("{:?}", self.std.0), "self.training".to_owned()]);
    }
}

/// The number for an index, of the standard normal distribution cut at three standard deviations. The engine, which draws
/// those of training too, has the same lines and says what they are (`ops/noise.rs`); tests compare the two.
fn drawn(index: u64) -> f64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let key = mix(0xbb67_ae85_84ca_a73b);
    let mut state = mix(key.wrapping_add((index + 1).wrapping_mul(GOLDEN)));
    let mut uniform = || {
        state = state.wrapping_add(GOLDEN);
        (mix(state) >> 11) as f64 / (1_u64 << 53) as f64
    };
    loop {
        let [u, v] = [1.0 - uniform(), uniform()];
        let z = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        if z.abs() <= 3.0 {
            return z;
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const SPLITMIX: Helper = Helper {
    name: "splitmix64",
    needs: &[],
    text: r#"def splitmix64(z):
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    z = (z ^ ((z >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    z = (z ^ ((z >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return z ^ ((z >> 31) & 0x1FFFFFFFF)
"#,
};

const FRACTION: Helper = Helper {
    name: "fraction",
    needs: &[&SPLITMIX],
    text: r#"def fraction(state):
    """The upper 53 bits of SplitMix64's number, as a fraction of one."""
    return ((splitmix64(state) >> 11) & 0x1FFFFFFFFFFFFF).to(torch.float64) / 2**53
"#,
};

const FUNCTION: Helper = Helper {
    name: "noise",
    needs: &[&SPLITMIX, &FRACTION],
    text: r#"def noise(x, std: float, training: bool):
    """Adds numbers of a normal distribution cut at three standard deviations; in inference fixed ones."""
    if training:
        # As `trunc_normal_`: the probability of less than three standard deviations is 0.9973.
        u = torch.empty_like(x).uniform_(-0.9973002039367398, 0.9973002039367398)
        return x + std * 2**0.5 * u.erfinv()
    golden = -7046029254386353131
    shape = x.shape[1:] if x.dim() != 4 else x.shape[2:] + x.shape[1:2]
    count = torch.ones(shape, dtype=torch.int64, device=x.device).flatten().cumsum(0)
    state = splitmix64(-8720558795685632264 + count * golden)
    z = torch.full_like(state, 4, dtype=torch.float64)
    while bool((z.abs() > 3).any()):
        first = state + golden
        state = first + golden
        u, v = 1 - fraction(first), fraction(state)
        z = torch.where(z.abs() > 3, (-2 * u.log()).sqrt() * (2 * torch.pi * v).cos(), z)
    z = (std * z).to(x.dtype).reshape(shape)
    return x + (z if x.dim() != 4 else z.permute(2, 0, 1))
"#,
};
