use super::*;

/// `softmax(logits / temperature)` from its definition.
fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| (f64::from(*logit) / temperature).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn logits(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * 2.7).sin() * 3.0).collect()
}

fn near(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
}

fn distribution(sampling: Sampling, logits: &[f32]) -> Vec<(usize, f64)> {
    let all = sampling.distribution(logits).unwrap();
    near(all.iter().map(|(_, probability)| probability).sum(), 1.0);
    all
}

/// Tokens by their probability.
fn ranked(probabilities: &[f64]) -> Vec<usize> {
    let mut tokens: Vec<usize> = (0..probabilities.len()).collect();
    tokens.sort_by(|a, b| probabilities[*b].partial_cmp(&probabilities[*a]).unwrap());
    tokens
}

#[test]
fn temperature_divides_logits() {
    for temperature in [0.2, 1.0, 3.5] {
        let (logits, sampling) = (
            logits(23),
            Sampling {
                temperature,
                ..Sampling::default()
            },
        );
        let theirs = softmax(&logits, temperature);
        let ours = distribution(sampling, &logits);
        assert_eq!(ours.len(), 23);
        for (at, (token, probability)) in ours.into_iter().enumerate() {
            assert_eq!(token, at);
            near(probability, theirs[token]);
        }
    }
}

/// The `k` most probable tokens, each with its share of their probability.
#[test]
fn top_k_keeps_the_most_probable() {
    let logits = logits(40);
    let all = softmax(&logits, 0.7);
    for k in [1, 2, 7, 39, 40, 100] {
        let sampling = Sampling {
            temperature: 0.7,
            top_k: Some(k),
            top_p: None,
        };
        let kept = &ranked(&all)[..k.min(40)];
        let mass: f64 = kept.iter().map(|token| all[*token]).sum();
        let ours = distribution(sampling, &logits);
        assert_eq!(ours.iter().map(|(token, _)| *token).collect::<Vec<_>>(), kept, "{k}");
        ours.iter()
            .for_each(|(token, probability)| near(*probability, all[*token] / mass));
    }
}

/// The fewest most probable tokens that together have a probability of `p`: all but the last have less.
#[test]
fn top_p_keeps_a_nucleus() {
    let logits = logits(40);
    let all = softmax(&logits, 1.0);
    for p in [1e-9, 0.1, 0.5, 0.9, 0.999, 1.0] {
        let sampling = Sampling {
            top_p: Some(p),
            ..Sampling::default()
        };
        let ours = distribution(sampling, &logits);
        let kept: Vec<usize> = ours.iter().map(|(token, _)| *token).collect();
        assert_eq!(kept, ranked(&all)[..kept.len()], "{p}");
        let mass: f64 = kept.iter().map(|token| all[*token]).sum();
        assert!(mass >= p - 1e-12 && mass - all[kept[kept.len() - 1]] < p, "{p}: {mass}");
        ours.iter()
            .for_each(|(token, probability)| near(*probability, all[*token] / mass));
    }
    // Of the most probable three, half of their probability and not of all.
    let [a, b] = [ranked(&all)[0], ranked(&all)[1]];
    let three: f64 = ranked(&all)[..3].iter().map(|token| all[*token]).sum();
    let sampling = Sampling {
        top_k: Some(3),
        top_p: Some((all[a] + 1e-6) / three),
        temperature: 1.0,
    };
    let kept = distribution(sampling, &logits);
    assert_eq!(kept.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [a, b]);
}

#[test]
fn temperature_zero_is_greedy_and_equal_tokens_are_ordered() {
    let greedy = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    assert_eq!(distribution(greedy, &[1.0, 5.0, 5.0, -2.0]), [(1, 1.0)]);
    let two = Sampling {
        top_k: Some(2),
        ..Sampling::default()
    };
    assert_eq!(distribution(two, &[5.0, 1.0, 5.0, 5.0]), [(0, 0.5), (2, 0.5)]);
    let mut sampler = Sampler::new(greedy, 3);
    assert_eq!(sampler.draw(&[0.0, f32::NEG_INFINITY, 0.5]), Ok(2));
}

#[test]
fn logits_must_be_numbers() {
    for wrong in [
        &[0.0, f32::NAN][..],
        &[f32::INFINITY, 1.0],
        &[f32::NEG_INFINITY; 2],
        &[],
    ] {
        for temperature in [0.0, 1.0] {
            let sampling = Sampling {
                temperature,
                ..Sampling::default()
            };
            assert_eq!(Sampler::new(sampling, 1).draw(wrong), Err(NotNumbers), "{wrong:?}");
        }
    }
    let never = distribution(Sampling::default(), &[0.0, f32::NEG_INFINITY, 0.0]);
    assert_eq!(never[1], (1, 0.0));
    // Huge logits do not overflow.
    assert_eq!(distribution(Sampling::default(), &[3e38, -3e38])[0], (0, 1.0));
}

/// How often tokens come is within five standard deviations of the binomial distribution.
#[test]
fn tokens_come_as_often_as_they_are_probable() {
    let logits = [0.3, 1.2, -0.5, 2.0, 0.0];
    let expected = softmax(&logits, 0.8);
    let mut sampler = Sampler::new(
        Sampling {
            temperature: 0.8,
            ..Sampling::default()
        },
        11,
    );
    let (mut counts, draws) = ([0_u32; 5], 20_000);
    for _ in 0..draws {
        counts[sampler.draw(&logits).unwrap()] += 1;
    }
    for (count, probability) in counts.into_iter().zip(expected) {
        let (mean, deviation) = (
            f64::from(draws) * probability,
            (f64::from(draws) * probability * (1.0 - probability)).sqrt(),
        );
        assert!((f64::from(count) - mean).abs() < 5.0 * deviation, "{count} of {mean}");
    }
}

#[test]
fn the_seed_determines_the_tokens() {
    let logits = logits(50);
    let run = |seed| {
        let mut sampler = Sampler::new(Sampling::default(), seed);
        (0..20).map(|_| sampler.draw(&logits).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
