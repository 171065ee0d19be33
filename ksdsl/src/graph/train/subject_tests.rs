//! Models that begin as a network with other sharing.

use super::Subject;
use crate::graph::train::{Classes, Training};
use crate::ir::Network;
use crate::spec::Spec;
use ksdsl_cpu::CpuExec;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::optim::{AdamW, Averaging, Method, Sgd, Statistics, floats};
use ksdsl_train_core::trainer::Trainer;
use ksdsl_train_core::trainer::learner::Learner as _;
use std::collections::BTreeMap;

fn network(text: &str) -> Network {
    Spec::parse("nets.ksn", text).compile_one().unwrap().0
}

fn subject(own: &str, first: &str) -> Result<Subject, String> {
    let mut subject = Subject::new(network(own), &[]);
    subject.begin_as(network(first), &[], 1).map(|()| subject)
}

fn training(own: &str, first: &str, recipe: &Recipe) -> Training<Classes<'static>> {
    let classes = Classes {
        classes: 2,
        validation: None,
    };
    let trainer = Trainer::new(recipe.clone());
    subject(own, first)
        .unwrap()
        .training(CpuExec, &trainer, classes)
        .unwrap()
}

const RATE: f64 = 0.1;
const MOMENTUM: f64 = 0.5;
const DECAY: f64 = 0.75;

type Matrix = [[f64; 2]; 2];

/// Two linear layers, `c . B A x`, with momentum and average by their definitions: PyTorch's `v = m v + g; w = w - r v`, and
/// `a = d a + (1 - d) w` after a first copy. If they share, the gradient is the sum of both, as the multivariate chain rule
/// says.
struct ByHand {
    shared: bool,
    weights: [Matrix; 2],
    velocities: [Matrix; 2],
    averages: Option<[Matrix; 2]>,
}

fn each(f: impl Fn(usize, usize) -> f64) -> Matrix {
    [0, 1].map(|i| [0, 1].map(|j| f(i, j)))
}

impl ByHand {
    fn step(&mut self, x: [f64; 2], c: [f64; 2]) {
        let [a, b] = self.weights;
        let h = [0, 1].map(|i| a[i][0] * x[0] + a[i][1] * x[1]);
        let back = [0, 1].map(|j| b[0][j] * c[0] + b[1][j] * c[1]);
        let mut gradients = [each(|i, j| back[i] * x[j]), each(|i, j| c[i] * h[j])];
        if self.shared {
            gradients = [each(|i, j| gradients[0][i][j] + gradients[1][i][j]); 2];
        }
        for ((weight, velocity), gradient) in self.weights.iter_mut().zip(&mut self.velocities).zip(gradients) {
            *velocity = each(|i, j| MOMENTUM * velocity[i][j] + gradient[i][j]);
            *weight = each(|i, j| weight[i][j] - RATE * velocity[i][j]);
        }
        let now = self.weights;
        self.averages = Some(match self.averages {
            None => now,
            Some(old) => [0, 1].map(|at| each(|i, j| DECAY * old[at][i][j] + (1.0 - DECAY) * now[at][i][j])),
        });
    }

    /// The mean of the two, for everything.
    fn share(&mut self) {
        let mean = |of: [Matrix; 2]| [each(|i, j| (of[0][i][j] + of[1][i][j]) / 2.0); 2];
        self.weights = mean(self.weights);
        self.velocities = mean(self.velocities);
        self.averages = self.averages.map(mean);
        self.shared = true;
    }
}

/// A tensor of the state of a training.
fn tensor(training: &Training<Classes<'static>>, key: &str) -> Option<Vec<f64>> {
    let state = training.state().unwrap();
    let found = state.iter().find(|tensor| tensor.key == key)?;
    Some(floats(&found.data).into_iter().map(f64::from).collect())
}

/// The tensors of both layers, shared or not.
fn both(training: &Training<Classes<'static>>, prefix: &str) -> [Vec<f64>; 2] {
    ["a", "b"].map(|layer| {
        let own = tensor(training, &format!("{prefix}.{layer}.weight"));
        own.unwrap_or_else(|| tensor(training, &format!("{prefix}.shared.k.weight")).unwrap())
    })
}

