//! How a solver of puzzles is judged.

use super::generated::batch;
use super::{Puzzle, Sudoku};
use crate::metrics::{Evaluation, Meter};
use crate::task::TaskError;

/// The number of validation puzzles.
const COUNT: usize = 500;

/// The validation puzzles, whose solutions no training puzzle has.
#[derive(Clone, Debug)]
pub struct HeldOut {
    sudoku: Sudoku,
    puzzles: Vec<Puzzle>,
}

impl HeldOut {
    /// The 500 validation puzzles of a Sudoku.
    pub fn new(sudoku: Sudoku) -> Self {
        Self {
            sudoku,
            puzzles: sudoku.held_out(COUNT),
        }
    }

    /// Evaluates the model that `answer` runs, on `at_once` puzzles at a time: token ids, puzzles x cells, to logits, puzzles x
    /// cells x `tokens`.
    ///
    /// # Errors
    /// Those of `answer`; if it gives another number of logits, or there are fewer than the tokens of a puzzle.
    pub fn evaluate(
        &self,
        (tokens, at_once): (usize, usize),
        mut answer: impl FnMut(&[f32]) -> Result<Vec<f32>, TaskError>,
    ) -> Result<Evaluation, TaskError> {
        let (cells, needed) = (self.sudoku.cells(), self.sudoku.size() + 1);
        if tokens < needed {
            let what = format!("{tokens} logits for each cell; {} has {needed} tokens", self.sudoku);
            return Err(TaskError::Batch(what));
        }
        let mut all = Meter::without_confusion(tokens);
        let (mut solved, mut nan_puzzles) = (0, 0);
        for puzzles in self.puzzles.chunks(at_once.max(1)) {
            let batch = batch(puzzles, self.sudoku);
            let logits = answer(&batch.ids)?;
            let expected = puzzles.len() * cells * tokens;
            if logits.len() != expected {
                let what = format!(
                    "{} logits for {} puzzles, expected {expected}",
                    logits.len(),
                    puzzles.len()
                );
                return Err(TaskError::Batch(what));
            }
            let rows = logits.chunks_exact(cells * tokens);
            for (logits, targets) in rows.zip(batch.targets.chunks_exact(cells)) {
                let labels: Vec<usize> = targets.iter().map(|&target| target as usize).collect();
                let mut of_puzzle = Meter::without_confusion(tokens);
                of_puzzle.add(logits, &labels);
                all.add(logits, &labels);
                let Evaluation { top1, nan_images, .. } = of_puzzle.evaluation();
                solved += usize::from(top1 == 1.0);
                nan_puzzles += usize::from(nan_images > 0);
            }
        }
        let cells = all.evaluation();
        Ok(Evaluation {
            images: self.puzzles.len(),
            top1: solved as f64 / self.puzzles.len() as f64,
            top5: None,
            nan_images: nan_puzzles,
            cells: Some(cells.top1),
            ..cells
        })
    }

    /// What determines an evaluation, in words.
    pub fn describe(&self) -> String {
        format!("{} puzzles of {}", self.puzzles.len(), self.sudoku)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeldOut, Sudoku};

    /// The solution of a puzzle by trying all digits, as logits.
    fn logits(clues: &[f32], of: Sudoku) -> Vec<f32> {
        let mut cells: Vec<u8> = clues.iter().map(|&digit| digit as u8).collect();
        for cell in 0..cells.len() {
            if cells[cell] == 0 {
                let fits = |digit: &u8| {
                    let mut tried = cells.clone();
                    tried[cell] = *digit;
                    of.solutions(&tried, 1) == 1
                };
                cells[cell] = (1..=of.size() as u8).find(fits).unwrap();
            }
        }
        let row = |digit: u8| (0..=of.size() as u8).map(move |token| if token == digit { 20.0 } else { 0.0 });
        cells.into_iter().flat_map(row).collect()
    }

    /// Solutions, a wrong cell in every second puzzle, and clues handed back.
    #[test]
    fn a_puzzle_is_solved_if_all_its_cells_are_right() {
        let of = Sudoku::of_size(4).unwrap();
        let held_out = HeldOut::new(of);
        let solve = |ids: &[f32]| {
            ids.chunks_exact(16)
                .flat_map(|clues| logits(clues, of))
                .collect::<Vec<f32>>()
        };
        let right = held_out.evaluate((5, 64), |ids| Ok(solve(ids))).unwrap();
        assert_eq!((right.images, right.top1, right.cells), (500, 1.0, Some(1.0)));
        assert!(right.loss < 1e-6 && right.top5.is_none());
        let mut count = 0;
        let half = held_out.evaluate((5, 7), |ids| {
            let mut logits = solve(ids);
            for answer in logits.chunks_exact_mut(16 * 5) {
                count += 1;
                if count % 2 == 0 {
                    answer[0] = 30.0;
                }
            }
            Ok(logits)
        });
        let half = half.unwrap();
        assert_eq!((half.top1, half.cells), (0.5, Some(1.0 - 0.5 / 16.0)));
        let few = held_out.evaluate((5, 64), |_| Ok(vec![0.0; 3])).unwrap_err();
        assert!(
            few.to_string().contains("3 logits for 64 puzzles, expected 5120"),
            "{few}"
        );
        let narrow = held_out.evaluate((4, 64), |_| Ok(Vec::new())).unwrap_err();
        assert_eq!(narrow.to_string(), "4 logits for each cell; sudoku:4 has 5 tokens");
        let nan = held_out
            .evaluate((5, 500), |ids| Ok(vec![f32::NAN; ids.len() * 5]))
            .unwrap();
        assert_eq!((nan.nan_images, nan.top1), (500, 0.0));
    }
}
