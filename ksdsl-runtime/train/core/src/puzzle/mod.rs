//! Puzzles: a task for networks that improve an answer step by step.
//!
//! ```
//! # extern crate ksdsl_train_core as ksdsl_train;
//! use ksdsl_train::puzzle::Sudoku;
//!
//! let sudoku = Sudoku::of_size(4)?;
//! let puzzles = sudoku.held_out(3);
//! assert!(puzzles.iter().all(|puzzle| sudoku.solutions(&puzzle.clues, 2) == 1));
//! # Ok::<(), String>(())
//! ```

mod generated;
mod held_out;
mod sudoku;

pub use generated::Generated;
pub use held_out::HeldOut;
pub use sudoku::{Puzzle, Sudoku};
