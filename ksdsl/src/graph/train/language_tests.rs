//! Language models in training.

use crate::graph::train::objective::Exits;
use crate::graph::train::{LanguageModel, Model, NextToken, Objective as _, Training, Unfit};
use crate::spec::Spec;
use ksdsl_cpu::{CpuBuf, with_threads};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::interrupt::Stop;
use ksdsl_train_core::iterations::Iterations;
use ksdsl_train_core::loss::{Positions, token_cross_entropy};
use ksdsl_train_core::optim::{AdamW, Averaging, Statistics};
use ksdsl_train_core::record::{Observer, Step};
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::text::{Choice, Text, Vocabulary, windows};
use ksdsl_train_core::trainer::learner::Learner as _;
use ksdsl_train_core::trainer::{End, Outcome, Trainer};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

const TINY: &str = "
net tiny {
    input 6 of 7
    wte: embedding(8)
    wpe: position_embedding
    stage h {
        repeat 2 {
            residual { layer_norm; attention(2, causal = true, bias = false) }
            residual { layer_norm; up: linear(16, bias = false); gelu; down: linear(8) }
        }
    }
    layer_norm
    head: linear(7, bias = false)
    share wte, head
    share blocks in h
}";

pub(in crate::graph::train) fn model_of(text: &str) -> Result<LanguageModel, Unfit> {
    let (network, _) = Spec::parse("tiny.ksn", text).compile_one().unwrap();
    LanguageModel::of(network, &[])
}

/// Value `i` of the `k`-th tensor by name is 0.4 sin(1.3 i + 2.1 k).
pub(in crate::graph::train) fn with_waves(of: &LanguageModel) -> Model {
    let mut model = Model::new(of.network(), 0);
    let mut order: Vec<usize> = (0..model.slots.len()).collect();
    order.sort_by(|&a, &b| model.slots[a].key.cmp(&model.slots[b].key));
    for (k, at) in order.into_iter().enumerate() {
        let wave = |i: usize| (0.4 * (1.3 * i as f64 + 2.1 * k as f64).sin()) as f32;
        let values = (0..model.slots[at].elements()).map(wave).collect();
        *model.graph.params.get_mut(model.places[at]) = CpuBuf::from_vec(values);
    }
    model
}

/// The losses, and the first values of two tensors at the end, of `tiny` as `ksn export pytorch` writes it:
///
/// ```python
/// net = Tiny()
/// for k, (name, p) in enumerate(sorted(net.named_parameters())):
///     values = 0.4 * torch.sin(1.3 * torch.arange(p.numel(), dtype=torch.float64) + 2.1 * k)
///     p.data = values.float().reshape(p.shape)
/// groups = [{"params": [p for p in net.parameters() if p.dim() > 1], "weight_decay": 0.1},
///           {"params": [p for p in net.parameters() if p.dim() < 2], "weight_decay": 0.0}]
/// optimiser = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
/// tokens = torch.tensor([(i * i + 3 * i // 2) % 7 for i in range(60)])
/// for step in range(4):
///     starts = [step, step + 11, 3 * step + 29]
///     x = torch.stack([tokens[s:s + 6] for s in starts])
///     y = torch.stack([tokens[s + 1:s + 7] for s in starts])
///     loss = F.cross_entropy(net(x).flatten(0, 1), y.flatten())
///     optimiser.zero_grad(); loss.backward()
///     norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.3)
///     optimiser.step()
///     print(loss.item(), norm.item())
/// print(net.shared.wte.weight.flatten()[:4].tolist(), net.h[1].layer_norm_2.bias[:3].tolist())
/// ```
const PYTORCH: [(f64, f64); 4] = [
    (1.9254142, 0.4213446),
    (1.7808671, 0.3616294),
    (1.8762650, 0.3513054),
    (1.9074111, 0.3516407),
];
const TABLE: [f32; 4] = [-0.350538, -0.2178383, 0.2204134, 0.4135217];
const SHIFT: [f32; 3] = [-0.0216340, 0.3582558, 0.2073504];

