//! How a language model is judged.

use super::{Text, TextError, windows};
use crate::metrics::{Evaluation, Meter};
use crate::task::TaskError;

/// The values of logits that an evaluation holds at once, and the most windows.
const AT_ONCE: (usize, usize) = (1 << 22, 64);

/// The validation text in windows. They follow one another; every token but the first is predicted once, of the last
/// window only those that no other predicts. A token sees those before it in its window.
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
        super::fits("validation", text.validation.len(), length)?;
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
        let tokens = &self.text.validation;
        let mut meter = Meter::of_text(self.vocabulary, self.text.bytes_per_token);
        let all = self.windows();
        let row = self.length * self.vocabulary;
        let at_once = (AT_ONCE.0 / row.max(1)).clamp(1, AT_ONCE.1);
        for part in all.chunks(at_once) {
            let batch = windows(tokens, part.iter().map(|window| window.0), self.length);
            let logits = logits(&batch.ids)?;
            let rows = logits.chunks_exact(row).zip(batch.targets.chunks_exact(self.length));
            for ((logits, targets), (_, known)) in rows.zip(part) {
                let labels: Vec<usize> = targets[*known..].iter().map(|&target| target as usize).collect();
                meter.add(&logits[known * self.vocabulary..], &labels);
            }
        }
        Ok(meter.evaluation())
    }

    /// The starts of the windows, and how many of the targets of each are those of the one before.
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
        super::describe(&self.text.validation)
    }
}
