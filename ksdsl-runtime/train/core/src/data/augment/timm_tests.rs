//! timm's operations byte for byte against timm 1.0.31 with PIL 13.0.0, and how often they come.

use super::tests::{crc, picture};
use super::{Sampling, TimmOperation, TimmRandAugment};
use crate::random::{Purpose, generator};

/// With the functions of the other tests:
///
/// ```python
/// import timm.data.auto_augment as T
/// T._randomly_negate = lambda v: sign * v
/// for level, sign in ((9.0, 1), (9.0, -1), (3.7, 1), (9.9, -1)):
///     for resample in (Image.BILINEAR, Image.BICUBIC):
///         def crc(n):
///             args = T.LEVEL_TO_ARG[n](level, {}) if T.LEVEL_TO_ARG[n] else ()
///             i = T.NAME_TO_OP[n](pil(picture(3, 32, 24)), *args, resample=resample, fillcolor=(125, 123, 114))
///             return zlib.crc32(back(i).tobytes())
///         print(level * sign, resample, [crc(n) for n in T._RAND_INCREASING_TRANSFORMS])
/// ```
#[test]
fn operations_are_those_of_timm() {
    let expected: [(f64, Sampling, [u32; 15]); 8] = [
        (
            9.0,
            Sampling::Bilinear,
            [
                1727452091, 3850222559, 1355199372, 2003490714, 3579844348, 4052421206, 1342457701, 3048913555,
                2749125157, 1082417727, 2199467260, 1354186238, 1622416127, 3039417265, 4058511285,
            ],
        ),
        (
            9.0,
            Sampling::Bicubic,
            [
                1727452091, 3850222559, 1355199372, 364191003, 3579844348, 4052421206, 1342457701, 3048913555,
                2749125157, 1082417727, 2199467260, 154734582, 1330296021, 964536906, 718799333,
            ],
        ),
        (
            -9.0,
            Sampling::Bilinear,
            [
                1727452091, 3850222559, 1355199372, 2690437489, 3579844348, 4052421206, 1342457701, 1686209968,
                2120527271, 122313521, 2472021262, 3941843681, 495275015, 3933974336, 3679238936,
            ],
        ),
        (
            -9.0,
            Sampling::Bicubic,
            [
                1727452091, 3850222559, 1355199372, 1648254275, 3579844348, 4052421206, 1342457701, 1686209968,
                2120527271, 122313521, 2472021262, 787137663, 3325645790, 3901653026, 3887927579,
            ],
        ),
        (
            3.7,
            Sampling::Bilinear,
            [
                1727452091, 3850222559, 1355199372, 2485638318, 248519607, 2890589922, 3885492883, 2656188094,
                1281830567, 2531569062, 2186150818, 3502294073, 1306131807, 3807252205, 1138815536,
            ],
        ),
        (
            3.7,
            Sampling::Bicubic,
            [
                1727452091, 3850222559, 1355199372, 3120013029, 248519607, 2890589922, 3885492883, 2656188094,
                1281830567, 2531569062, 2186150818, 4198894322, 358033004, 2062908948, 3749336443,
            ],
        ),
        (
            -9.9,
            Sampling::Bilinear,
            [
                1727452091, 3850222559, 1355199372, 249718586, 3579844348, 1658347242, 4062478356, 4108749557,
                2736737963, 1474222434, 2245361038, 3847106746, 786784445, 372356975, 2867297677,
            ],
        ),
        (
            -9.9,
            Sampling::Bicubic,
            [
                1727452091, 3850222559, 1355199372, 1625872566, 3579844348, 1658347242, 4062478356, 4108749557,
                2736737963, 1474222434, 2245361038, 1269075267, 4117676885, 1861593515, 2125673178,
            ],
        ),
    ];
    for (level, sampling, sums) in expected {
        for (operation, sum) in TimmOperation::ALL.into_iter().zip(sums) {
            let mut picture = picture(3, 32, 24);
            operation.perform(&mut picture, level, sampling, &[125, 123, 114]);
            assert_eq!(crc(&picture), sum, "{operation:?} at {level}, {sampling:?}");
        }
    }
}

/// Half of the draws change nothing; levels have timm's mean and deviation, but none is above 10.
#[test]
fn draws_are_distributed_as_timms() {
    let policy = TimmRandAugment {
        magnitude: 5.0,
        deviation: 0.5,
        fill: vec![0; 3],
    };
    let mut rng = generator(1, Purpose::Augmentation, [0, 0]);
    let total = 40_000;
    let drawn: Vec<_> = (0..total).filter_map(|_| policy.draw(&mut rng)).collect();
    let near = |found: f64, expected: f64, by: f64| assert!((found - expected).abs() < by, "{found}, not {expected}");
    // Bounds are about five standard errors.
    near(drawn.len() as f64 / f64::from(total), 0.5, 0.0125);
    let share = |of: &dyn Fn(&(TimmOperation, f64, Sampling)) -> bool| {
        drawn.iter().filter(|draw| of(draw)).count() as f64 / drawn.len() as f64
    };
    near(share(&|draw| draw.1 < 0.0), 0.5, 0.018);
    near(share(&|draw| draw.2 == Sampling::Bicubic), 0.5, 0.018);
    for operation in TimmOperation::ALL {
        near(share(&|draw| draw.0 == operation), 1.0 / 15.0, 0.009);
    }
    let mean = drawn.iter().map(|draw| draw.1.abs()).sum::<f64>() / drawn.len() as f64;
    let variance = drawn.iter().map(|draw| (draw.1.abs() - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
    near(mean, 5.0, 0.02);
    near(variance.sqrt(), 0.5, 0.02);
    let strong = TimmRandAugment {
        magnitude: 10.0,
        ..policy
    };
    let levels = (0..1000).filter_map(|_| strong.draw(&mut rng)).map(|draw| draw.1.abs());
    assert_eq!(levels.fold(0.0, f64::max), 10.0);
}
