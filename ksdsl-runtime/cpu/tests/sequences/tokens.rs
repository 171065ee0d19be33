//! Embeddings, tokens and positions.

use crate::{Case, Sequence, case, ramp};
use ksdsl_cpu::Error;
use ksdsl_engine::ids::WrongId;
use ksdsl_engine::ops::{Call, CallError};

fn embedding(ids: &[f64]) -> Case<'static> {
    Case {
        call: Call {
            name: "embedding",
            args: &[("vocabulary", 7.0), ("features", 3.0)],
        },
        inputs: vec![Sequence {
            shape: [2, 4, 1],
            values: ids.to_vec(),
        }],
        params: vec![ramp(2, [1, 7, 3]).values],
    }
}

/// ids, weight = torch.tensor([[4, 0, 4, 1], [1, 4, 6, 0]]), r(2, 7, 3); show(F.embedding(ids, weight), weight)
#[test]
fn embeddings_are_pytorchs() {
    let case = embedding(&[4.0, 0.0, 4.0, 1.0, 1.0, 4.0, 6.0, 0.0]);
    case.check(&[
        ([0.75, -1.25, -0.375, -1.125, -0.25, 0.625], -63.0),
        ([0.25, -0.625, 0.625, 0.5, 1.75, -1.25], -11.375),
    ]);
    let (_, gradients) = case.run().unwrap();
    assert!(gradients[0].is_none(), "ids have no gradient");
}

#[test]
fn an_id_outside_the_vocabulary_is_an_error() {
    for (id, text) in [
        (7.0, "place 7 "),
        (-1.0, "place -1 "),
        (0.5, "place 0.5 "),
        (f64::NAN, "place NaN "),
    ] {
        let failed = embedding(&[4.0, 0.0, id, 1.0, 1.0, 4.0, 6.0, 0.0]).run().unwrap_err();
        let CallError::Failed(Error::WrongId(error)) = failed else {
            panic!("{failed:?}")
        };
        assert!(
            matches!(
                error,
                WrongId {
                    position: 2,
                    rows: 7,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// x, token = r(0, 2, 3, 4), r(6, 1, 4); show(torch.cat([token.expand(2, 1, 4), x], 1), x, token)
#[test]
fn prepended_tokens_are_pytorchs() {
    let mut case = case("prepend_token", &[], [ramp(0, [2, 3, 4])]);
    case.params.push(ramp(6, [1, 1, 4]).values);
    case.check(&[
        ([-0.625, 0.25, 1.125, -0.875, -1.375, -0.5], -23.0),
        ([-0.625, 0.0, 0.625, -0.875, -0.25, 0.375], 12.0),
        ([-0.5, -1.375, -0.125, 1.125, 0.0, 0.0], 1.75),
    ]);
}

/// x = r(0, 2, 3, 4); show(x[:, 1], x); show(x[:, 2], x)
#[test]
fn tokens_are_pytorchs() {
    let token = |index| Case {
        call: Call {
            name: "token",
            args: index,
        },
        ..case("token", &[], [ramp(0, [2, 3, 4])])
    };
    token(&[("index", 1.0)]).check(&[
        ([-0.75, 0.125, 1.0, -1.0, 1.125, -0.875], 5.375),
        ([0.0, 0.0, 0.0, 0.0, -1.0, -0.375], -13.625),
    ]);
    token(&[("index", 2.0)]).check(&[
        ([-0.125, 0.75, -1.25, -0.375, -1.125, -0.25], -14.5),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], -18.125),
    ]);
    let failed = token(&[("index", 3.0)]).run().unwrap_err();
    assert_eq!(failed, CallError::Failed(Error::WrongLength));
}

/// def rotary(x, heads, base):
///     x = x.unflatten(2, (heads, -1)).transpose(1, 2)
///     depth = x.shape[-1]
///     rates = 1 / base ** (torch.arange(0, depth, 2) / depth)
///     angles = torch.outer(torch.arange(x.shape[-2]).to(rates), rates)
///     cos, sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))
///     first, second = x.chunk(2, -1)
///     return (x * cos + torch.cat([-second, first], -1) * sin).transpose(1, 2).flatten(2)
/// x = r(0, 2, 5, 12); show(rotary(x, 2, 10000.0), x); show(rotary(x, 3, 100.0), x)
#[test]
fn rotary_embeddings_are_pytorchs() {
    case("rotary", &[("heads", 2.0)], [ramp(0, [2, 5, 12])]).check(&[
        ([-1.375, -0.5, 0.375, 1.25, -0.75, 0.125], -548.590742175765),
        ([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], 35.2407228088356),
    ]);
    let args = [("heads", 3.0), ("base", 100.0)];
    case("rotary", &args, [ramp(0, [2, 5, 12])]).check(&[
        ([-1.375, -0.5, 0.375, 1.25, -0.75, 0.125], 198.494734833647),
        ([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], -32.5641948134181),
    ]);
}

/// def positions(x, base):
///     tokens, features = x.shape[1:]
///     pe = torch.zeros(tokens, features, dtype=x.dtype)
///     position = torch.arange(tokens, dtype=x.dtype).unsqueeze(1)
///     div = torch.exp(torch.arange(0, features, 2, dtype=x.dtype) * (-math.log(base) / features))
///     pe[:, 0::2] = torch.sin(position * div)
///     pe[:, 1::2] = torch.cos(position * div[: features // 2])
///     return x + pe
/// x = r(0, 2, 5, 12); show(positions(x, 10000.0), x); x = r(0, 2, 5, 7); show(positions(x, 100.0), x)
#[test]
fn sinusoidal_positions_are_pytorchs() {
    case("sinusoidal_positions", &[], [ramp(0, [2, 5, 12])]).check(&[
        ([-1.375, 0.5, 0.375, 2.25, -0.75, 1.125], 3154.10572658335),
        ([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], -44.625),
    ]);
    let args = [("base", 100.0)];
    case("sinusoidal_positions", &args, [ramp(0, [2, 5, 7])]).check(&[
        ([-1.375, 0.5, 0.375, 2.25, -0.75, 1.125], 770.294367059657),
        ([-1.0, -0.375, 0.25, 0.875, -0.625, 0.0], -51.375),
    ]);
}