/// In one part, and in two of two windows and one: the decay counts a tied table once, the gradients of all visits are
/// clipped together.
#[test]
fn steps_are_those_of_pytorch() {
    let of = model_of(TINY).unwrap();
    let tokens: Vec<u32> = (0..60).map(|i| (i * i + 3 * i / 2) % 7).collect();
    for accumulate in [None, Some(2), Some(3), Some(100)] {
        let recipe = Recipe {
            method: AdamW {
                betas: [0.9, 0.99],
                eps: 1e-8,
                decay: 0.1,
            }
            .into(),
            clip: Some(0.3),
            accumulate,
            ..Recipe::nanogpt()
        };
        let objective = NextToken {
            vocabulary: 7,
            exits: None,
            lengths: false,
            drawn: None,
            validation: None,
        };
        let mut training = Training::new(&recipe, with_waves(&of), objective).unwrap();
        for (step, (loss, norm)) in PYTORCH.into_iter().enumerate() {
            let batch = windows(&tokens, [step, step + 11, 3 * step + 29], 6);
            let stepped = training.step(&batch, 1e-2, 0).unwrap();
            let errors = [stepped.loss - loss, stepped.gradient_norm - norm];
            assert!(
                errors.iter().all(|error| error.abs() < 2e-6),
                "step {step}: {stepped:?}, {errors:?}"
            );
        }
        let values = |key: &str| training.model().graph().values(key).unwrap().unwrap();
        let close = |found: &[f32], expected: &[f32]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&values("shared.wte.weight"), &TABLE));
        assert!(close(&values("h.1.layer_norm_2.bias"), &SHIFT));
    }
}

/// A stack that tokens can leave after each of three visits.
pub(in crate::graph::train) const GATED: &str = "
net gated(steps = 3) {
    input 6 of 7
    embedding(8); position_embedding
    keep embedded
    concat { path {} path {} path {} } scale(0)
    keep exits
    from embedded
    visits: repeat up to steps {
        residual { layer_norm; attention(2, causal = true, bias = false) }
        residual { up: linear(16, bias = false); gelu; down: linear(8) }
        keep state
        concat { path { gate: linear(1) } path { head: linear(7, bias = false) } }
        keep leaves
        concat { path { from exits; slice(8, 8 * steps) } path { from leaves } }
        set exits
        from state
    }
    from exits; slice(8 * steps - 7, 8 * steps)
    output logits
    from exits
    output visits_of_tokens
}";

/// The losses and norms of `gated` as in [`PYTORCH`], with the second output and `objective` of
/// `ksdsl_train_core::loss::exit_cross_entropy`'s tests:
///
/// ```python
///     exits = net(x)[1].unflatten(2, (3, 8)).flatten(0, 1)
///     loss = objective(exits, y.flatten(), 0.1)
/// ...
/// print(net.visits.gate.weight.flatten()[:4].tolist(), net.visits.gate.bias.tolist())
/// ```
const OF_VISITS: [(f64, f64); 4] = [
    (2.4189677, 1.7513343),
    (2.1863873, 1.7447257),
    (1.8356081, 0.9822782),
    (1.8588028, 0.6766345),
];
const GATE: [f32; 4] = [0.0338625, 0.4211176, 0.2026306, -0.3134705];
const GATE_SHIFT: [f32; 1] = [-0.3395487];

#[test]
fn tokens_that_can_leave_learn_from_all_visits_as_in_pytorch() {
    let of = model_of(GATED).unwrap();
    assert!(of.has_exits() && LanguageModel::is_meant(of.network()));
    let tokens: Vec<u32> = (0..60).map(|i| (i * i + 3 * i / 2) % 7).collect();
    for accumulate in [None, Some(3)] {
        let recipe = Recipe {
            clip: Some(0.3),
            accumulate,
            ..Recipe::nanogpt()
        };
        let objective = NextToken {
            vocabulary: 7,
            exits: Some(Exits::All(0.1)),
            lengths: false,
            drawn: None,
            validation: None,
        };
        let mut training = Training::new(&recipe, with_waves(&of), objective).unwrap();
        for (step, (loss, norm)) in OF_VISITS.into_iter().enumerate() {
            let batch = windows(&tokens, [step, step + 11, 3 * step + 29], 6);
            let stepped = training.step(&batch, 1e-2, 0).unwrap();
            let errors = [stepped.loss - loss, stepped.gradient_norm - norm];
            assert!(
                errors.iter().all(|error| error.abs() < 5e-6),
                "step {step}: {stepped:?}, {errors:?}"
            );
        }
        for (key, expected) in [("visits.gate.weight", &GATE[..]), ("visits.gate.bias", &GATE_SHIFT)] {
            let found = training.model().graph().values(key).unwrap().unwrap();
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{found:?}"
            );
        }
    }
}

/// So many logits that the threads share the positions: the bits are those of one position after the other.
#[test]
fn the_loss_does_not_depend_on_threads() {
    let vocabulary = 5_000;
    let tokens: Vec<u32> = (0..60).map(|i| i * 83 % 5_000).collect();
    let batch = windows(&tokens, [0, 11, 29], 8);
    let logits: Vec<f32> = (0..3 * 8 * 5_000).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
    let objective = NextToken {
        vocabulary,
        exits: None,
        lengths: false,
        drawn: None,
        validation: None,
    };
    let parts = objective.parts(&batch, 1).unwrap();
    let in_order = |parts: &mut [Positions<'_>]| parts.iter_mut().for_each(Positions::compute);
    let expected = token_cross_entropy(&logits, &batch.targets, vocabulary, in_order);
    for threads in [1, 2, 3] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let found = with_threads(threads, || (parts[0].loss)(std::slice::from_ref(&logits)));
        assert!(found == (expected.0, vec![expected.1.clone()]), "{threads} threads");
    }
}

