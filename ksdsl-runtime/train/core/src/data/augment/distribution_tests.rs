//! How often the changes choose what. Bounds are five standard deviations, so that a test of a right
//! distribution fails once in two million seeds; the seed is fixed.

use super::mix::Mixing;
use super::{ColorJitter, Cutout, Erase, Erasing, Filling, HorizontalFlip, Mix, Operation};
use super::{PaddedCrop, Picture, RandAugment, Transform};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(2026)
}

/// Whether `hits` of `tries` go with a probability.
fn as_often(hits: usize, tries: usize, probability: f64) -> bool {
    let (hits, tries) = (hits as f64, tries as f64);
    let deviation = (tries * probability * (1.0 - probability)).sqrt();
    (hits - tries * probability).abs() <= 5.0 * deviation
}

/// Whether the mean of numbers goes with an expectation and a variance.
fn about(numbers: &[f64], mean: f64, variance: f64) -> bool {
    let count = numbers.len() as f64;
    (numbers.iter().sum::<f64>() / count - mean).abs() <= 5.0 * (variance / count).sqrt()
}

#[test]
fn windows_are_everywhere_as_often() {
    let mut rng = rng();
    let mut places = BTreeMap::new();
    // The only light pixel says where the picture went.
    let mut start = Picture::new(1, 5, 5, vec![0; 25]);
    start.pixels[12] = 1;
    for _ in 0..9_000 {
        let mut moved = start.clone();
        PaddedCrop { pad: 1 }.apply(&mut moved, &mut rng);
        *places
            .entry(moved.pixels.iter().position(|&p| p == 1).unwrap())
            .or_insert(0) += 1;
    }
    let expected = [6, 7, 8, 11, 12, 13, 16, 17, 18];
    assert_eq!(places.keys().copied().collect::<Vec<_>>(), expected);
    assert!(
        places.values().all(|&hits| as_often(hits, 9_000, 1.0 / 9.0)),
        "{places:?}"
    );
}

#[test]
fn flips_come_as_often_as_asked() {
    let mut rng = rng();
    for probability in [0.0, 0.3, 0.5, 1.0] {
        let flip = HorizontalFlip { probability };
        let flips = (0..4_000).filter(|_| {
            let mut picture = Picture::new(1, 1, 2, vec![1, 2]);
            flip.apply(&mut picture, &mut rng);
            picture.pixels == [2, 1]
        });
        let flips = flips.count();
        assert!(as_often(flips, 4_000, probability), "{flips} of {probability}");
    }
}

#[test]
fn operations_come_equally_often_either_way() {
    let mut rng = rng();
    let policy = RandAugment::default();
    let mut counts = BTreeMap::new();
    let draws = 28_000;
    for _ in 0..draws {
        let (operation, strength) = policy.draw(&mut rng);
        assert_eq!(strength.abs(), 0.9);
        let name = format!("{operation:?}");
        *counts.entry((name, strength > 0.0)).or_insert(0) += 1;
    }
    for operation in Operation::ALL {
        let count = |up| counts.get(&(format!("{operation:?}"), up)).copied().unwrap_or(0);
        let share = 1.0 / 14.0;
        if operation.is_signed() {
            assert!(as_often(count(true), draws, 0.5 * share), "{operation:?}");
            assert!(as_often(count(false), draws, 0.5 * share), "{operation:?}");
        } else {
            assert!(as_often(count(true), draws, share), "{operation:?}");
            assert_eq!(count(false), 0, "{operation:?}");
        }
    }
}

#[test]
fn erased_areas_are_uniform_and_within_the_image() {
    let mut rng = rng();
    // Areas and ratios of which every rectangle fits.
    let erasing = Erasing {
        probability: 0.7,
        area: (0.1, 0.2),
        ratio: (0.5, 2.0),
        filling: Filling::Value(0.0),
    };
    let drawn: Vec<_> = (0..6_000).filter_map(|_| erasing.draw((400, 300), &mut rng)).collect();
    assert!(as_often(drawn.len(), 6_000, 0.7));
    assert!(
        drawn
            .iter()
            .all(|(rows, columns)| rows.end <= 400 && columns.end <= 300)
    );
    let areas: Vec<f64> = drawn
        .iter()
        .map(|(r, c)| (r.len() * c.len()) as f64 / 120_000.0)
        .collect();
    assert!(about(&areas, 0.15, 0.1 * 0.1 / 12.0));
    // The logarithm of the ratio is uniform between -log 2 and log 2.
    let ratios: Vec<f64> = drawn
        .iter()
        .map(|(r, c)| (r.len() as f64 / c.len() as f64).ln())
        .collect();
    let width = 2.0 * 2.0_f64.ln();
    assert!(about(&ratios, 0.0, width * width / 12.0));
    // Places are symmetric: as much room before as behind.
    let room: Vec<f64> = drawn
        .iter()
        .map(|(r, _)| r.start as f64 / (400 - r.len()) as f64)
        .collect();
    assert!(about(&room, 0.5, 1.0 / 12.0));
}

