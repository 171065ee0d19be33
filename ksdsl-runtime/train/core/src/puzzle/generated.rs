//! Generated puzzles as batches.

use super::{Puzzle, Sudoku};
use crate::recipe::Recipe;
use crate::source::{EpochBatches, Source, TokenBatch};

/// The steps of an epoch, if the recipe does not say.
const PER_EPOCH: u64 = 250;

/// New puzzles in each step: every one is a function of the seed, the step and its place in the batch.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    sudoku: Sudoku,
    batch: usize,
    seed: u64,
    per_epoch: u64,
}

impl Generated {
    /// Puzzles with the batch size, seed and steps per epoch of a recipe, 250 if it does not say.
    pub fn of(recipe: &Recipe, sudoku: Sudoku) -> Self {
        Self {
            sudoku,
            batch: recipe.batch,
            seed: recipe.seed,
            per_epoch: recipe.steps_per_epoch.unwrap_or(PER_EPOCH),
        }
    }
}

/// Puzzles with their solutions as targets; an empty cell is token 0, a digit is its own.
pub(super) fn batch<'p>(puzzles: impl IntoIterator<Item = &'p Puzzle>, sudoku: Sudoku) -> TokenBatch {
    let mut batch = TokenBatch {
        length: sudoku.cells(),
        ..TokenBatch::default()
    };
    for puzzle in puzzles {
        batch.ids.extend(puzzle.clues.iter().map(|&digit| f32::from(digit)));
        batch
            .targets
            .extend(puzzle.solution.iter().map(|&digit| u32::from(digit)));
    }
    batch
}

/// Its items are cells.
impl Source<TokenBatch> for Generated {
    fn images(&self) -> usize {
        (self.per_epoch as usize).saturating_mul(self.batch * self.sudoku.cells())
    }

    fn unit(&self) -> &'static str {
        "cells"
    }

    fn steps_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_, TokenBatch> {
        let first = u64::from(epoch.saturating_sub(1)) * self.per_epoch;
        let steps = first + from_step..first + self.per_epoch;
        Box::new(steps.map(|step| {
            let indices = 0..self.batch as u64;
            let puzzles: Vec<Puzzle> = indices
                .map(|index| self.sudoku.training(self.seed, step, index))
                .collect();
            Ok(batch(&puzzles, self.sudoku))
        }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("puzzles", self.sudoku.to_string()),
            ("batch", self.batch.to_string()),
            ("puzzle seed", self.seed.to_string()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
