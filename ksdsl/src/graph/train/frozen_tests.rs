//! Runs that train some parameters alone, from a checkpoint.

use super::Subject;
use super::switch_tests::{folders, text, train_as, words};
use crate::graph::train::language::tests::{GATED, model_of, with_waves};
use crate::graph::train::objective::Exits;
use crate::graph::train::{Classes, LanguageModel, Model, NextToken, Training};
use crate::spec::Spec;
use ksdsl_checkpoint::File;
use ksdsl_cpu::{CpuBuf, CpuExec};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::optim::{AdamW, Averaging, Statistics};
use ksdsl_train_core::recipe::ExitTargets;
use ksdsl_train_core::source::HostBatch;
use ksdsl_train_core::text::windows;
use ksdsl_train_core::trainer::learner::Learner as _;
use ksdsl_train_core::trainer::{End, Outcome, Trainer};
use std::path::Path;

fn only(patterns: &[&str], recipe: Recipe) -> Recipe {
    let train_only = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    Recipe { train_only, ..recipe }
}

/// The gate alone, with Ouro's second loss: ten steps of `gated` as `ksn export pytorch` writes it, with the values, windows and
/// groups of `steps_are_those_of_pytorch` and `objective` of `ksdsl_train_core::loss::exit_improvement`'s tests.
///
/// ```python
/// net.requires_grad_(False); net.visits.gate.requires_grad_(True)
/// ...
/// for step in range(10):
///     starts = [step, step + 11, 3 * step + 23]
///     ...
///     loss = objective(net(x)[1].unflatten(2, (3, 8)).flatten(0, 1), y.flatten())
///     optimiser.zero_grad(); loss.backward()
///     norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.3)
///     optimiser.step()
/// print(net.visits.gate.weight.flatten()[:4].tolist(), net.visits.gate.bias.tolist())
/// ```
const OF_GATE: [(f64, f64); 10] = [
    (0.6734623, 0.6845253),
    (0.6320676, 0.5916536),
    (0.6630709, 0.6934649),
    (0.6341515, 0.642271),
    (0.5995155, 0.5790536),
    (0.6172908, 0.6274615),
    (0.6186627, 0.6805203),
    (0.5717453, 0.5478625),
    (0.5438558, 0.4846593),
    (0.5541796, 0.5551359),
];
const GATE: [f32; 4] = [0.1110241, 0.2873265, 0.0872542, -0.1872204];
const GATE_SHIFT: [f32; 1] = [-0.4547895];

#[test]
fn a_frozen_language_model_trains_its_gate_as_in_pytorch() {
    let of = model_of(GATED).unwrap();
    let tokens: Vec<u32> = (0..60).map(|i| (i * i + 3 * i / 2) % 7).collect();
    let recipe = Recipe {
        method: AdamW {
            betas: [0.9, 0.99],
            eps: 1e-8,
            decay: 0.1,
        }
        .into(),
        clip: Some(0.3),
        exit_targets: Some(ExitTargets {
            slope: 50.0,
            threshold: 0.005,
        }),
        ..only(&["visits.gate"], Recipe::nanogpt())
    };
    for accumulate in [None, Some(3)] {
        let recipe = Recipe {
            accumulate,
            ..recipe.clone()
        };
        let objective = NextToken {
            vocabulary: 7,
            exits: Some(Exits::of(&recipe)),
            lengths: false,
            drawn: None,
            validation: None,
        };
        let before = with_waves(&of);
        let mut training = Training::new(&recipe, with_waves(&of), objective).unwrap();
        for (step, (loss, norm)) in OF_GATE.into_iter().enumerate() {
            let batch = windows(&tokens, [step, step + 11, 3 * step + 23], 6);
            let stepped = training.step(&batch, 1e-2, 0).unwrap();
            let errors = [stepped.loss - loss, stepped.gradient_norm - norm];
            assert!(
                errors.iter().all(|error| error.abs() < 5e-6),
                "step {step}: {stepped:?}, {errors:?}"
            );
        }
        let values = |model: &Model, key: &str| model.graph().values(key).unwrap().unwrap();
        for (key, expected) in [("visits.gate.weight", &GATE[..]), ("visits.gate.bias", &GATE_SHIFT)] {
            let found = values(training.model(), key);
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{found:?}"
            );
        }
        let frozen = before.slots.iter().filter(|slot| !slot.key.contains(".gate."));
        assert!(frozen.clone().count() > 8);
        frozen.for_each(|slot| {
            assert_eq!(
                values(training.model(), &slot.key),
                values(&before, &slot.key),
                "{}",
                slot.key
            );
        });
    }
}