const TWO: &str = "net two { input 2; a: linear(2, bias = false); b: linear(2, bias = false) }";
const TIED: &str = "net tied { input 2; a: linear(2, bias = false); b: linear(2, bias = false); share a, b as k }";

/// Three steps as one network, three as the other, in both directions.
#[test]
fn steps_after_the_switch_are_those_by_hand() {
    let recipe = Recipe {
        method: Sgd {
            momentum: MOMENTUM,
            nesterov: false,
            decay: 0.0,
            decoupled: 0.0,
        }
        .into(),
        average: Some(Averaging {
            decay: DECAY,
            statistics: Statistics::Averaged,
        }),
        ..Recipe::default()
    };
    for (own, first) in [(TWO, TIED), (TIED, TWO)] {
        let mut training = training(own, first, &recipe);
        let matrix = |values: &Vec<f64>| each(|i, j| values[2 * i + j]);
        let mut hand = ByHand {
            shared: first == TIED,
            weights: both(&training, "model").each_ref().map(matrix),
            velocities: [[[0.0; 2]; 2]; 2],
            averages: None,
        };
        for step in 0..6 {
            if step == 3 {
                training.end_beginning().unwrap();
                if own == TIED {
                    hand.share();
                }
                hand.shared = own == TIED;
            }
            let x = [(step as f32 * 0.7).sin(), 1.0 - 0.3 * step as f32];
            let c = [0.5 + 0.1 * step as f32, (step as f32).cos()];
            training.step_on(&[&x], (RATE, 0), |_| (0.0, vec![c.to_vec()])).unwrap();
            hand.step(x.map(f64::from), c.map(f64::from));
        }
        for (prefix, expected) in [
            ("model", hand.weights),
            ("optimiser.velocity", hand.velocities),
            ("average", hand.averages.unwrap()),
        ] {
            for (found, expected) in both(&training, prefix).iter().zip(expected) {
                let pairs = found.iter().zip(expected.as_flattened());
                let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off < 2e-6, "{prefix}: {found:?}, not {expected:?}");
            }
        }
        // Whether it shares at the end.
        assert_eq!(tensor(&training, "model.a.weight").is_none(), own == TIED);
        assert!(hand.weights[0] != hand.weights[1] || own == TIED);
    }
}

/// A convolutional network whose four blocks share as the clause says.
fn maps(clause: &str) -> String {
    format!(
        "net maps {{
            input 2 x 6 x 6
            stage s {{ repeat 4 {{ conv(2, kernel = 3, pad = 1, bias = true); batch_norm; relu }} }}
            global_avg_pool
            linear(3)
            {clause}
        }}"
    )
}

const SHARED: &str = "share blocks in s with norms as k";

fn adam() -> Recipe {
    Recipe {
        method: Method::AdamW(AdamW::default()),
        average: Some(Averaging {
            decay: 0.9,
            statistics: Statistics::Averaged,
        }),
        ..Recipe::default()
    }
}

fn images() -> Vec<f32> {
    (0..3 * 72).map(|i| (i as f32 * 0.9).sin()).collect()
}

fn some_steps(training: &mut Training<Classes<'static>>) {
    for step in 0..3 {
        let gradient = (0..9).map(|i| ((i + step) as f32).cos()).collect();
        training
            .step_on(&[&images()], (0.01, 0), |_| (0.0, vec![gradient]))
            .unwrap();
    }
}

fn state(training: &Training<Classes<'static>>) -> BTreeMap<String, Vec<u8>> {
    let state = training.state().unwrap().into_iter();
    state.map(|tensor| (tensor.key, tensor.data.to_vec())).collect()
}

