//! Language models in training.

use crate::graph::train::{LanguageModel, Model, NextToken, Objective as _, Training, Unfit};
use crate::spec::Spec;
use ksdsl_cpu::{CpuBuf, with_threads};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::interrupt::Stop;
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

fn model_of(text: &str) -> Result<LanguageModel, Unfit> {
    let (network, _) = Spec::parse("tiny.ksn", text).compile_one().unwrap();
    LanguageModel::of(network, &[])
}

/// Value `i` of the `k`-th tensor by name is 0.4 sin(1.3 i + 2.1 k).
fn with_waves(of: &LanguageModel) -> Model {
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
            validation: None,
        };
        let mut training = Training::new(&recipe, with_waves(&of), objective);
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

/// So many logits that the threads share the positions: the bits are those of one position after the other.
#[test]
fn the_loss_does_not_depend_on_threads() {
    let vocabulary = 5_000;
    let tokens: Vec<u32> = (0..60).map(|i| i * 83 % 5_000).collect();
    let batch = windows(&tokens, [0, 11, 29], 8);
    let logits: Vec<f32> = (0..3 * 8 * 5_000).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
    let objective = NextToken {
        vocabulary,
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

#[test]
fn batches_that_do_not_fit_are_refused() {
    let of = model_of(TINY).unwrap();
    let objective = NextToken {
        vocabulary: 7,
        validation: None,
    };
    let mut training = Training::new(&Recipe::nanogpt(), with_waves(&of), objective);
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
    let (what, _) = error("net a { input 6 of 7; embedding(8); token(0); unflatten(1, 2, 4) }");
    assert!(what.starts_with("network `a` gives 1x2x4"), "{what}");
    let (what, at_output) = error("net a { input 6 x 7; linear(7) }");
    assert!(
        what.starts_with("network `a` takes a sequence of 6 tokens of 7 features, but only ") && !at_output,
        "{what}"
    );
}
