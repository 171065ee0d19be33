//! How a language model is judged.

use super::documents::{Span, padded, spans};
use super::{Text, TextError, windows};
use crate::metrics::{Evaluation, Meter};
use crate::source::TokenBatch;
use crate::task::TaskError;
use std::ops::Range;

/// The values of logits that an evaluation holds at once, and the most windows.
const AT_ONCE: (usize, usize) = (1 << 22, 64);

/// The validation text in windows. They follow one another; every token but the first is predicted once, of the last
/// window only those that no other predicts. A token sees those before it in its window. Documents have windows of their own, so
/// that the first token of each is not predicted.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut<'t> {
    text: &'t Text,
    length: usize,
    vocabulary: usize,
}

impl<'t> HeldOut<'t> {
    /// The validation text of a network with windows of `length` tokens and logits of `vocabulary` tokens.
    ///
    /// # Errors
    /// If the text is shorter than a window and the token after it.
    pub fn new(text: &'t Text, length: usize, vocabulary: usize) -> Result<Self, TextError> {
        match &text.documents {
            None => super::fits("validation", text.validation.len(), length)?,
            Some(documents) => super::have_targets("validation", &documents.validation)?,
        }
        Ok(Self {
            text,
            length,
            vocabulary,
        })
    }

    /// Evaluates the model that `logits` runs: token ids, windows x positions, to logits, windows x positions x vocabulary.
    ///
    /// # Errors
    /// Those of `logits`.
    pub fn evaluate(
        &self,
        mut logits: impl FnMut(&[f32]) -> Result<Vec<f32>, TaskError>,
    ) -> Result<Evaluation, TaskError> {
        let mut meter = Meter::of_text(self.vocabulary, self.text.bytes_per_token);
        let row = self.length * self.vocabulary;
        let at_once = (AT_ONCE.0 / row.max(1)).clamp(1, AT_ONCE.1);
        for (batch, judged) in self.batches(at_once) {
            let logits = logits(&batch.ids)?;
            let rows = logits.chunks_exact(row).zip(batch.targets.chunks_exact(self.length));
            for ((logits, targets), judged) in rows.zip(judged) {
                let labels: Vec<usize> = targets[judged.clone()].iter().map(|&target| target as usize).collect();
                meter.add(
                    &logits[judged.start * self.vocabulary..judged.end * self.vocabulary],
                    &labels,
                );
            }
        }
        Ok(meter.evaluation())
    }

    /// Windows, at most so many in a batch, with the targets of each that count.
    fn batches(&self, at_once: usize) -> Vec<(TokenBatch, Vec<Range<usize>>)> {
        let (tokens, length) = (&self.text.validation, self.length);
        if let Some(documents) = &self.text.documents {
            let spans = spans(&documents.validation, length);
            let batch = |spans: &[Span]| {
                let judged = spans.iter().map(|span| 0..span.targets).collect();
                (padded(tokens, spans.iter().copied(), length), judged)
            };
            return spans.chunks(at_once).map(batch).collect();
        }
        let batch = |part: &[(usize, usize)]| {
            let judged = part.iter().map(|(_, known)| *known..length).collect();
            (windows(tokens, part.iter().map(|window| window.0), length), judged)
        };
        self.windows().chunks(at_once).map(batch).collect()
    }

    /// The starts of the windows of a text that is not of documents, and how many of the targets of each are those of the one
    /// before.
    fn windows(&self) -> Vec<(usize, usize)> {
        let targets = self.text.validation.len() - 1;
        let whole = targets / self.length;
        let mut windows: Vec<(usize, usize)> = (0..whole).map(|window| (window * self.length, 0)).collect();
        let left = targets % self.length;
        if left > 0 {
            windows.push((targets - self.length, self.length - left));
        }
        windows
    }

    /// What determines an evaluation, in words.
    pub fn describe(&self) -> String {
        let tokens = super::describe(&self.text.validation);
        let Some(documents) = &self.text.documents else {
            return tokens;
        };
        let ends = documents.validation.iter().map(|&end| end as u64);
        format!("{tokens}, {} documents, {:016x}", ends.len(), super::fingerprint(ends))
    }
}