/// Requests a stop after a step.
struct StopAfter(u64, Stop);

impl Observer for StopAfter {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        if step.number == self.0 {
            self.1.stop();
        }
        Ok(())
    }
}

/// Trains in a folder, up to a step or, if that is 0, to the end.
pub(in crate::graph::train) fn up_to(
    last: u64,
    folder: &Path,
    recipe: Recipe,
    train: impl FnOnce(Trainer<'_>) -> Outcome,
) -> Outcome {
    let stop = Stop::new();
    let mut observer = StopAfter(last, stop.clone());
    let trainer = Trainer::new(recipe).start_or_resume(folder).stop(stop);
    train(trainer.observer(&mut observer))
}

fn train(of: &LanguageModel, text: &Text, folder: &Path, last: u64) -> Outcome {
    let recipe = Recipe {
        steps: Some(11),
        steps_per_epoch: Some(4),
        batch: 5,
        accumulate: Some(2),
        average: Some(Averaging {
            decay: 0.8,
            statistics: Statistics::Copied,
        }),
        ..Recipe::nanogpt()
    };
    up_to(last, folder, recipe, |trainer| of.train(trainer, text).unwrap())
}

/// Windows, dropout, optimiser, schedule, average and the best model are those of a run that was not interrupted.
#[test]
fn runs_resume_to_the_same_bits() {
    let of = model_of(&TINY.replace("gelu;", "gelu; dropout(0.3);").replace("7", "256")).unwrap();
    let bytes: Vec<u8> = (0..400u32).map(|i| (i * i % 251) as u8).collect();
    let text = Text::of(&bytes, Vocabulary::Chosen(&Choice::Bytes)).unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [whole, parts] = folders.each_ref().map(|folder| folder.path());
    let expected = train(&of, &text, whole, 0);
    assert_eq!((expected.end, expected.steps, expected.epochs), (End::Finished, 11, 2));
    for last in [1, 4, 6] {
        let outcome = train(&of, &text, parts, last);
        assert_eq!((outcome.end, outcome.steps), (End::Interrupted, last));
    }
    assert_eq!(train(&of, &text, parts, 0), expected);
    for name in ["model", "averaged", "best"] {
        let [a, b] = [whole, parts].map(|folder| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap());
        assert!(a == b, "{name}");
    }
    // The evaluation of the saved model is that of the run.
    let mut model = Model::new(of.network(), 5);
    model.load(&whole.join("model.safetensors")).unwrap();
    assert_eq!(Some(of.evaluate(&model, &text).unwrap()), expected.evaluation);
}

/// The loop of a network runs as often as the recipe draws; a run that is interrupted draws the same.
#[test]
fn iterations_are_drawn_for_each_step() {
    const LOOPED: &str = "net looped { input 6 of 256; embedding(8); keep e; body: repeat up to 9, gradients = 2 { add(e); linear(8); gelu }
        linear(256) }";
    let drawn = Iterations::LogNormalPoisson { mean: 4.0, sigma: 0.5 };
    let of = model_of(LOOPED).unwrap();
    let bytes: Vec<u8> = (0..400u32).map(|i| (i * i % 251) as u8).collect();
    let text = Text::of(&bytes, Vocabulary::Chosen(&Choice::Bytes)).unwrap();
    let train = |of: &LanguageModel, folder: &Path, last: u64, iterations| {
        let recipe = Recipe {
            steps: Some(6),
            steps_per_epoch: Some(3),
            batch: 4,
            iterations,
            ..Recipe::nanogpt()
        };
        up_to(last, folder, recipe, |trainer| of.train(trainer, &text).unwrap())
    };
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [whole, parts, most] = folders.each_ref().map(|folder| folder.path());
    let expected = train(&of, whole, 0, Some(drawn));
    assert_eq!(train(&of, parts, 2, Some(drawn)).end, End::Interrupted);
    assert_eq!(train(&of, parts, 0, Some(drawn)), expected);
    assert_ne!(train(&of, most, 0, None).evaluation, expected.evaluation);
    // Evaluations run all iterations again.
    let mut model = Model::new(of.network(), 5);
    model.load(&whole.join("model.safetensors")).unwrap();
    assert_eq!(Some(of.evaluate(&model, &text).unwrap()), expected.evaluation);
    // The mean of 1 + Poisson numbers of mean 4, few of which are above 9.
    let objective = NextToken {
        vocabulary: 256,
        exits: None,
        lengths: false,
        drawn: Some((drawn, "body".to_owned(), 9)),
        validation: None,
    };
    let counts: Vec<usize> = (0..2000).map(|step| objective.iterations(step).unwrap().1).collect();
    let mean = counts.iter().sum::<usize>() as f64 / 2000.0;
    assert!((4.6..5.1).contains(&mean), "{mean}");
    let recipe = Recipe {
        iterations: Some(drawn),
        ..Recipe::nanogpt()
    };
    let fixed = model_of(&TINY.replace("7", "256")).unwrap();
    let error = fixed.train(Trainer::new(recipe), &text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid recipe: `iterations` must be null for a network without exactly one `repeat up to`"
    );
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let of = model_of(TINY).unwrap();
    let objective = NextToken {
        vocabulary: 7,
        exits: None,
        lengths: false,
        drawn: None,
        validation: None,
    };
    let mut training = Training::new(&Recipe::nanogpt(), with_waves(&of), objective).unwrap();
    let mut refused = |batch: TokenBatch| training.step(&batch, 1e-2, 0).unwrap_err().to_string();
    let batch = windows(&[0, 1, 2, 3, 4, 5, 7], [0], 6);
    let error = refused(batch.clone());
    assert_eq!(
        error,
        "the batch has the token 7; the network has 7 outputs for each position"
    );
    let short = windows(&[0, 1, 2, 3, 4, 5, 6], [0], 5);
    assert!(refused(short).contains("no whole number of images of 6"));
    let ids = vec![0.0; 12];
    assert!(refused(TokenBatch { ids, ..batch }).starts_with("the batch has 6 targets for 12 tokens"));
    assert!(refused(TokenBatch::default()).starts_with("the batch has 0 targets"));
}