const FROZEN: &str = "
net frozen {
    input 2 x 6 x 6
    stage stem { conv(4, kernel = 3, pad = 1); batch_norm; relu }
    stage body { repeat 2 { conv(4, kernel = 3, pad = 1); batch_norm; relu } }
    global_avg_pool
    head: linear(3)
    share isomorphic conv in body as body
}";

/// Ten steps of `frozen` as `ksn export pytorch` writes it:
///
/// ```python
/// net = Frozen().train()
/// for k, (name, p) in enumerate(sorted(net.named_parameters())):
///     values = 0.4 * torch.sin(1.3 * torch.arange(p.numel(), dtype=torch.float64) + 2.1 * k)
///     p.data = values.float().reshape(p.shape)
/// net.stem.requires_grad_(False)
/// optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)
/// for step in range(10):
///     x = torch.sin(0.7 * torch.arange(5 * 72, dtype=torch.float64) + step).float().reshape(5, 2, 6, 6)
///     y = (torch.arange(5) * (step + 1)) % 3
///     loss = F.cross_entropy(net(x), y)
///     optimiser.zero_grad(); loss.backward()
///     norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.2)
///     optimiser.step()
///     print(loss.item(), norm.item())
/// norm = net.stem.batch_norm
/// print(norm.running_mean.tolist(), norm.running_var.tolist(), net.head.bias.tolist())
/// print(net.shared.body.weight.flatten()[:3].tolist())
/// ```
const OF_BODY: [(f64, f64); 10] = [
    (1.0900276, 0.1892442),
    (1.1790912, 0.3086562),
    (0.6776735, 0.693215),
    (1.0824262, 0.1630699),
    (1.1682544, 0.2916979),
    (0.6923312, 0.6965446),
    (1.0804374, 0.1542889),
    (1.1597178, 0.2798228),
    (0.7031659, 0.7004333),
    (1.0800164, 0.1516608),
];
const AFTER: [(&str, &[f32]); 4] = [
    (
        "stem.batch_norm.running_mean",
        &[0.0015686909, 0.0000248654, -0.0015767128, 0.000483586],
    ),
    (
        "stem.batch_norm.running_var",
        &[2.1405287, 2.0094106, 2.1359088, 2.0271852],
    ),
    ("head.bias", &[0.3048117, -0.1052295, -0.3504092]),
    ("shared.body.weight", &[-0.0081896, 0.3720371, 0.2422694]),
];

