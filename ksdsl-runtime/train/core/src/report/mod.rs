//! Reports of runs: progress, logs, plots, tables, and comparisons of several runs.
//!
//! | observer | output |
//! | --- | --- |
//! | [`Progress`] | a progress bar on standard error, or a line per epoch if that is not a terminal |
//! | [`CsvLog`] | `steps.csv` and `epochs.csv` |
//! | [`TensorBoard`] | event files for TensorBoard |
//! | [`Pictures`] | `curves.svg`, `confusion.svg` and the same plots as PNG |
//!
//! When a run is resumed, observers first remove the records of steps after the checkpoint, so no step is logged
//! twice.

mod compare;
mod csv;
mod file;
mod history;
mod measure;
pub mod picture;
mod progress;
mod rows;
mod sweep;
mod table;
mod tensorboard;

pub use compare::{Comparison, Facts, Run};
pub use csv::CsvLog;
pub use history::{EpochRow, History, StepRow};
pub use picture::Pictures;
pub use progress::Progress;
#[cfg(feature = "program")]
pub(crate) use progress::time;
pub use sweep::{NETWORK, Point, Sweep};
pub use table::{confusion_table, result_table, score_table};
#[doc(hidden)]
pub use table::{plain_table, printable, right_aligned};
pub use tensorboard::TensorBoard;