#[test]
fn erasing_fills_all_channels_with_a_value_or_noise() {
    let mut rng = rng();
    let erasing = |filling| Erasing {
        probability: 1.0,
        filling,
        ..Erasing::default()
    };
    let mut values = vec![1.0; 3 * 64];
    erasing(Filling::Value(0.0)).erase(&mut values, (8, 8), &mut rng);
    let erased = |plane: &[f32]| plane.iter().map(|&value| value == 0.0).collect::<Vec<_>>();
    assert!(erased(&values[..64]).contains(&true));
    assert!(values.chunks(64).all(|plane| erased(plane) == erased(&values[..64])));

    let mut noise = Vec::new();
    for _ in 0..2_000 {
        let mut values = vec![100.0; 64];
        erasing(Filling::Noise).erase(&mut values, (8, 8), &mut rng);
        noise.extend(values.into_iter().filter(|&value| value != 100.0).map(f64::from));
    }
    let squares: Vec<f64> = noise.iter().map(|value| value * value).collect();
    // The standard normal distribution: mean 0, variance 1; the variance of its square is 2.
    assert!(about(&noise, 0.0, 1.0) && about(&squares, 1.0, 2.0));
}

#[test]
fn squares_are_about_every_pixel() {
    let mut rng = rng();
    let mut hits = vec![0; 36];
    for _ in 0..7_200 {
        let mut values = vec![1.0; 36];
        Cutout { side: 1 }.erase(&mut values, (6, 6), &mut rng);
        let place = values.iter().position(|&value| value == 0.0).unwrap();
        hits[place] += 1;
    }
    assert!(hits.iter().all(|&hits| as_often(hits, 7_200, 1.0 / 36.0)), "{hits:?}");
}

#[test]
fn shares_of_mixup_are_of_the_beta_distribution() {
    let mut rng = rng();
    for alpha in [0.2, 0.5, 1.0, 4.0] {
        let mix = Mix {
            mixup: alpha,
            ..Mix::default()
        };
        let draw = |_| match mix.draw((8, 8), &mut rng) {
            Some(Mixing::Whole(own)) => f64::from(own),
            other => panic!("{other:?}"),
        };
        let shares: Vec<f64> = (0..5_000).map(draw).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        // Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
        let variance = 1.0 / (4.0 * (2.0 * alpha + 1.0));
        assert!(about(&shares, 0.5, variance), "{alpha}");
        // Its fourth central moment is 3 / (16 (2 a + 1) (2 a + 3)).
        let squares: Vec<f64> = shares.iter().map(|share| (share - 0.5).powi(2)).collect();
        let fourth = 3.0 / (16.0 * (2.0 * alpha + 1.0) * (2.0 * alpha + 3.0));
        assert!(about(&squares, variance, fourth - variance * variance), "{alpha}");
    }
}

#[test]
fn batches_are_mixed_as_often_as_asked() {
    let mut rng = rng();
    let mix = Mix {
        mixup: 1.0,
        cutmix: 1.0,
        probability: 0.8,
        cutmix_share: 0.25,
    };
    let (mut whole, mut cut, mut own) = (0, 0, Vec::new());
    for _ in 0..10_000 {
        match mix.draw((1_000, 1_000), &mut rng) {
            Some(Mixing::Whole(_)) => whole += 1,
            Some(Mixing::Rectangle(rows, columns)) => {
                cut += 1;
                // Those about a pixel near the middle are not cut at a border.
                if (499..=501).contains(&((rows.start + rows.end) / 2)) {
                    own.push(1.0 - (rows.len() * columns.len()) as f64 / 1e6);
                }
            }
            None => {}
        }
    }
    assert!(as_often(whole, 10_000, 0.8 * 0.75) && as_often(cut, 10_000, 0.8 * 0.25));
    assert!(own.iter().all(|own| (0.0..=1.0).contains(own)));
    let alone = Mix {
        cutmix: 1.0,
        ..Mix::default()
    };
    assert!(matches!(alone.draw((8, 8), &mut rng), Some(Mixing::Rectangle(..))));
    assert_eq!(Mix::default().draw((8, 8), &mut rng), None);
}

#[test]
fn jitter_is_uniform_and_in_any_order() {
    let mut rng = rng();
    let brightness = ColorJitter {
        brightness: 0.5,
        ..ColorJitter::default()
    };
    let values: Vec<f64> = (0..4_000)
        .map(|_| {
            let mut picture = Picture::new(3, 1, 1, vec![160; 3]);
            brightness.apply(&mut picture, &mut rng);
            f64::from(picture.pixels[0]) + 0.5 // cut off, half a step on average
        })
        .collect();
    // 160 times a factor between 0.5 and 1.5.
    assert!(values.iter().all(|value| (80.0..=240.5).contains(value)));
    assert!(about(&values, 160.0, 160.0 * 160.0 / 12.0));
    let all = ColorJitter {
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.1,
    };
    let start = Picture::new(3, 2, 2, (0..12).map(|i| i * 20).collect());
    let changed = (0..50).filter(|_| {
        let mut picture = start.clone();
        all.apply(&mut picture, &mut rng);
        picture != start
    });
    assert_eq!(changed.count(), 50);
    let mut same = start.clone();
    ColorJitter::default().apply(&mut same, &mut rng);
    assert_eq!(same, start);
}
