//! Masked attention, means of the first tokens, products of sequences, and tokens by their places.

use crate::{Case, Sequence, case, ramp};
use ksdsl_cpu::Error;
use ksdsl_engine::ops::CallError;

fn numbers(shape: [usize; 3], values: &[f64]) -> Sequence {
    let values = values.to_vec();
    Sequence { shape, values }
}

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

/// x = r(0, 2, 4, 3); show(torch.stack([x[0, :3].mean(0), x[1, :1].mean(0)]), x)
#[test]
fn means_of_the_first_tokens_are_pytorchs() {
    let mut case = case(
        "mean_of_first",
        &[],
        [ramp(0, [2, 4, 3]), numbers([2, 1, 1], &[3.0, 1.0])],
    );
    case.check(&[
        ([0.2916666666667, -0.75, 0.125, 0.5, 1.375, -0.625], 3.375),
        (
            [
                -0.3333333333333,
                -0.125,
                0.08333333333333,
                -0.3333333333333,
                -0.125,
                0.08333333333333,
            ],
            -0.875,
        ),
    ]);
    let (y, _) = case.run().unwrap();
    // What is beyond the length does not matter, and there may be nothing before it.
    case.inputs[0].values[9..12].fill(f64::NAN);
    assert_eq!(case.run().unwrap().0, y);
    case.inputs[1].values = vec![3.0, 0.0];
    assert_eq!(case.run().unwrap().0[3..], [0.0; 3]);
}

/// a, b = r(0, 2, 3, 4), r(5, 2, 4, 5); show(a @ b, a, b)
/// a, b = r(0, 2, 4, 3), r(5, 2, 4, 5); show(a.mT @ b, a, b)
/// a, b = r(0, 2, 3, 4), r(5, 2, 5, 4); show(a @ b.mT, a, b)
#[test]
fn products_of_sequences_are_pytorchs() {
    let product = |[first, second]: [f64; 2], [a, b]: [[usize; 2]; 2], want: &[([f64; 6], f64)]| {
        let args = [("first", first), ("second", second)];
        let inputs = [ramp(0, [2, a[0], a[1]]), ramp(5, [2, b[0], b[1]])];
        case("matmul", &args, inputs).check(want);
    };
    product(
        [0.0, 0.0],
        [[3, 4], [4, 5]],
        &[
            (
                [1.515625, -0.859375, -1.078125, 1.578125, -2.234375, -0.84375],
                39.53125,
            ),
            ([0.15625, -0.796875, 0.046875, 0.890625, -0.59375, -0.0625], 46.578125),
            ([1.25, 0.109375, 0.296875, -1.109375, 0.671875, 1.25], -102.03125),
        ],
    );
    product(
        [1.0, 0.0],
        [[4, 3], [4, 5]],
        &[
            ([2.0, -2.328125, -0.90625, 1.59375, 0.859375, -0.65625], 16.203125),
            ([0.15625, -0.59375, -1.34375, -0.796875, -0.0625, 0.671875], 42.0625),
            ([1.75, 0.015625, 0.140625, -0.796875, 0.390625, -1.125], -130.3125),
        ],
    );
    product(
        [0.0, 1.0],
        [[3, 4], [5, 4]],
        &[
            ([0.09375, -1.140625, -1.296875, -0.015625, 0.1875, 2.578125], 42.6875),
            (
                [2.609375, -0.671875, -1.078125, 2.828125, -1.21875, -0.609375],
                13.53125,
            ),
            ([1.25, 1.25, -1.625, -1.625, 0.109375, -0.109375], -89.4375),
        ],
    );
}

/// x, places = r(0, 2, 4, 3), torch.tensor([[3, 0, 3], [1, 2, 1]]); show(x.take_along_dim(places[..., None], 1), x)
#[test]
fn gathered_tokens_are_pytorchs() {
    let places = numbers([2, 3, 1], &[3.0, 0.0, 3.0, 1.0, 2.0, 1.0]);
    case("gather", &[], [ramp(0, [2, 4, 3]), places]).check(&[
        ([0.75, -1.25, -0.375, -1.375, -0.5, 0.375], -7.125),
        ([0.875, -0.625, 0.0, 0.0, 0.0, 0.0], -12.75),
    ]);
}