#[test]
fn networks_that_are_no_language_models_are_refused_with_the_fix() {
    let error = |text: &str| {
        let unfit = model_of(text).unwrap_err();
        assert!(unfit.fix().contains("head: linear(V, bias = false)"));
        (unfit.to_string(), unfit.offset().is_some())
    };
    let (what, at_output) = error("net a { input 6 of 7; embedding(8); linear(5) }");
    assert!(
        what.starts_with("network `a` gives logits of 5 tokens for a vocabulary of 7, but only "),
        "{what}"
    );
    assert!(at_output);
    let two = "net a { input 6 of 7; embedding(8); keep e; linear(7); output y; from e; linear(2); output gates }";
    let (what, _) = error(two);
    assert!(
        what.contains(
            "gives a sequence of 6 tokens of 2 features as a further output, not the gate and 7 logits of each visit"
        ),
        "{what}"
    );
    let (what, _) = error("net a { input 6 of 7; embedding(8); token(0); unflatten(1, 2, 4) }");
    assert!(what.starts_with("network `a` gives 1x2x4"), "{what}");
    let (what, at_output) = error("net a { input 6 x 7; linear(7) }");
    assert!(
        what.starts_with("network `a` takes a sequence of 6 tokens of 7 features, but only ") && !at_output,
        "{what}"
    );
}

/// All tokens leave after their first visit, or none does before its last.
const LEAVING: &str = "
net leaving(leave) {
    input 6 of 256
    embedding(8)
    position_embedding
    body: repeat up to 3 {
        residual { layer_norm; attention(2, causal = true, bias = false) }
        keep state
        slice(0, 1); scale(0); shift(leave); token(5)
        exit left
        from state
    }
    head: linear(256, bias = false)
}";

#[test]
fn by_token_each_leaves_at_its_own_exit() {
    let bytes: Vec<u8> = (0..400u32).map(|i| (i * i % 251) as u8).collect();
    let text = Text::of(&bytes, Vocabulary::Chosen(&Choice::Bytes)).unwrap();
    for (leave, visits) in [(1.0, 1), (-1.0, 3)] {
        let spec = Spec::parse("leaving.ksn", LEAVING).set("leave", leave);
        let of = LanguageModel::of(spec.compile_one().unwrap().0, &[]).unwrap();
        let mut model = with_waves(&of);
        let (by_token, iterations) = of.evaluate_by_token(&model, &text).unwrap();
        assert_eq!(iterations, f64::from(visits));
        model.graph_mut().set_exits(false);
        model.graph_mut().set_steps("body", visits as usize).unwrap();
        let expected = of.evaluate(&model, &text).unwrap();
        assert_eq!(by_token.images, expected.images);
        assert!(
            (by_token.loss - expected.loss).abs() < 1e-6,
            "{} is not {}",
            by_token.loss,
            expected.loss
        );
    }
    let later = LEAVING.replace("causal = true", "causal = false");
    let spec = Spec::parse("leaving.ksn", &later).set("leave", 1.0);
    let of = LanguageModel::of(spec.compile_one().unwrap().0, &[]).unwrap();
    let error = of.evaluate_by_token(&with_waves(&of), &text).unwrap_err().to_string();
    assert!(
        error.starts_with("network `leaving` cannot run token by token: `body.attention"),
        "{error}"
    );
}
