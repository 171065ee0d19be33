//! What people see of a run: a bar while it goes, files of its records, pictures, tables, and several runs
//! side by side.
//!
//! | observer | what it does |
//! | --- | --- |
//! | [`Progress`] | a bar on standard error, or a line for each epoch where that is no terminal |
//! | [`CsvLog`] | `steps.csv` and `epochs.csv` |
//! | [`TensorBoard`] | event files for TensorBoard |
//! | [`Pictures`] | `curves.svg`, `confusion.svg` and the same as PNG |
//!
//! All go on where they were when a run is resumed: records of steps after the checkpoint are removed first,
//! so none is there twice.

mod compare;
mod csv;
mod file;
mod history;
pub mod picture;
mod progress;
mod rows;
mod table;
mod tensorboard;

pub use compare::{Comparison, Facts, Run};
pub use csv::CsvLog;
pub use history::{EpochRow, History, StepRow};
pub use picture::Pictures;
pub use progress::Progress;
pub use table::{confusion_table, result_table, score_table};
#[doc(hidden)]
pub use table::{plain_table, printable, right_aligned};
pub use tensorboard::TensorBoard;
