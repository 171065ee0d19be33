//! Networks that predict the next token of a text, which the trainer takes.

use super::classifier::unfit;
use super::objective::{Exits, NextToken};
use super::subject::Subject;
use super::{Model, Unfit, failed};
use crate::graph::walk::size;
use crate::ir::{Network, Port, Shape, in_words};
use crate::value::Value;
use ksdsl_cpu::CpuExec;
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;
use ksdsl_train_core::iterations::Iterations;
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::recipe::{Augment, InvalidRecipe, Recipe};
use ksdsl_train_core::run::Facts;
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::task::TaskError;
use ksdsl_train_core::text::{HeldOut, Text, TextError, Windows};
use ksdsl_train_core::trainer::{Outcome, TrainError, Trainer};
use std::fmt;

/// A network with one input `T of V` and one output of logits for the token after each position.
///
/// It may have a second input, `lengths`, with the number of tokens of each sequence: those of a document that does not fill its
/// window.
///
/// It may have a second output for the visits of a loop that tokens can leave: for each position and visit the logit of the gate,
/// and then the logits of the token, `n (1 + V)` features for n visits. It then learns from all of them, as Ouro does.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    subject: Subject,
    length: usize,
    vocabulary: usize,
    outputs: usize,
    /// Whether it has gates.
    exits: bool,
    /// Whether it takes the lengths of sequences.
    lengths: bool,
}

