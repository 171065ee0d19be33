//! Windows of a text: what a language model learns from.

use super::documents::{Span, padded, spans};
use super::{Text, TextError};
use crate::random::{Purpose, seed};
use crate::recipe::Recipe;
use crate::source::{EpochBatches, Source, TokenBatch};
use std::ops::Range;

/// The most tokens of a batch.
const MOST: usize = 1 << 30;

/// The windows of `length` tokens that start at these places, with the token after each as its target.
///
/// # Panics
/// If a window, or the token after it, is beyond the end.
pub fn windows(tokens: &[u32], starts: impl IntoIterator<Item = usize>, length: usize) -> TokenBatch {
    let mut batch = TokenBatch {
        length,
        ..TokenBatch::default()
    };
    for start in starts {
        let ids = tokens[start..start + length].iter();
        batch.ids.extend(ids.map(|&id| id as f32));
        batch.targets.extend(&tokens[start + 1..=start + length]);
    }
    batch
}

/// Windows that start anywhere in the training text, drawn independently, as nanoGPT's `get_batch` does.
///
/// The start of window `i` of step `s` (both from 0) among `n` places is the high half of the product of `n` and
/// [`random::seed`](crate::random::seed) for windows at `[s, i]`, so that another program can draw the same. If the text is of
/// documents, the places are those of their windows, of which the last of a document is padded.
#[derive(Clone, Debug)]
pub struct Windows<'t> {
    text: &'t Text,
    length: usize,
    batch: usize,
    seed: u64,
    per_epoch: u64,
    /// The windows of documents.
    spans: Option<Vec<Span>>,
}

impl<'t> Windows<'t> {
    /// Windows of `length` tokens, with the batch size, seed and epochs of a recipe.
    ///
    /// # Errors
    /// If the training text is shorter than a window and the token after it, or a batch has more than 2^30 tokens.
    pub fn of(recipe: &Recipe, text: &'t Text, length: usize) -> Result<Self, TextError> {
        let spans = match &text.documents {
            None => super::fits("training", text.training.len(), length).map(|()| None)?,
            Some(documents) => {
                super::have_targets("training", &documents.training)?;
                Some(spans(&documents.training, length))
            }
        };
        let of_batch = recipe.batch.saturating_mul(length);
        if of_batch > MOST {
            let (windows, most) = (recipe.batch, MOST);
            return Err(TextError::Batch { windows, length, most });
        }
        let per_pass = match &spans {
            None => (text.training.len() / of_batch.max(1)).max(1),
            Some(spans) => spans.len().div_ceil(recipe.batch.max(1)),
        };
        Ok(Self {
            text,
            length,
            batch: recipe.batch,
            seed: recipe.seed,
            per_epoch: recipe.steps_per_epoch.unwrap_or(per_pass as u64),
            spans,
        })
    }

    /// The windows of a step (from 0, over the whole run).
    fn drawn(&self, step: u64) -> TokenBatch {
        let tokens = &self.text.training;
        match &self.spans {
            None => windows(tokens, self.places(step, tokens.len() - self.length), self.length),
            Some(spans) => padded(tokens, self.places(step, spans.len()).map(|at| spans[at]), self.length),
        }
    }

    /// Numbers below `places` for the windows of a step.
    fn places(&self, step: u64, places: usize) -> impl Iterator<Item = usize> {
        let places = places as u128;
        let run = self.seed;
        (0..self.batch as u64).map(move |window| {
            let number = seed(run, Purpose::Windows, [step, window]);
            ((u128::from(number) * places) >> 64) as usize
        })
    }

    fn steps(&self, epoch: u32, from_step: u64) -> Range<u64> {
        let first = u64::from(epoch.saturating_sub(1)) * self.per_epoch;
        first + from_step..first + self.per_epoch
    }
}

impl Source<TokenBatch> for Windows<'_> {
    fn images(&self) -> usize {
        let positions = (self.per_epoch as usize).saturating_mul(self.batch * self.length);
        let Some(spans) = &self.spans else { return positions };
        // Those that have targets, of windows that are drawn evenly.
        let targets: usize = spans.iter().map(|span| span.targets).sum();
        (positions as u128 * targets as u128 / (spans.len() * self.length) as u128) as usize
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn steps_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_, TokenBatch> {
        let steps = self.steps(epoch, from_step);
        Box::new(steps.map(|step| Ok(self.drawn(step))))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("text", super::describe(&self.text.training)),
            ("tokens", self.text.tokens.describe()),
            ("window", self.length.to_string()),
            ("batch", self.batch.to_string()),
            ("window seed", self.seed.to_string()),
        ];
        let documents = self.text.documents.as_ref();
        let ends = documents.map(|documents| documents.training.iter().map(|&end| end as u64));
        let documents = ends.map(|ends| {
            (
                "documents",
                format!("{}, {:016x}", ends.len(), super::fingerprint(ends)),
            )
        });
        let settings = settings.into_iter().chain(documents);
        settings.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
