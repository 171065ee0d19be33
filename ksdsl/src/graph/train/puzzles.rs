//! Networks that solve puzzles, which the trainer takes.

use super::classifier::unfit;
use super::objective::{Objective, Part, bounds, share};
use super::subject::Subject;
use super::{LanguageModel, Model, Unfit};
use crate::graph::walk::size;
use crate::ir::{Network, Node, Port, Shape, in_words};
use crate::value::Value;
use ksdsl_cpu::{CpuExec, in_parallel};
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;
use ksdsl_train_core::loss::{Positions, binary_cross_entropy, token_cross_entropy};
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::puzzle::{Generated, HeldOut, Sudoku};
use ksdsl_train_core::random::{Purpose, seed};
use ksdsl_train_core::recipe::{Augment, InvalidRecipe};
use ksdsl_train_core::run::Facts;
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::task::TaskError;
use ksdsl_train_core::trainer::{Outcome, TrainError, Trainer};

/// A network with one input `T of V` for the T cells of a puzzle, and an output of logits for each cell. It may have a second
/// output of one value per puzzle, the logit that the puzzle is solved.
///
/// Where a loop of it has an exit, each training step draws how often the loop runs, evenly from once to the most: the loss
/// follows any iteration, and with `gradients = 1` only the last one learns from it. That is deep supervision (Wang et al. 2025,
/// arXiv 2506.21734) at iterations that are drawn; the authors train at each in turn.
#[derive(Clone, Debug)]
pub struct Solver {
    subject: Subject,
    cells: usize,
    vocabulary: usize,
    tokens: usize,
    /// The loop with an exit, and the most of its iterations.
    supervised: Option<(String, usize)>,
}

const ANSWERS: &str = "end the network with a value for each token of the vocabulary at each cell, such as \
                       `head: linear(V, bias = false)`; a second output may have one value, the logit that the puzzle is solved";

impl Solver {
    /// Whether a network is meant as one: of token ids it makes tokens and one value.
    pub fn is_meant(network: &Network) -> bool {
        let ([input], [_, halted]) = (network.inputs.as_slice(), network.outputs.as_slice()) else {
            return false;
        };
        matches!((input.shape, halted.shape), (Shape::Ids { .. }, Shape::Flat(1)))
    }

    /// A network without errors, with the values of parameters that its specification does not say.
    ///
    /// # Errors
    /// If it takes no token ids, or gives no logits for each cell.
    pub fn of(network: Network, settings: &[(String, Value)]) -> Result<Self, Unfit> {
        let wrong = |what: String| Err(unfit(&network, what, ANSWERS, None));
        let [Port { shape, .. }] = network.inputs.as_slice() else {
            return wrong("has several inputs".to_owned());
        };
        let Shape::Ids { length, vocabulary } = *shape else {
            return wrong(format!("takes {}", in_words(*shape)));
        };
        let outputs: Vec<Shape> = network.outputs.iter().map(|output| output.shape).collect();
        let tokens = match outputs.as_slice() {
            [
                Shape::Tokens {
                    length: given,
                    features,
                },
            ]
            | [
                Shape::Tokens {
                    length: given,
                    features,
                },
                Shape::Flat(1),
            ] if *given == length && *features >= vocabulary => size(*features),
            outputs => {
                let words: Vec<String> = outputs.iter().map(|output| in_words(*output)).collect();
                return wrong(format!("gives {}", words.join(" and ")));
            }
        };
        Ok(Self {
            cells: size(length),
            vocabulary: size(vocabulary),
            tokens,
            supervised: supervised(&network),
            subject: Subject::new(network, settings),
        })
    }

    /// A network that could be a language model, too.
    pub fn of_model(model: &LanguageModel) -> Self {
        Self {
            cells: model.length(),
            vocabulary: model.vocabulary(),
            tokens: model.outputs(),
            supervised: supervised(model.network()),
            subject: model.subject().clone(),
        }
    }