/// Why a language model does not train on a text.
#[derive(Debug)]
pub enum LanguageError {
    /// The text does not fit.
    Text(TextError),
    /// Training failed.
    Train(TrainError),
    /// The network does not run token by token.
    ByToken(String),
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => error.fmt(f),
            Self::Train(error) => error.fmt(f),
            Self::ByToken(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LanguageError {}

impl From<TextError> for LanguageError {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}

const LOGITS: &str = "end the network with a value for each token of the vocabulary at each position, such as \
                      `head: linear(V, bias = false)`; a second output may have the gate and the logits of each visit of a \
                      loop that tokens leave: 1 + V values for each; a second input, `input lengths: 1`, takes the number of tokens \
                      of each sequence";

/// The input of token ids, and whether there is one of lengths after it.
fn inputs(network: &Network) -> Option<(&Port, bool)> {
    match network.inputs.as_slice() {
        [ids] => Some((ids, false)),
        [ids, lengths] if lengths.name.as_deref() == Some("lengths") && lengths.shape == Shape::Flat(1) => {
            Some((ids, true))
        }
        _ => None,
    }
}

impl LanguageModel {
    /// Whether a network is meant as one: it takes one sequence of token ids, and gives no vector.
    pub fn is_meant(network: &Network) -> bool {
        let (Some((input, _)), [output, exits @ ..]) = (inputs(network), network.outputs.as_slice()) else {
            return false;
        };
        let is_sequence = |port: &Port| matches!(port.shape, Shape::Tokens { .. });
        let fits = exits.is_empty() || exits.len() == 1 && exits.iter().chain([output]).all(is_sequence);
        fits && matches!(input.shape, Shape::Ids { .. }) && !matches!(output.shape, Shape::Flat(_))
    }

    /// A network without errors, with the values of parameters that its specification does not say.
    ///
    /// # Errors
    /// If it has several inputs other than `lengths`, takes no token ids, gives no logits for each position, or has other outputs
    /// than these and those of the visits of a loop.
    pub fn of(network: Network, settings: &[(String, Value)]) -> Result<Self, Unfit> {
        let (Some((input, lengths)), [output, exits @ ..]) = (inputs(&network), network.outputs.as_slice()) else {
            return Err(unfit(&network, "has several inputs".to_owned(), LOGITS, None));
        };
        let Shape::Ids { length, vocabulary } = input.shape else {
            return Err(unfit(
                &network,
                format!("takes {}", in_words(input.shape)),
                LOGITS,
                None,
            ));
        };
        let last = network.layers.last().map(|layer| layer.span.start as usize);
        let gives = |what: String| Err(unfit(&network, format!("gives {what}"), LOGITS, last));
        let outputs = match output.shape {
            Shape::Tokens {
                length: given,
                features,
            } if given == length && features >= vocabulary => size(features),
            Shape::Tokens {
                length: given,
                features,
            } if given == length => {
                return gives(format!("logits of {features} tokens for a vocabulary of {vocabulary}"));
            }
            other => return gives(in_words(other)),
        };
        let is_of_visits = |port: &Port| {
            matches!(port.shape, Shape::Tokens { length: given, features }
                if given == length && features > 0 && size(features).is_multiple_of(1 + outputs))
        };
        if let Some(other) = exits
            .iter()
            .enumerate()
            .find(|(at, port)| *at > 0 || !is_of_visits(port))
        {
            let what = in_words(other.1.shape);
            return gives(format!(
                "{what} as a further output, not the gate and {outputs} logits of each visit"
            ));
        }
        let exits = !exits.is_empty();
        Ok(Self {
            exits,
            lengths,
            length: size(length),
            vocabulary: size(vocabulary),
            outputs,
            subject: Subject::new(network, settings),
        })
    }

    /// The positions of a window.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The logits of each position, at least as many as tokens.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether its tokens can leave a loop after any visit.
    pub fn has_exits(&self) -> bool {
        self.exits
    }

    /// Whether it takes the lengths of sequences.
    pub fn has_lengths(&self) -> bool {
        self.lengths
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

    /// Trains it on the CPU on windows of a text, from the initial values of the recipe's seed; a trainer with a folder saves
    /// the model.
    ///
    /// # Errors
    /// If the text is shorter than a window, or those of the trainer.
    pub fn train(&self, trainer: Trainer<'_>, text: &Text) -> Result<Outcome, LanguageError> {
        self.train_on(CpuExec, trainer, text)
    }

    /// As [`LanguageModel::train`], on an executor.
    ///
    /// # Errors
    /// If the text is shorter than a window, or those of the trainer.
    pub fn train_on<X: Updates<f32>>(
        &self,
        exec: X,
        trainer: Trainer<'_>,
        text: &Text,
    ) -> Result<Outcome, LanguageError> {
        if trainer.recipe().augment != Augment::default() {
            let (name, expected) = ("augment", "without augmentation for text");
            return Err(LanguageError::Train(TrainError::Recipe(InvalidRecipe {
                name,
                expected,
            })));
        }
        if trainer.recipe().exit_targets.is_some() && !self.exits {
            let (name, expected) = ("exit_targets", "null for a network whose tokens cannot leave a loop");
            return Err(LanguageError::Train(TrainError::Recipe(InvalidRecipe {
                name,
                expected,
            })));
        }
        let mut source = Windows::of(trainer.recipe(), text, self.length)?;
        let objective = NextToken {
            vocabulary: self.outputs,
            exits: self.exits.then(|| Exits::of(trainer.recipe())),
            lengths: self.lengths,
            drawn: self.drawn(trainer.recipe())?,
            validation: Some(self.held_out(text)?),
        };
        let training = self.subject.training(exec, &trainer, objective);
        let mut training = training.map_err(LanguageError::Train)?;
        let outcome = trainer.train::<TokenBatch>(self.subject.facts.clone(), &mut training, &mut source);
        outcome.map_err(LanguageError::Train)
    }

    /// The loop whose iterations a recipe draws.
    fn drawn(&self, recipe: &Recipe) -> Result<Option<(Iterations, String, usize)>, LanguageError> {
        let Some(of) = recipe.iterations else {
            return Ok(None);
        };
        let [count] = self.network().loops.as_slice() else {
            let (name, expected) = ("iterations", "null for a network without exactly one `repeat up to`");
            return Err(LanguageError::Train(TrainError::Recipe(InvalidRecipe {
                name,
                expected,
            })));
        };
        Ok(Some((of, count.name.clone(), size(count.most))))
    }

    /// Evaluates a model of it on the validation text.
    ///
    /// # Errors
    /// If the text is shorter than a window, or the device fails.
    pub fn evaluate<X: Exec<f32>>(&self, model: &Model<X>, text: &Text) -> Result<Evaluation, LanguageError> {
        let failed = |error: TaskError| match error {
            TaskError::Batch(what) => TrainError::Validation(what),
            error => TrainError::Device(error.to_string()),
        };
        let evaluation = self
            .held_out(text)?
            .evaluate(|batch| model.infer_tokens(batch, self.lengths));
        evaluation.map_err(|error| LanguageError::Train(failed(error)))
    }

    /// As [`LanguageModel::evaluate`], with each window token by token, as generation does: each token leaves loops at its own
    /// exit. Also the mean number of iterations that loops ran for a token.
    ///
    /// # Errors
    /// As [`LanguageModel::evaluate`]; if the network cannot run token by token.
    pub fn evaluate_by_token<X: Exec<f32>>(
        &self,
        model: &Model<X>,
        text: &Text,
    ) -> Result<(Evaluation, f64), LanguageError> {
        let decoder = model.graph().decoder();
        let mut decoder = decoder.map_err(|error| LanguageError::ByToken(error.to_string()))?;
        let (mut iterations, mut tokens) = (0, 0);
        let mut next = |id: f32, first: bool| {
            if first {
                decoder.truncate(0);
            }
            let logits = decoder.step(id as usize);
            iterations += decoder.iterations();
            tokens += 1;
            logits.map_err(failed)
        };
        let evaluation = self.held_out(text)?.evaluate(|batch| {
            let mut logits = Vec::new();
            for (at, id) in batch.ids.iter().enumerate() {
                logits.extend(next(*id, at.is_multiple_of(self.length))?);
            }
            Ok(logits)
        });
        let evaluation = evaluation.map_err(|error| LanguageError::ByToken(error.to_string()))?;
        Ok((evaluation, iterations as f64 / f64::from(tokens.max(1))))
    }

    fn held_out<'t>(&self, text: &'t Text) -> Result<HeldOut<'t>, TextError> {
        HeldOut::new(text, self.length, self.outputs)
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "lengths_tests.rs"]
mod lengths_tests;
