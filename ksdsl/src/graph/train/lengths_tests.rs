//! Language models that take the lengths of sequences.

use super::tests::with_waves;
use crate::graph::train::{LanguageModel, Model, NextToken, Training};
use crate::spec::Spec;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::loss::IGNORED;
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::trainer::learner::Learner as _;

/// No parameter depends on the number of positions, and each position sees all others of its sequence.
const MASKED: &str = "
net masked(context) {
    input tokens: context of 7
    input lengths: 1
    embedding(8)
    sinusoidal_positions
    residual { layer_norm; attention(2, lengths = lengths, bias = false) }
    layer_norm
    head: linear(7, bias = false)
}";

fn of(context: i64) -> LanguageModel {
    let spec = Spec::parse("masked.ksn", MASKED).set("context", context);
    let (network, _) = spec.compile_one().unwrap();
    assert!(LanguageModel::is_meant(&network));
    let of = LanguageModel::of(network, &[]).unwrap();
    assert!(of.has_lengths());
    of
}

fn training(context: i64, accumulate: Option<usize>) -> Training<NextToken<'static>> {
    let recipe = Recipe {
        accumulate,
        ..Recipe::nanogpt()
    };
    let objective = NextToken {
        vocabulary: 7,
        exits: None,
        lengths: true,
        drawn: None,
        validation: None,
    };
    Training::new(&recipe, with_waves(&of(context)), objective).unwrap()
}

/// Sequences of these tokens, each but the first a target, in windows of `length` that `padding` fills.
fn batch(sequences: &[&[u32]], length: usize, padding: f32) -> TokenBatch {
    let mut batch = TokenBatch {
        length,
        ..TokenBatch::default()
    };
    for tokens in sequences {
        let targets = tokens.len() - 1;
        batch.ids.extend(tokens[..targets].iter().map(|&id| id as f32));
        batch.ids.extend((targets..length).map(|_| padding));
        batch.targets.extend(&tokens[1..]);
        batch.targets.extend((targets..length).map(|_| IGNORED));
    }
    batch
}

const SHORT: &[u32] = &[3, 1, 4, 1, 5];
const LONG: &[u32] = &[2, 6, 5, 3, 5, 0, 2];

fn values(model: &Model, key: &str) -> Vec<f32> {
    model.graph().values(key).unwrap().unwrap()
}

/// A document of 4 tokens in a window of 6 trains as in a network of 4 positions.
#[test]
fn padded_documents_train_as_in_a_network_of_their_length() {
    let (mut whole, mut padded) = (training(4, None), training(6, None));
    for step in 0..3 {
        let expected = whole.step(&batch(&[SHORT], 4, 0.0), 1e-2, 0).unwrap();
        // Whatever fills the window.
        let found = padded.step(&batch(&[SHORT], 6, step as f32), 1e-2, 0).unwrap();
        assert!((found.loss - expected.loss).abs() < 1e-6, "{found:?}, {expected:?}");
        assert!(
            (found.gradient_norm - expected.gradient_norm).abs() < 1e-5,
            "{found:?}, {expected:?}"
        );
    }
    for key in ["embedding.weight", "attention.q.weight", "head.weight"] {
        let [found, expected] = [&padded, &whole].map(|training| values(training.model(), key));
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{key}");
    }
    // They are what the length leaves, not what a window has.
    let mut full = training(6, None);
    let mut filled = batch(&[SHORT], 6, 0.0);
    filled.targets[5] = 0;
    let other = full.step(&filled, 1e-2, 0).unwrap();
    let alone = training(6, None).step(&batch(&[SHORT], 6, 0.0), 1e-2, 0).unwrap();
    assert!((other.loss - alone.loss).abs() > 1e-3, "{other:?}, {alone:?}");
}

/// The loss of a batch is the mean over its tokens, also in parts.
#[test]
fn each_sequence_of_a_batch_has_its_length() {
    let alone = |tokens: &[u32]| {
        let length = tokens.len() - 1;
        let stepped = training(length as i64, None).step(&batch(&[tokens], length, 0.0), 1e-2, 0);
        stepped.unwrap().loss
    };
    let expected = (4.0 * alone(SHORT) + 6.0 * alone(LONG)) / 10.0;
    for accumulate in [None, Some(2)] {
        let stepped = training(6, accumulate).step(&batch(&[SHORT, LONG], 6, 0.0), 1e-2, 0);
        let loss = stepped.unwrap().loss;
        assert!((loss - expected).abs() < 1e-6, "{loss} is not {expected}");
    }
}

#[test]
fn other_second_inputs_are_refused() {
    for input in ["sizes: 1", "lengths: 2"] {
        let text = MASKED
            .replace("input lengths: 1", &format!("input {input}"))
            .replace("lengths = lengths, ", "");
        let spec = Spec::parse("masked.ksn", &text).set("context", 6);
        let Ok((network, _)) = spec.compile_one() else {
            panic!("{input}")
        };
        assert!(!LanguageModel::is_meant(&network));
        let unfit = LanguageModel::of(network, &[]).unwrap_err();
        assert!(unfit.to_string().contains("has several inputs") && unfit.fix().contains("`input lengths: 1`"));
    }
}