    /// What its training starts as and from.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The same, to change it.
    pub fn subject_mut(&mut self) -> &mut Subject {
        &mut self.subject
    }

    /// What a run folder says of it.
    pub fn facts(&self) -> &Facts {
        &self.subject.facts
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.subject.network
    }

    /// The puzzles that have its cells, if there are any.
    pub fn puzzles(&self) -> Option<Sudoku> {
        let all = [4, 6].into_iter().filter_map(|size| Sudoku::of_size(size).ok());
        all.into_iter().find(|sudoku| sudoku.cells() == self.cells)
    }

    /// Whether it is for these puzzles.
    ///
    /// # Errors
    /// What to change if it is not.
    pub fn check(&self, puzzles: Sudoku) -> Result<(), String> {
        let (cells, tokens) = (puzzles.cells(), puzzles.size() + 1);
        if self.cells == cells && self.vocabulary >= tokens {
            return Ok(());
        }
        let size = puzzles.size();
        Err(format!(
            "a puzzle of {puzzles} has {cells} cells and {tokens} tokens (no digit, and 1 to {size}); `{}` is for {} cells and \
             {} tokens: change its input to `input {cells} of {tokens}` (often `--set size={size}`), or choose other puzzles \
             with --data",
            self.facts().label(),
            self.cells,
            self.vocabulary
        ))
    }

    /// Trains it on the CPU from the initial values of the recipe's seed; a trainer with a folder saves the model.
    ///
    /// # Errors
    /// Those of the trainer.
    pub fn train(&self, trainer: Trainer<'_>, puzzles: Sudoku) -> Result<Outcome, TrainError> {
        self.train_on(CpuExec, trainer, puzzles)
    }

    /// As [`Solver::train`], on an executor.
    ///
    /// # Errors
    /// Those of the trainer.
    pub fn train_on<X: Updates<f32>>(
        &self,
        exec: X,
        trainer: Trainer<'_>,
        puzzles: Sudoku,
    ) -> Result<Outcome, TrainError> {
        if trainer.recipe().augment != Augment::default() {
            let (name, expected) = ("augment", "without augmentation for puzzles");
            return Err(TrainError::Recipe(InvalidRecipe { name, expected }));
        }
        let mut source = Generated::of(trainer.recipe(), puzzles);
        let objective = Puzzles {
            solver: self,
            validation: Some(HeldOut::new(puzzles)),
        };
        let mut training = self.subject.training(exec, &trainer, objective)?;
        trainer.train::<TokenBatch>(self.facts().clone(), &mut training, &mut source)
    }

    /// Evaluates a model of it on the validation puzzles, `at_once` at a time.
    ///
    /// # Errors
    /// If it is for other puzzles, or the device fails.
    pub fn evaluate<X: Exec<f32>>(
        &self,
        model: &Model<X>,
        puzzles: Sudoku,
        at_once: usize,
    ) -> Result<Evaluation, TaskError> {
        self.judge(model, &HeldOut::new(puzzles), at_once)
    }

    fn judge<X: Exec<f32>>(
        &self,
        model: &Model<X>,
        puzzles: &HeldOut,
        at_once: usize,
    ) -> Result<Evaluation, TaskError> {
        puzzles.evaluate((self.tokens, at_once), |ids| {
            Ok(model.infer_all(&[ids])?.swap_remove(0))
        })
    }
}

/// The loop with an exit, and the most of its iterations.
fn supervised(network: &Network) -> Option<(String, usize)> {
    let of = &network.loops[exit(&network.nodes)?];
    Some((of.name.clone(), size(of.most)))
}

/// The count of the first loop with an exit that is in no other loop.
fn exit(nodes: &[Node]) -> Option<usize> {
    nodes.iter().find_map(|node| match node {
        Node::Loop(of) => of.exit.map(|_| of.count),
        Node::Scope(scope) => exit(&scope.nodes),
        _ => None,
    })
}

