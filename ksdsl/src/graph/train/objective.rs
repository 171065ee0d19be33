//! What a model learns from its batches, and how it is judged.

use super::{Loss, Model};
use ksdsl_cpu::in_parallel;
use ksdsl_engine::Exec;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::iterations::Iterations;
use ksdsl_train_core::loss::{
    IGNORED, Positions, counted, cross_entropy, exit_cross_entropy, exit_improvement, token_cross_entropy,
};
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::recipe::ExitTargets;
use ksdsl_train_core::source::{HostBatch, TokenBatch};
use ksdsl_train_core::task::{TaskError, ValidationSet};
use ksdsl_train_core::text::HeldOut;

/// What a network with one input learns.
pub trait Objective {
    /// A batch.
    type Batch;

    /// A batch in at most so many parts of consecutive items: a step's loss and gradients are those of all together.
    ///
    /// # Errors
    /// If the batch does not fit the network.
    fn parts<'b>(&'b self, batch: &'b Self::Batch, most: usize) -> Result<Vec<Part<'b>>, TaskError>;

    /// The name of a loop and how often it runs in the training step of this seed, if not as often as it can.
    fn iterations(&self, _step: u64) -> Option<(&str, usize)> {
        None
    }

    /// Judges a model.
    ///
    /// # Errors
    /// If the validation data does not fit, or the device fails.
    fn evaluate<X: Exec<f32>>(&self, model: &Model<X>) -> Result<Option<Evaluation>, TaskError>;

    /// What determines the evaluation.
    fn validation(&self) -> String;
}

/// The mean loss over the items of a part, and its gradients with respect to the outputs.
type PartLoss<'b> = Box<dyn Fn(&[Vec<f32>]) -> Loss + 'b>;

/// A loss of the first output.
fn of_first(outputs: &[Vec<f32>], loss: impl FnOnce(&[f32]) -> (f32, Vec<f32>)) -> Loss {
    let (loss, gradient) = loss(&outputs[0]);
    (loss, vec![gradient])
}

/// A part of a batch.
pub struct Part<'b> {
    /// The input.
    pub(super) input: &'b [f32],
    /// The second input, if there is one.
    pub(super) second: Option<Vec<f32>>,
    pub(super) loss: PartLoss<'b>,
    /// Its share of the batch.
    pub(super) share: f32,
}

/// The bounds of at most `most` parts of `count` items, all but the last of one size.
pub(super) fn bounds(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let size = count.div_ceil(most.max(1)).max(1);
    (0..count).step_by(size).map(move |from| (from, count.min(from + size)))
}

/// The share of a part: exactly 1 if it is the whole.
pub(super) fn share(part: usize, count: usize) -> f32 {
    (part as f64 / count as f64) as f32
}

/// Classes of images.
pub struct Classes<'d> {
    pub(super) classes: usize,
    pub(super) validation: Option<ValidationSet<'d>>,
}

impl Objective for Classes<'_> {
    type Batch = HostBatch;

    fn parts<'b>(&'b self, batch: &'b HostBatch, most: usize) -> Result<Vec<Part<'b>>, TaskError> {
        let (count, classes) = (batch.len(), self.classes);
        let found = batch.targets.len();
        if found != count * classes || count == 0 || !batch.images.len().is_multiple_of(count) {
            return Err(TaskError::Batch(format!(
                "the batch has {found} targets for {count} images; the network has {classes} outputs for each"
            )));
        }
        let image = batch.images.len() / count;
        let part = |(from, to): (usize, usize)| {
            let targets = &batch.targets[from * classes..to * classes];
            Part {
                input: &batch.images[from * image..to * image],
                second: None,
                loss: Box::new(move |outputs| of_first(outputs, |logits| cross_entropy(logits, targets, classes))),
                share: share(to - from, count),
            }
        };
        Ok(bounds(count, most).map(part).collect())
    }

    fn evaluate<X: Exec<f32>>(&self, model: &Model<X>) -> Result<Option<Evaluation>, TaskError> {
        let evaluate = |set: &ValidationSet<'_>| set.evaluate(|batch| model.infer(&batch.images));
        self.validation.as_ref().map(evaluate).transpose()
    }

    fn validation(&self) -> String {
        ValidationSet::describe(self.validation.as_ref())
    }
}