/// Every tensor of the network that shares, its norms with their running statistics included, is copied to all layers that
/// it served: the logits have the same bits.
#[test]
fn untying_copies_everything_and_keeps_the_function() {
    let mut training = training(&maps(""), &maps(SHARED), &adam());
    some_steps(&mut training);
    let (before, logits) = (state(&training), training.model().infer(&images()).unwrap());
    training.end_beginning().unwrap();
    assert_eq!(training.model().infer(&images()).unwrap(), logits);
    let after = state(&training);
    // Of each block 6 tensors, 4 of them trained, with two moments, and all with an average; and those of the last layer.
    assert_eq!(
        (before.len(), after.len()),
        (6 * 2 + 4 * 2 + 8, 4 * (6 * 2 + 4 * 2) + 8)
    );
    for (key, value) in &after {
        let parts: Vec<&str> = key.split('.').collect();
        let at = parts.iter().position(|part| *part == "s");
        let source = match at {
            None => key.clone(),
            Some(at) => {
                let layer = parts[at + 2];
                format!("{}.shared.k_{layer}.{}", parts[..at].join("."), parts[at + 3])
            }
        };
        let expected = before.get(&source);
        assert_eq!(Some(value), expected, "{key} of {source}");
    }
    // They are not tied any more.
    some_steps(&mut training);
    let state = state(&training);
    assert!(state["model.s.0.conv.weight"] != state["model.s.1.conv.weight"]);
    assert!(training.end_beginning().is_ok(), "nothing is left to do");
}

/// Kernels 0 1 0 1 become 0 0 1 1: each of them the mean of both; and from one to two nothing changes.
#[test]
fn other_groups_take_the_means_of_what_their_layers_had() {
    let [one, cycle, halves] =
        ["", " into cycle(2)", " into 2 groups"].map(|mapping| maps(&format!("share s[*].conv{mapping} as k")));
    let mut changed = training(&halves, &cycle, &adam());
    some_steps(&mut changed);
    let prefixes = ["model", "average", "optimiser.first_moment", "optimiser.second_moment"];
    let pair = |training: &_, prefix: &str| {
        [0, 1].map(|kernel| tensor(training, &format!("{prefix}.shared.k.{kernel}.weight")).unwrap())
    };
    let before = prefixes.map(|prefix| pair(&changed, prefix));
    changed.end_beginning().unwrap();
    for (prefix, [a, b]) in prefixes.iter().zip(before) {
        let mean: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(a, b)| f64::from(((a + b) / 2.0) as f32))
            .collect();
        assert!(a != b && pair(&changed, prefix) == [mean.clone(), mean], "{prefix}");
    }
    let mut changed = training(&cycle, &one, &adam());
    some_steps(&mut changed);
    let logits = changed.model().infer(&images()).unwrap();
    let before = tensor(&changed, "optimiser.second_moment.shared.k.weight").unwrap();
    changed.end_beginning().unwrap();
    assert_eq!(changed.model().infer(&images()).unwrap(), logits);
    assert_eq!(pair(&changed, "optimiser.second_moment"), [before.clone(), before]);
}

#[test]
fn only_sharing_may_differ() {
    let own = maps("");
    let refused = |first: &str, expected: &str| {
        let error = subject(&own, first).unwrap_err();
        let text = format!("`maps` cannot begin as `maps`, because more than sharing differs: {expected}; `ksn diff`");
        assert!(error.starts_with(&text), "{error}, not {text}");
    };
    let shared = maps(SHARED);
    refused(
        &shared.replace("kernel = 3, pad = 1", "kernel = 1"),
        "the layer `s[0].conv`",
    );
    refused(
        &shared.replace("repeat 4", "repeat 3"),
        "the layer `s[3].conv` is where the other has `global_avg_pool`",
    );
    refused(&shared.replace("linear(3)", "linear(3); linear(3)"), "14 and 15 layers");
    let conv = "conv(2, kernel = 3, pad = 1, bias = true);";
    let skipped = "keep before; conv(2, kernel = 3, pad = 1, bias = true); from before;";
    refused(&own.replace(conv, skipped), "the connections of layers");
    let low_rank = maps("share s[*].conv with private low_rank(1) as k");
    refused(&low_rank, "only one has `s.0.conv.low_rank_a`");
    refused(
        &maps("share s[*].conv into bank(2) as k"),
        "layers transpose, slice or combine `shared.k.weight`",
    );
    let halves = maps("share s[*].conv into 2 groups with private low_rank(1) as k");
    assert!(subject(&low_rank, &halves).is_ok());
    let same = subject(&shared, &shared).unwrap_err();
    assert_eq!(same, "`maps` cannot begin as `maps`, because it shares the same");
}