/// Puzzles at a time in the evaluations of a run.
const AT_ONCE: usize = 50;

/// The digits of puzzles, and whether they are solved.
struct Puzzles<'s> {
    solver: &'s Solver,
    validation: Option<HeldOut>,
}

impl Puzzles<'_> {
    /// The mean over puzzles of the loss of a puzzle: the mean of that of its cells, and that of the logit.
    fn loss(&self, outputs: &[Vec<f32>], targets: &[u32]) -> (f32, Vec<Vec<f32>>) {
        let Solver { tokens, cells, .. } = *self.solver;
        let parallel = |parts: &mut [Positions<'_>]| in_parallel(parts, Positions::compute);
        let (loss, gradient) = token_cross_entropy(&outputs[0], targets, tokens, parallel);
        let Some(logits) = outputs.get(1) else {
            return (loss, vec![gradient]);
        };
        let answers = outputs[0].chunks_exact(cells * tokens).zip(targets.chunks_exact(cells));
        let solved: Vec<bool> = answers
            .map(|(logits, targets)| is_solved(logits, targets, tokens))
            .collect();
        let (of_exit, of_logits) = binary_cross_entropy(logits, &solved);
        (loss + of_exit, vec![gradient, of_logits])
    }
}

/// Whether the largest logit of each cell is that of its target.
fn is_solved(logits: &[f32], targets: &[u32], tokens: usize) -> bool {
    let mut cells = logits.chunks_exact(tokens).zip(targets);
    cells.all(|(logits, &target)| {
        let own = logits[target as usize];
        let mut others = logits.iter().enumerate().filter(|(token, _)| *token != target as usize);
        others.all(|(_, logit)| *logit < own)
    })
}

impl Objective for Puzzles<'_> {
    type Batch = TokenBatch;

    fn parts<'b>(&'b self, batch: &'b TokenBatch, most: usize) -> Result<Vec<Part<'b>>, TaskError> {
        let (count, cells) = (batch.sequences(), self.solver.cells);
        if batch.length != cells
            || batch.ids.len() != count * cells
            || batch.targets.len() != count * cells
            || count == 0
        {
            let (ids, targets) = (batch.ids.len(), batch.targets.len());
            return Err(TaskError::Batch(format!(
                "the batch has {ids} tokens and {targets} targets in puzzles of {} cells; the network is for {cells} cells",
                batch.length
            )));
        }
        let tokens = self.solver.tokens;
        if let Some(target) = batch.targets.iter().find(|&&target| target as usize >= tokens) {
            return Err(TaskError::Batch(format!(
                "a puzzle has the token {target}; the network has {tokens} outputs for each cell"
            )));
        }
        let part = |(from, to): (usize, usize)| {
            let targets = &batch.targets[from * cells..to * cells];
            Part {
                input: &batch.ids[from * cells..to * cells],
                second: None,
                loss: Box::new(move |outputs| self.loss(outputs, targets)),
                share: share(to - from, count),
            }
        };
        Ok(bounds(count, most).map(part).collect())
    }

    fn iterations(&self, step: u64) -> Option<(&str, usize)> {
        let (name, most) = self.solver.supervised.as_ref()?;
        let drawn = u128::from(seed(step, Purpose::Iterations, [0, 0])) * *most as u128;
        Some((name, 1 + (drawn >> 64) as usize))
    }

    fn evaluate<X: Exec<f32>>(&self, model: &Model<X>) -> Result<Option<Evaluation>, TaskError> {
        let judge = |puzzles: &HeldOut| self.solver.judge(model, puzzles, AT_ONCE);
        self.validation.as_ref().map(judge).transpose()
    }

    fn validation(&self) -> String {
        self.validation
            .as_ref()
            .map_or_else(|| "none".to_owned(), HeldOut::describe)
    }
}

#[cfg(test)]
#[path = "puzzles_tests.rs"]
mod tests;