/// As with `requires_grad_(False)`: the norm of the gradients is that of the others, nothing decays, and running statistics go on.
#[test]
fn frozen_stages_are_those_of_pytorch() {
    let network = Spec::parse("frozen.ksn", FROZEN).compile_one().unwrap().0;
    let mut model = Model::new(&network, 0);
    let mut order: Vec<usize> = (0..model.slots.len()).filter(|at| model.slots[*at].trained).collect();
    order.sort_by(|&a, &b| model.slots[a].key.cmp(&model.slots[b].key));
    for (k, at) in order.into_iter().enumerate() {
        let wave = |i: usize| (0.4 * (1.3 * i as f64 + 2.1 * k as f64).sin()) as f32;
        let values = (0..model.slots[at].elements()).map(wave).collect();
        *model.graph.params.get_mut(model.places[at]) = CpuBuf::from_vec(values);
    }
    let recipe = Recipe {
        method: AdamW::default().into(),
        clip: Some(0.2),
        average: Some(Averaging {
            decay: 0.9,
            statistics: Statistics::Averaged,
        }),
        ..only(&["body", "head"], Recipe::default())
    };
    let classes = Classes {
        classes: 3,
        validation: None,
    };
    let before = model.graph().values("stem.conv.weight").unwrap().unwrap();
    let mut training = Training::new(&recipe, model, classes).unwrap();
    for (step, (loss, norm)) in OF_BODY.into_iter().enumerate() {
        let wave = |i: u32| (0.7 * f64::from(i) + step as f64).sin() as f32;
        let labels: Vec<usize> = (0..5).map(|image| image * (step + 1) % 3).collect();
        let target = |(label, class): (usize, usize)| f32::from(u8::from(label == class));
        let targets = labels
            .iter()
            .flat_map(|&label| (0..3).map(move |class| target((label, class))));
        let batch = HostBatch {
            images: (0..5 * 72).map(wave).collect(),
            targets: targets.collect(),
            labels: labels.clone(),
        };
        let stepped = training.step(&batch, 1e-2, 0).unwrap();
        let errors = [stepped.loss - loss, stepped.gradient_norm - norm];
        assert!(
            errors.iter().all(|error| error.abs() < 1e-5),
            "step {step}: {stepped:?}, {errors:?}"
        );
    }
    let values =
        |training: &Training<Classes<'static>>, key: &str| training.model().graph().values(key).unwrap().unwrap();
    for (key, expected) in AFTER {
        let found = values(&training, key);
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-5),
            "{key}: {found:?}"
        );
    }
    assert_eq!(values(&training, "stem.conv.weight"), before);
    // The average of equal values is that value to the bit; that of running statistics moves.
    let of_model = values(&training, "stem.batch_norm.running_var");
    assert!(training.swap_average().unwrap());
    assert_eq!(values(&training, "stem.conv.weight"), before);
    assert_ne!(values(&training, "stem.batch_norm.running_var"), of_model);
}

fn train(of: &LanguageModel, folder: &Path, train_only: &[&str], at: (u64, u32)) -> Result<Outcome, String> {
    train_as(of, folder, only(train_only, Recipe::nanogpt()), at)
}

fn file(folder: &Path, name: &str) -> File {
    File::read(&folder.join(format!("{name}.safetensors"))).unwrap()
}

/// From a checkpoint, as a network with other sharing first, some parameters frozen, interrupted everywhere: the bits of the run
/// that was not, and of the checkpoint where it is frozen. Resumed, it needs the checkpoint no more.
#[test]
fn runs_resume_to_the_same_bits() {
    for (begins_shared, epochs) in [(true, 1), (false, 1), (true, 0)] {
        let [whole, parts] = folders();
        let [whole, parts] = [whole.path(), parts.path()];
        let mut of = words(begins_shared, epochs);
        let mut resumed = of.clone();
        // The run may begin as the other network.
        let first = words(if epochs > 0 { !begins_shared } else { begins_shared }, 0);
        let checkpoint = whole.join("start");
        Model::new(first.network(), 3).save(&checkpoint).unwrap();
        of.subject_mut().start_from(&checkpoint, &["head".to_owned()]).unwrap();
        resumed.subject_mut().has_started_from(of.facts().weights.clone());
        let patterns = ["h[*].up", "h[*].layer_norm.bias", "head"];
        let expected = train(&of, whole, &patterns, (0, 0)).unwrap();
        assert_eq!((expected.end, expected.steps), (End::Finished, 11));
        train(&of, parts, &patterns, (1, 0)).unwrap();
        for at in [(2, 0), (4, 0), (0, 1), (7, 0), (0, 0)] {
            let outcome = train(&resumed, parts, &patterns, at).unwrap();
            assert!(at != (0, 0) || outcome == expected, "{outcome:?}");
        }
        let start = File::read(&checkpoint).unwrap();
        for name in ["model", "averaged", "best"] {
            let [a, b] =
                [whole, parts].map(|folder| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap());
            assert!(a == b, "{name}");
            let saved = file(whole, name);
            let key = "embedding.weight";
            assert!(saved.get(key) == start.get(key), "{name}");
            assert!(saved.get("head.weight") != start.get("head.weight"), "{name}");
        }
        let last = file(whole, "last");
        let states: Vec<&str> = last.keys().filter(|key| key.starts_with("optimiser.")).collect();
        let of_state = |key: &str| ["up", "layer_norm.bias", "head"].iter().any(|name| key.contains(name));
        assert!(
            states.len() >= 8 && states.iter().all(|key| of_state(key)),
            "{states:?}"
        );
        // Other patterns, and another checkpoint, are another run.
        let error = train(&of, whole, &["head"], (0, 0)).unwrap_err();
        assert!(error.contains("`recipe.train_only` was "), "{error}");
        resumed.subject_mut().has_started_from(None);
        let error = train(&resumed, whole, &patterns, (0, 0)).unwrap_err();
        assert!(
            error.contains("`weights.sha256` was ") && !error.contains("`weights.file`"),
            "{error}"
        );
    }
}

