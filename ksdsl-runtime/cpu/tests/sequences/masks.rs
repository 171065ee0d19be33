//! Masked attention: windows, prefixes, lengths.

use crate::{Case, case, numbers, ramp};
use ksdsl_cpu::Error;
use ksdsl_engine::ops::CallError;

fn masked<'a>(args: &'a [(&'a str, f64)], keys: usize, lengths: Option<&[f64]>) -> Case<'a> {
    let inputs = [ramp(0, [2, 5, 12]), ramp(3, [2, keys, 6]), ramp(5, [2, keys, 6])];
    let mut case = case("masked_attend", args, inputs);
    case.inputs.extend(lengths.map(|lengths| numbers([2, 1, 1], lengths)));
    case
}

/// Four heads, two of keys, and what masks.
const fn args(causal: f64, window: f64, prefix: f64) -> [(&'static str, f64); 5] {
    [
        ("heads", 4.0),
        ("key_heads", 2.0),
        ("causal", causal),
        ("window", window),
        ("prefix", prefix),
    ]
}

/// def attend(q, k, v, mask):
///     split = lambda x, heads: x.unflatten(2, (heads, -1)).transpose(1, 2)
///     y = F.scaled_dot_product_attention(split(q, 4), split(k, 2), split(v, 2), attn_mask=mask, enable_gqa=True)
///     return y.transpose(1, 2).flatten(2)
/// i, j = torch.arange(5)[:, None], torch.arange(5)[None, :]
/// q, k, v = r(0, 2, 5, 12), r(3, 2, 5, 6), r(5, 2, 5, 6)
/// show(attend(q, k, v, (i - j).abs() < 2), q, k, v)
/// show(attend(q, k, v, ((i - j).abs() < 4) & ((j <= i) | (j < 3))), q, k, v)
#[test]
fn windows_and_prefixes_are_pytorchs() {
    masked(&args(0.0, 2.0, 0.0), 5, None).check(&[
        (
            [
                -0.817976079853,
                0.05702392014701,
                0.932023920147,
                -1.184629938288,
                -0.309629938288,
                0.565370061712,
            ],
            -283.093687216681,
        ),
        (
            [
                0.09060442602534,
                -0.01907461600533,
                -0.01907461600533,
                -0.01947921827368,
                0.004100888057617,
                0.004100888057617,
            ],
            -87.5537409382482,
        ),
        (
            [
                0.0506854024525,
                -0.03526618713101,
                0.02119826746039,
                -0.2532954506214,
                0.5444260887645,
                -0.5025867341975,
            ],
            2.43488589557919,
        ),
        (
            [
                -0.7522637858466,
                -0.05861042924789,
                -0.2762286916466,
                -0.1550797885008,
                0.1245763670724,
                0.3451457514563,
            ],
            -27.2000540132605,
        ),
    ]);
    masked(&args(1.0, 4.0, 3.0), 5, None).check(&[
        (
            [
                -0.4812644059251,
                -0.1044929083655,
                0.7705070916345,
                -0.2133258209707,
                -0.5473936854777,
                0.3276063145223,
            ],
            -80.514739585177,
        ),
        (
            [
                -0.1595827912391,
                0.1250365822057,
                0.1250365822057,
                -0.074586112664,
                -0.1864823599057,
                -0.1864823599057,
            ],
            -36.6364452396798,
        ),
        (
            [
                -0.1517977281766,
                -0.05116505752079,
                0.03859642392369,
                0.5359793528575,
                0.3880781983386,
                -0.9148078685963,
            ],
            4.06414403014963,
        ),
        (
            [
                -0.5304173626324,
                -0.363296252786,
                -0.0907948933247,
                0.5735817429054,
                -1.090572859861,
                0.201673842874,
            ],
            -11.2356248359247,
        ),
    ]);
}

/// lengths = torch.tensor([4, 2])[:, None, None, None]; show(attend(q, k, v, (j <= i) & (j < lengths)), q, k, v)
/// k, v = r(3, 2, 7, 6), r(5, 2, 7, 6); lengths = torch.tensor([7, 1])[:, None, None, None]
/// show(attend(q, k, v, torch.arange(7)[None, :] < lengths), q, k, v)
#[test]
fn lengths_are_pytorchs() {
    masked(&args(1.0, 0.0, 0.0), 5, Some(&[4.0, 2.0])).check(&[
        ([-0.75, 0.125, 1.0, -0.75, 0.125, 1.0], 799.11614759953),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], -11.0808111423522),
        (
            [
                0.07034699340987,
                0.1196167635387,
                -0.1017068165679,
                0.7186887843342,
                0.1506877581189,
                -1.177054024923,
            ],
            -0.989358191530016,
        ),
        (
            [
                -0.1914325458912,
                -0.9431085363095,
                -0.1736566754729,
                1.732961268623,
                -1.475766075861,
                -0.3354254338767,
            ],
            2.31859639040429,
        ),
    ]);
    masked(&args(0.0, 0.0, 0.0), 7, Some(&[7.0, 1.0])).check(&[
        (
            [
                -0.4892078712053,
                0.0663513795529,
                0.7433236425225,
                -0.1751115641759,
                -0.4154396004156,
                0.2790674518489,
            ],
            -739.141692421226,
        ),
        (
            [
                -0.1478907472765,
                -0.05021294202627,
                0.1754568541487,
                0.03713655050437,
                -0.1020194691066,
                -0.1994301930502,
            ],
            -16.2525009684815,
        ),
        (
            [
                -0.1064880661948,
                0.03867291775657,
                0.002032202691346,
                0.07742579837498,
                0.02531747805409,
                -0.2240886022079,
            ],
            0.715018887527913,
        ),
        (
            [
                -0.2698851638008,
                -0.197305150765,
                0.04747142644616,
                0.3910927670738,
                -0.5452934211327,
                0.04749620933784,
            ],
            -31.277291057039,
        ),
    ]);
}

/// As defined: zeros, and no gradient reaches anything.
#[test]
fn a_query_that_sees_nothing_gets_zeros() {
    let (y, gradients) = masked(&args(0.0, 2.0, 0.0), 5, Some(&[0.0, 1.0])).run().unwrap();
    let (first, second) = y.split_at(5 * 12);
    assert!(first.iter().all(|y| *y == 0.0));
    // The window of 2 shows the one key to the first two queries.
    assert!(second[..2 * 12].iter().all(|y| *y != 0.0) && second[2 * 12..].iter().all(|y| *y == 0.0));
    let values = gradients[2].as_ref().unwrap();
    assert!(
        values
            .iter()
            .enumerate()
            .all(|(at, dv)| (*dv != 0.0) == (30..36).contains(&at))
    );
    assert!(gradients[..2].iter().flatten().flatten().all(|d| d.is_finite()));
}

#[test]
fn wrong_numbers_are_errors() {
    for wrong in [6.0, -1.0, 2.5, f64::NAN] {
        let failed = masked(&args(0.0, 0.0, 0.0), 5, Some(&[5.0, wrong])).run().unwrap_err();
        let CallError::Failed(Error::WrongId(error)) = failed else {
            panic!("{failed:?}")
        };
        assert_eq!((error.position, error.rows), (1, 6));
        let mean = case(
            "mean_of_first",
            &[],
            [ramp(0, [2, 4, 3]), numbers([2, 1, 1], &[wrong, 1.0])],
        );
        assert!(matches!(mean.run(), Err(CallError::Failed(Error::WrongId(_)))));
        let gather = case("gather", &[], [ramp(0, [2, 4, 3]), numbers([2, 1, 1], &[0.0, wrong])]);
        assert!(matches!(gather.run(), Err(CallError::Failed(Error::WrongId(_)))));
    }
    // The number of tokens is a length, but no place.
    let gather = case("gather", &[], [ramp(0, [2, 4, 3]), numbers([2, 1, 1], &[0.0, 4.0])]);
    assert!(matches!(gather.run(), Err(CallError::Failed(Error::WrongId(_)))));
}
