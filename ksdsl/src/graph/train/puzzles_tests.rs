//! Solvers of puzzles in training.

use super::{Puzzles, Solver, is_solved};
use crate::graph::train::language::tests::up_to;
use crate::graph::train::{Model, Objective as _, Unfit};
use crate::spec::Spec;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::puzzle::Sudoku;
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::trainer::{End, Outcome};
use std::collections::BTreeMap;
use std::path::Path;

/// A recursive network with two carried states, small.
const TINY: &str = "
net tiny {
    input 16 of 5
    embedding(8)
    keep question
    scale(0)
    keep latent
    keep answer
    supervision: repeat up to 5, gradients = 1 {
        from latent
        thinking: repeat up to 2 { add(answer, question); think: linear(8); gelu }
        set latent
        add(answer); improve: linear(8); gelu
        set answer
        token(0); halt: linear(1)
        exit done
        from answer
    }
    head: linear(5)
    output digits
    from done
    output halted
    share supervision.**.think, supervision.**.improve as core
}";

fn solver_of(text: &str) -> Result<Solver, Unfit> {
    let (network, _) = Spec::parse("tiny.ksn", text).compile_one().unwrap();
    assert!(Solver::is_meant(&network) || network.outputs.len() == 1);
    Solver::of(network, &[])
}

fn four() -> Sudoku {
    Sudoku::of_size(4).unwrap()
}

fn objective(solver: &Solver) -> Puzzles<'_> {
    Puzzles {
        solver,
        validation: None,
    }
}

fn wave(count: usize, k: f32) -> Vec<f32> {
    (0..count).map(|i| 2.0 * (1.3 * i as f32 + k).sin()).collect()
}

/// Two puzzles, the second solved, by the definitions in double precision: cells by `-log(softmax)`, the exit by
/// `-log(sigmoid)` of right and `-log(1 - sigmoid)` of wrong answers. The gradients are the slopes.
#[test]
fn the_loss_is_that_of_cells_and_exit() {
    let solver = solver_of(TINY).unwrap();
    let objective = objective(&solver);
    let targets: Vec<u32> = (0..32).map(|cell| 1 + cell * cell % 4).collect();
    let mut logits = wave(2 * 16 * 5, 0.4);
    for (row, &target) in logits.chunks_exact_mut(5).zip(&targets).skip(16) {
        row[target as usize] = 3.0;
    }
    let outputs = [logits, vec![0.3, -1.2]];
    let defined = |outputs: &[Vec<f64>]| {
        let cells = outputs[0].chunks_exact(5).zip(&targets).map(|(row, &target)| {
            let total: f64 = row.iter().map(|x| x.exp()).sum();
            -(row[target as usize].exp() / total).ln()
        });
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let exits = -(1.0 - sigmoid(outputs[1][0])).ln() - sigmoid(outputs[1][1]).ln();
        cells.sum::<f64>() / 32.0 + exits / 2.0
    };
    let exact: Vec<Vec<f64>> = outputs
        .iter()
        .map(|output| output.iter().map(|&x| x.into()).collect())
        .collect();
    let (loss, gradients) = objective.loss(&outputs, &targets);
    assert!((f64::from(loss) - defined(&exact)).abs() < 1e-6);
    for (output, place) in [(0, 0), (0, 7), (0, 83), (0, 159), (1, 0), (1, 1)] {
        let at = |shift: f64| {
            let mut moved = exact.clone();
            moved[output][place] += shift;
            defined(&moved)
        };
        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
        let found = f64::from(gradients[output][place]);
        assert!((found - slope).abs() < 1e-7, "{output} {place}: {found}, {slope}");
    }
}

#[test]
fn equal_logits_are_no_answer() {
    assert!(is_solved(&[0.0, 2.0, 1.0, 0.0], &[1, 0], 2));
    assert!(!is_solved(&[0.0, 2.0, 1.0, 1.0], &[1, 0], 2));
    assert!(!is_solved(&[f32::NAN, 2.0], &[1], 2));
}

/// Of 5 iterations about a fifth of the steps each; a network without an exit runs all.
#[test]
fn every_iteration_is_supervised_equally_often() {
    let solver = solver_of(TINY).unwrap();
    let (objective, mut counts) = (objective(&solver), BTreeMap::new());
    for step in 0..5_000 {
        let (name, count) = objective.iterations(step).unwrap();
        assert_eq!(name, "supervision");
        *counts.entry(count).or_insert(0) += 1;
    }
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(counts.values().all(|count| (900..1100).contains(count)), "{counts:?}");
    let plain =
        solver_of("net a { input 16 of 5; embedding(8); body: repeat up to 3 { linear(8) }; linear(5) }").unwrap();
    let objective = super::Puzzles {
        solver: &plain,
        validation: None,
    };
    assert_eq!(objective.iterations(1), None);
}

fn train(of: &Solver, folder: &Path, last: u64) -> Outcome {
    let recipe = Recipe {
        steps: Some(9),
        steps_per_epoch: Some(4),
        batch: 6,
        accumulate: Some(2),
        ..Recipe::puzzles()
    };
    up_to(last, folder, recipe, |trainer| of.train(trainer, four()).unwrap())
}

/// Puzzles, iterations, optimiser and average are those of a run that was not interrupted, and evaluations run all iterations
/// again.
#[test]
fn runs_resume_to_the_same_bits() {
    let of = solver_of(TINY).unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [whole, parts] = folders.each_ref().map(|folder| folder.path());
    let expected = train(&of, whole, 0);
    assert_eq!((expected.end, expected.steps), (End::Finished, 9));
    for last in [1, 6] {
        assert_eq!(train(&of, parts, last).end, End::Interrupted);
    }
    assert_eq!(train(&of, parts, 0), expected);
    for name in ["model", "best"] {
        let [a, b] = [whole, parts].map(|folder| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap());
        assert!(a == b, "{name}");
    }
    let mut model = Model::new(of.network(), 5);
    model.load(&whole.join("model.safetensors")).unwrap();
    for at_once in [1, 50, 1000] {
        assert_eq!(Some(of.evaluate(&model, four(), at_once).unwrap()), expected.evaluation);
    }
}

#[test]
fn puzzles_and_networks_that_do_not_fit_are_refused_with_the_fix() {
    let solver = solver_of(TINY).unwrap();
    assert_eq!(solver.puzzles(), Some(four()));
    let error = solver.check(Sudoku::of_size(6).unwrap()).unwrap_err();
    assert!(
        error.contains("has 36 cells and 7 tokens") && error.contains("`input 36 of 7`"),
        "{error}"
    );
    let batch = TokenBatch {
        ids: vec![0.0; 36],
        targets: vec![1; 36],
        length: 36,
    };
    let refused = objective(&solver).parts(&batch, 1).err().unwrap().to_string();
    assert!(
        refused.contains("puzzles of 36 cells; the network is for 16 cells"),
        "{refused}"
    );
    let beyond = TokenBatch {
        ids: vec![0.0; 16],
        targets: vec![5; 16],
        length: 16,
    };
    let refused = objective(&solver).parts(&beyond, 1).err().unwrap().to_string();
    assert_eq!(
        refused,
        "a puzzle has the token 5; the network has 5 outputs for each cell"
    );
    let what = |text: &str| solver_of(text).unwrap_err().to_string();
    let few = what(
        "net a { input 16 of 5; embedding(8); keep e; linear(3); output digits; from e; token(0); linear(1); output h }",
    );
    assert!(
        few.contains("gives a sequence of 16 tokens of 3 features and a vector of 1,"),
        "{few}"
    );
}