#[test]
fn training_all_parameters_by_name_is_training_all() {
    let [all, named] = folders();
    let of = words(true, 0);
    train(&of, all.path(), &[], (0, 0)).unwrap();
    train(&of, named.path(), &["**"], (0, 0)).unwrap();
    for name in ["model", "averaged"] {
        let [a, b] =
            [&all, &named].map(|folder| std::fs::read(folder.path().join(format!("{name}.safetensors"))).unwrap());
        assert!(a == b, "{name}");
    }
}

#[test]
fn patterns_that_select_no_parameter_are_refused() {
    let network = Spec::parse("frozen.ksn", FROZEN).compile_one().unwrap().0;
    let subject = Subject::new(network, &[]);
    let trained = |patterns: &[&str]| {
        subject
            .trained(&only(patterns, Recipe::default()))
            .map_err(|error| error.to_string())
    };
    assert_eq!(trained(&[]).unwrap(), None);
    // 3 x 4 + 3.
    assert_eq!(trained(&["head"]).unwrap(), Some(15));
    // One kernel of 4 x 4 x 9, two norms of 4 + 4.
    assert_eq!(trained(&["body"]).unwrap(), Some(144 + 16));
    assert_eq!(trained(&["**.bias"]).unwrap(), Some(3 + 3 * 4));
    let error = trained(&["haed"]).unwrap_err();
    assert!(
        error.starts_with("train-only: `haed`: it matches no tensor; did you mean `head`?"),
        "{error}"
    );
    let error = trained(&["**.running_mean"]).unwrap_err();
    assert!(
        error.contains("`**.running_mean` selects running statistics alone, no parameter"),
        "{error}"
    );
    let error = trained(&["body[0]"]).unwrap_err();
    assert!(
        error.contains("also select `body[1].conv.weight`, or leave it out"),
        "{error}"
    );
    let model = Model::new(&subject.network, 0);
    let recipe = only(&["nothing"], Recipe::default());
    let error = Training::new(&recipe, model, ()).err().unwrap().to_string();
    assert!(error.contains("`nothing`"), "{error}");
    let classes = Classes {
        classes: 3,
        validation: None,
    };
    assert!(subject.training(CpuExec, &Trainer::new(recipe), classes).is_err());
}

#[test]
fn gates_that_do_not_exist_learn_nothing() {
    let recipe = Recipe {
        exit_targets: Some(ExitTargets {
            slope: 50.0,
            threshold: 0.005,
        }),
        ..Recipe::nanogpt()
    };
    let error = words(true, 0).train(Trainer::new(recipe), &text()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid recipe: `exit_targets` must be null for a network whose tokens cannot leave a loop"
    );
}