fn plain<const N: usize>(tokens: usize, numbers: [(&'static str, f64); N]) -> Case<'static> {
    let args = [("heads", 2.0), ("key_heads", 2.0)].into_iter().chain(numbers);
    let inputs = [0, 3, 5].map(|seed| ramp(seed, [2, tokens, 4]));
    case("masked_attend", Vec::leak(args.collect()), inputs)
}

/// def attend(q, k, v, mask):
///     split = lambda x: x.unflatten(2, (2, -1)).transpose(1, 2)
///     return F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask).transpose(1, 2).flatten(2)
/// q, k, v = r(0, 2, 6, 4), r(3, 2, 6, 4), r(5, 2, 6, 4)
/// i, j = torch.arange(6)[:, None], torch.arange(6)[None, :]
/// show(attend(q, k, v, (i // 3 == j // 3) & (j <= i)), q, k, v)
/// seen = (i // 3 == j // 3) & ((i - j).abs() < 2) & (j < torch.tensor([5, 2])[:, None, None, None])
/// y = torch.where(seen.any(-1)[:, 0, :, None], attend(q, k, v, seen), torch.zeros(())); show(y, q, k, v)
#[test]
fn chunks_are_pytorchs() {
    plain(6, [("chunk", 3.0), ("causal", 1.0)]).check(&[
        (
            [-0.75, 0.125, 1.0, -1.0, -0.4803860567488, 0.3946139432512],
            -94.3026316757982,
        ),
        (
            [0.0, 0.0, 0.0, 0.0, -0.04234554750334, -0.04234554750334],
            -9.21902082735119,
        ),
        (
            [
                -0.04880237506081,
                -0.003604582158515,
                -0.004747304378383,
                -0.4502712692151,
                0.05122276535796,
                -0.0109177596244,
            ],
            2.64878983270253,
        ),
        (
            [
                -1.417029301934,
                -0.2825351322228,
                0.7844048626631,
                0.3265475686685,
                -0.3508677150972,
                0.1218806577689,
            ],
            52.0677848730086,
        ),
    ]);
    let mut case = plain(6, [("chunk", 3.0), ("window", 2.0)]);
    case.inputs.push(numbers([2, 1, 1], &[5.0, 2.0]));
    case.check(&[
        (
            [
                -0.5600421555139,
                0.3149578444861,
                -0.512451524854,
                -0.5798745764295,
                -0.2386493444611,
                0.6363506555389,
            ],
            -83.2803691647378,
        ),
        (
            [
                -0.08034822281515,
                -0.08034822281515,
                -0.001521570371183,
                -0.001521570371183,
                -0.1108168060087,
                -0.1108168060087,
            ],
            -3.69784306572297,
        ),
        (
            [
                -0.2493777991079,
                -0.05217662676636,
                0.3480622360178,
                -0.3441061530528,
                0.1907031627121,
                0.05207510508155,
            ],
            0.815514651367127,
        ),
        (
            [
                -0.9638249062453,
                -0.2610252933083,
                0.375246108663,
                -0.1237903823264,
                -0.6149125580932,
                0.04779365925907,
            ],
            -20.2417814614919,
        ),
    ]);
}

/// coords = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")).flatten(1)
/// d = coords[:, :, None] - coords[:, None, :]; table = r(1, 15, 2)
/// bias = table[(d[0] + 1) * 5 + d[1] + 2].permute(2, 0, 1)
/// hidden = torch.full((12, 12), -torch.inf); hidden[:6, :6] = 0; hidden[6:, 6:] = 0
/// q, k, v = r(0, 2, 12, 4), r(3, 2, 12, 4), r(5, 2, 12, 4)
/// show(attend(q, k, v, bias.repeat(1, 2, 2) + hidden), q, k, v, table)
#[test]
fn biases_of_relative_positions_are_pytorchs() {
    let mut case = plain(12, [("chunk", 6.0), ("grid_height", 2.0), ("grid_width", 3.0)]);
    case.params.push(ramp(1, [1, 15, 2]).values);
    case.check(&[
        (
            [
                -0.7824893861226,
                0.0142506750564,
                0.5067277619597,
                -1.002066983612,
                -0.2950920134703,
                0.2131376561072,
            ],
            -304.399917135227,
        ),
        (
            [
                -0.2264017318515,
                -0.139298381868,
                -0.101983357762,
                -0.1314107421092,
                -0.2170620738718,
                0.01312222734893,
            ],
            -30.1645897916646,
        ),
        (
            [
                -0.1718256162657,
                0.07228567890074,
                -0.2485162912425,
                -0.04589017214652,
                0.1388153173881,
                0.1434380378104,
            ],
            -4.75932028439076,
        ),
        (
            [
                -0.2487700284024,
                -0.1427136885625,
                0.1187255223242,
                0.2011074832408,
                -0.0518914463732,
                0.3172534329221,
            ],
            12.8980205220797,
        ),
        (
            [
                -0.06297382212987,
                0.02474341633205,
                0.3808487020224,
                -0.4896825270073,
                -0.07730511565553,
                0.2269002612536,
            ],
            0.694517401053091,
        ),
    ]);
}

/// x = r(0, 2, 4, 3); show(F.softmax(x, 1), x); show(F.log_softmax(x, 1), x)
#[test]
fn softmax_over_tokens_is_pytorchs() {
    let softmax = |log| {
        let args = Vec::leak(vec![("log", log), ("of_positions", 1.0)]);
        case("softmax", args, [ramp(0, [2, 4, 3])])
    };
    softmax(0.0).check(&[
        (
            [
                0.02947375941243,
                0.3499320087588,
                0.3499320087588,
                0.4068726983512,
                0.2725273224431,
                0.2725273224431,
            ],
            65.2364541975792,
        ),
        (
            [
                -0.04766284526601,
                -0.01855625273613,
                0.104358896442,
                0.1049210260149,
                -0.08258345477254,
                0.01314295965876,
            ],
            0.244445387736803,
        ),
    ]);
    softmax(1.0).check(&[
        (
            [
                -3.524254922929,
                -1.050016404059,
                -1.050016404059,
                -0.8992549229294,
                -1.300016404059,
                -1.300016404059,
            ],
            -408.590820859938,
        ),
        (
            [
                -1.025789539486,
                -0.06880949233607,
                0.4249660043794,
                0.5189863889427,
                -0.3865385928623,
                0.1362636612215,
            ],
            7.60103238284134,
        ),
    ]);
}

/// x, w = r(0, 2, 3, 12), r(6, 6); show(F.rms_norm(x.unflatten(2, (2, 6)), (6,), w, 1e-6).flatten(2), x, w)
#[test]
fn norms_of_heads_are_pytorchs() {
    let mut case = case("rms_norm", &[("eps", 1e-6), ("heads", 2.0)], [ramp(0, [2, 3, 12])]);
    case.params.push(ramp(6, [1, 1, 6]).values);
    case.check(&[
        (
            [
                1.001047799459,
                -0.1456069526486,
                0.491423465189,
                -1.274060835675,
                0.0,
                0.1274060835675,
            ],
            399.206490498044,
        ),
        (
            [
                0.1252845386078,
                -0.3283871143537,
                0.4920020683598,
                -0.3438878353043,
                -0.3287728498009,
                0.05479547496682,
            ],
            -102.421392989508,
        ),
        (
            [
                1.552237352808,
                1.019664257671,
                -2.425284262922,
                -0.3319398263205,
                -1.828590763151,
                -1.48257742313,
            ],
            -19.5539739153904,
        ),
    ]);
}
