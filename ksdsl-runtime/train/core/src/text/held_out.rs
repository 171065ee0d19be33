//! How a language model is judged.

use super::documents::{Span, padded, spans};
use super::{Text, TextError};
use crate::metrics::{Evaluation, Meter};
use crate::source::TokenBatch;
use crate::task::TaskError;

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

    /// Evaluates the model that `logits` runs: windows to logits, windows x positions x vocabulary.
    ///
    /// # Errors
    /// Those of `logits`.
    pub fn evaluate(
        &self,
        mut logits: impl FnMut(&TokenBatch) -> Result<Vec<f32>, TaskError>,
    ) -> Result<Evaluation, TaskError> {
        let mut meter = Meter::of_text(self.vocabulary, self.text.bytes_per_token);
        let row = self.length * self.vocabulary;
        let at_once = (AT_ONCE.0 / row.max(1)).clamp(1, AT_ONCE.1);
        for part in self.windows().chunks(at_once) {
            let batch = padded(&self.text.validation, part.iter().map(|window| window.0), self.length);
            let logits = logits(&batch)?;
            let rows = logits.chunks_exact(row).zip(batch.targets.chunks_exact(self.length));
            for ((logits, targets), (span, known)) in rows.zip(part) {
                let judged = *known..span.targets;
                let logits = &logits[judged.start * self.vocabulary..judged.end * self.vocabulary];
                let labels: Vec<usize> = targets[judged].iter().map(|&target| target as usize).collect();
                meter.add(logits, &labels);
            }
        }
        Ok(meter.evaluation())
    }

    /// The windows, and how many of the targets of each are those of the one before.
    fn windows(&self) -> Vec<(Span, usize)> {
        let length = self.length;
        if let Some(documents) = &self.text.documents {
            let spans = spans(&documents.validation, length).into_iter();
            return spans.map(|span| (span, 0)).collect();
        }
        let targets = self.text.validation.len() - 1;
        let of_length = |start| Span { start, targets: length };
        let mut windows: Vec<(Span, usize)> = (0..targets / length)
            .map(|window| (of_length(window * length), 0))
            .collect();
        let left = targets % length;
        if left > 0 {
            windows.push((of_length(targets - length), length - left));
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