/// What a language model learns whose tokens can leave a loop after any visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exits {
    /// All of it, with this weight of the entropy of the visit.
    All(f64),
    /// The gates: whether to stay.
    Gates(ExitTargets),
}

impl Exits {
    pub(super) fn of(recipe: &Recipe) -> Self {
        match recipe.exit_targets {
            None => Self::All(recipe.exit_entropy),
            Some(targets) => Self::Gates(targets),
        }
    }

    fn loss(self, exits: &[f32], targets: &[u32], vocabulary: usize) -> (f32, Vec<f32>) {
        match self {
            Self::All(entropy) => exit_cross_entropy(exits, targets, vocabulary, entropy, positions),
            Self::Gates(of) => exit_improvement(exits, targets, vocabulary, of, positions),
        }
    }
}

fn positions(parts: &mut [Positions<'_>]) {
    in_parallel(parts, Positions::compute);
}

/// The next token at each position of a window.
pub struct NextToken<'t> {
    pub(super) vocabulary: usize,
    /// Where tokens can leave after any visit. The second output then has the gates and the logits of all visits.
    pub(super) exits: Option<Exits>,
    /// Whether the network takes the lengths of sequences.
    pub(super) lengths: bool,
    /// The loop whose iterations are drawn, and the most of them.
    pub(super) drawn: Option<(Iterations, String, usize)>,
    pub(super) validation: Option<HeldOut<'t>>,
}

impl Objective for NextToken<'_> {
    type Batch = TokenBatch;

    fn parts<'b>(&'b self, batch: &'b TokenBatch, most: usize) -> Result<Vec<Part<'b>>, TaskError> {
        let (count, length, vocabulary) = (batch.sequences(), batch.length, self.vocabulary);
        if batch.ids.len() != batch.targets.len() || batch.targets.len() != count * length || count == 0 {
            let (ids, targets) = (batch.ids.len(), batch.targets.len());
            return Err(TaskError::Batch(format!(
                "the batch has {targets} targets for {ids} tokens in windows of {length}"
            )));
        }
        let mut targets = batch.targets.iter().filter(|&&target| target != IGNORED);
        if let Some(target) = targets.find(|&&target| target as usize >= vocabulary) {
            return Err(TaskError::Batch(format!(
                "the batch has the token {target}; the network has {vocabulary} outputs for each position"
            )));
        }
        let all = counted(&batch.targets);
        let lengths = self.lengths.then(|| batch.lengths());
        let part = |(from, to): (usize, usize)| {
            let targets = &batch.targets[from * length..to * length];
            Part {
                input: &batch.ids[from * length..to * length],
                second: lengths.as_ref().map(|lengths| lengths[from..to].to_vec()),
                loss: Box::new(move |outputs| match self.exits {
                    None => of_first(outputs, |logits| {
                        token_cross_entropy(logits, targets, vocabulary, positions)
                    }),
                    Some(exits) => {
                        let (loss, gradient) = exits.loss(&outputs[1], targets, vocabulary);
                        (loss, vec![vec![0.0; outputs[0].len()], gradient])
                    }
                }),
                share: share(counted(targets), all),
            }
        };
        Ok(bounds(count, most).map(part).collect())
    }

    fn iterations(&self, step: u64) -> Option<(&str, usize)> {
        let (of, name, most) = self.drawn.as_ref()?;
        Some((name, of.draw(step, *most)))
    }

    fn evaluate<X: Exec<f32>>(&self, model: &Model<X>) -> Result<Option<Evaluation>, TaskError> {
        let evaluate = |text: &HeldOut<'_>| text.evaluate(|batch| model.infer_tokens(batch, self.lengths));
        self.validation.as_ref().map(evaluate).transpose()
    }

    fn validation(&self) -> String {
        self.validation
            .as_ref()
            .map_or_else(|| "none".to_owned(), HeldOut::describe)
    }
}
