//! Sudoku grids and puzzles of one solution.

use crate::random::{Purpose, generator};
use rand::Rng;
use rand::seq::SliceRandom;
use std::fmt;

/// Of so many solutions about one is for validation.
const HELD_OUT: u64 = 8;

/// The seed of validation puzzles, which are the same for all runs.
const VALIDATION: u64 = 0;

/// Sudoku with boxes of 2 rows: 4 x 4 cells with boxes of 2 x 2, or 6 x 6 with boxes of 2 x 3.
///
/// A solution is for training or for validation, by its digits alone, so no puzzle of one has a solution of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sudoku {
    size: usize,
}

/// A puzzle and its solution, row by row: digits from 1, and 0 for an empty cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Puzzle {
    /// The given digits.
    pub clues: Vec<u8>,
    /// All digits.
    pub solution: Vec<u8>,
}

/// The rows of a box.
const BOX_ROWS: usize = 2;

impl Sudoku {
    /// Sudoku of `size` x `size` cells.
    ///
    /// # Errors
    /// If the size is neither 4 nor 6.
    pub fn of_size(size: usize) -> Result<Self, String> {
        match size {
            4 | 6 => Ok(Self { size }),
            _ => Err(format!("expected a Sudoku of size 4 or 6, not {size}")),
        }
    }

    /// The rows, columns and digits.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of cells.
    pub fn cells(&self) -> usize {
        self.size * self.size
    }

    /// A row, a column and a box that a cell is in.
    fn units(&self, cell: usize) -> [usize; 3] {
        let (row, column) = (cell / self.size, cell % self.size);
        let width = self.size / BOX_ROWS;
        [row, column, row / BOX_ROWS * BOX_ROWS + column / width]
    }

    /// The number of solutions of given digits, counted up to `most`.
    ///
    /// # Panics
    /// If there are not as many cells, or a digit is above the size.
    pub fn solutions(&self, clues: &[u8], most: usize) -> usize {
        assert_eq!(clues.len(), self.cells(), "cells of a Sudoku of size {}", self.size);
        let Some(mut search) = Search::new(self, clues) else {
            return 0;
        };
        let mut found = 0;
        search.run(&mut |_, candidates| candidates, &mut |_| {
            found += 1;
            found < most
        });
        found
    }

    /// A random grid: the first that a search finds which tries digits in a random order.
    fn grid(&self, rng: &mut impl Rng) -> Vec<u8> {
        let mut grid = Vec::new();
        if let Some(mut search) = Search::new(self, &vec![0; self.cells()]) {
            search.run(
                &mut |_, mut digits| {
                    digits.shuffle(rng);
                    digits
                },
                &mut |cells| {
                    grid = cells.to_vec();
                    false
                },
            );
        }
        grid
    }

    /// Whether puzzles with this solution are for validation: FNV-1a of its digits.
    fn is_held_out(solution: &[u8]) -> bool {
        let hash = solution.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, digit| {
            (hash ^ u64::from(*digit)).wrapping_mul(0x0100_0000_01b3)
        });
        // The upper bits depend on all digits.
        (hash >> 32) % HELD_OUT == 0
    }

    /// A puzzle with one solution, which is for validation or not. From a random grid, digits are removed in a random order
    /// as long as the solution stays the only one, until a number of clues is left that is drawn evenly from the size to
    /// 5 / 8 of the cells.
    fn puzzle(&self, rng: &mut impl Rng, held_out: bool) -> Puzzle {
        let solution = loop {
            let grid = self.grid(rng);
            if Self::is_held_out(&grid) == held_out {
                break grid;
            }
        };
        let fewest = rng.gen_range(self.size..=self.cells() * 5 / 8);
        let mut order: Vec<usize> = (0..self.cells()).collect();
        order.shuffle(rng);
        let (mut clues, mut left) = (solution.clone(), self.cells());
        for cell in order {
            if left == fewest {
                break;
            }
            let digit = std::mem::take(&mut clues[cell]);
            match self.solutions(&clues, 2) {
                1 => left -= 1,
                _ => clues[cell] = digit,
            }
        }
        Puzzle { clues, solution }
    }

    /// Puzzle `index` of a training step: a function of the run's seed, step and index.
    pub fn training(&self, run: u64, step: u64, index: u64) -> Puzzle {
        self.puzzle(&mut generator(run, Purpose::Puzzles, [step, index]), false)
    }

    /// The first `count` validation puzzles.
    pub fn held_out(&self, count: usize) -> Vec<Puzzle> {
        let puzzle = |index| self.puzzle(&mut generator(VALIDATION, Purpose::HeldOutPuzzles, [index, 0]), true);
        (0..count as u64).map(puzzle).collect()
    }
}

impl fmt::Display for Sudoku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sudoku:{}", self.size)
    }
}

/// A search for grids.
struct Search<'s> {
    sudoku: &'s Sudoku,
    cells: Vec<u8>,
    /// The digits that each row, column and box has, as bits.
    taken: [Vec<u16>; 3],
}

impl<'s> Search<'s> {
    /// From given digits; none if two of them contradict each other.
    fn new(sudoku: &'s Sudoku, clues: &[u8]) -> Option<Self> {
        let mut search = Self {
            sudoku,
            cells: vec![0; clues.len()],
            taken: std::array::from_fn(|_| vec![0; sudoku.size]),
        };
        for (cell, &digit) in clues.iter().enumerate().filter(|(_, digit)| **digit > 0) {
            assert!(usize::from(digit) <= sudoku.size, "digit {digit} of {}", sudoku.size);
            if !search.candidates(cell).contains(&digit) {
                return None;
            }
            search.put(cell, digit);
        }
        Some(search)
    }

    fn candidates(&self, cell: usize) -> Vec<u8> {
        let units = self.sudoku.units(cell);
        let taken = self
            .taken
            .iter()
            .zip(units)
            .fold(0, |all, (kind, unit)| all | kind[unit]);
        (1..=self.sudoku.size as u8)
            .filter(|digit| taken >> digit & 1 == 0)
            .collect()
    }

    /// Writes a digit, or with the same digit again takes it away.
    fn put(&mut self, cell: usize, digit: u8) {
        self.cells[cell] = if self.cells[cell] == 0 { digit } else { 0 };
        for (kind, unit) in self.taken.iter_mut().zip(self.sudoku.units(cell)) {
            kind[unit] ^= 1 << digit;
        }
    }

    /// Visits grids until `visit` says no; whether it never did. The empty cell with the fewest candidates comes first, whose
    /// candidates are tried in the order that `order` gives them.
    fn run(&mut self, order: &mut dyn FnMut(usize, Vec<u8>) -> Vec<u8>, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let empty = (0..self.cells.len()).filter(|&cell| self.cells[cell] == 0);
        let choices = empty.map(|cell| (cell, self.candidates(cell)));
        let Some((cell, candidates)) = choices.min_by_key(|(_, candidates)| candidates.len()) else {
            return visit(&self.cells);
        };
        for digit in order(cell, candidates) {
            self.put(cell, digit);
            let goes_on = self.run(order, visit);
            self.put(cell, digit);
            if !goes_on {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
#[path = "sudoku_tests.rs"]
mod tests;
