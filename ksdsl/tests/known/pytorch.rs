//! The graph executor against the stored results of transformers, PyTorch's layers and the authors' code restated.

use super::case::{cases, largest};
use super::step::outcome;
use ksdsl::spec::Spec;

/// Outputs, loss and gradients to 1e-10 of a tensor's largest value, and all tensors after ten steps of AdamW to 1e-8. A
/// gradient below 1e-10 of the largest is zero but for rounding, and compared with that.
#[test]
fn language_models_compute_what_their_references_do() {
    let mut names = Vec::new();
    for case in cases() {
        let (network, _) = case
            .set(Spec::read(&case.file).expect("a file"))
            .compile_one()
            .expect("a network");
        let found = outcome(&network, &case.weights, &case.batch, case.how).expect("an outcome");
        assert!(found.keys().eq(case.expected.keys()), "{}", case.net);
        let gradients = case.expected.iter().filter(|(key, _)| key.starts_with("gradient."));
        let steepest = gradients.map(|(_, values)| largest(values)).fold(0.0, f64::max);
        for (key, expected) in &case.expected {
            assert_eq!(found[key].len(), expected.len(), "{} {key}", case.net);
            let differences = found[key].iter().zip(expected).map(|(ours, theirs)| ours - theirs);
            let difference = largest(&differences.collect::<Vec<f64>>());
            let is_zero = key.starts_with("gradient.") && largest(expected) < 1e-10 * steepest;
            let scale = if is_zero { steepest } else { largest(expected) };
            let limit = if key.starts_with("adamw.") { 1e-8 } else { 1e-10 };
            assert!(
                difference <= limit * scale,
                "{} {key}: {difference} of {scale}",
                case.net
            );
        }
        names.push(case.net);
    }
    let expected = [
        "albert",
        "cycle",
        "cycle_rev",
        "gpt2",
        "halting",
        "huginn",
        "mobilellm",
        "ouro",
        "relaxed_recursive",
        "subformer",
        "takase_kiyono",
        "trm",
        "universal_transformer",
    ];
    assert_eq!(names, expected);
}
