//! Nets that are trained alike, and the table that compares them.

use crate::classifier::{Classifier, accuracy};
use crate::training::{Recipe, Step, TrainingError, train};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use indicatif::HumanCount;
use ksdsl_runtime::data::{Digits, Scaling};
use ksdsl_runtime::prelude::*;
use std::time::{Duration, Instant};

/// The share of the digits that training does not see.
const HELD_OUT: f64 = 0.2;

/// What the compiler says about a net.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// The net's name.
    pub name: &'static str,
    /// Its `PARAMETERS`.
    pub parameters: u64,
    /// Its `UNSHARED_PARAMETERS`.
    pub unshared_parameters: u64,
    /// Its `MULTIPLY_ADDS`.
    pub multiply_adds: u64,
}

/// The [`Costs`] of a generated module: `costs!(nets::digits_shared)`.
#[macro_export]
macro_rules! costs {
    ($($module:ident)::+) => {{
        use $($module)::+::{MULTIPLY_ADDS, PARAMETERS, UNSHARED_PARAMETERS};
        $crate::comparison::Costs {
            name: [$(stringify!($module)),+].last().unwrap(),
            parameters: PARAMETERS,
            unshared_parameters: UNSHARED_PARAMETERS,
            multiply_adds: MULTIPLY_ADDS,
        }
    }};
}

/// What a training came to.
#[derive(Clone, Debug)]
pub struct Outcome<M> {
    /// The trained network.
    pub model: M,
    /// The share of the held-out digits it tells right.
    pub accuracy: f64,
    /// How long the training took.
    pub time: Duration,
}

/// Builds the net of `B`, trains it on four fifths of `digits` and tests it on the rest. The seed
/// of the recipe decides on everything random: the split, the initial values, the order of images.
pub fn train_and_test<B>(
    digits: &Digits,
    recipe: &Recipe,
    report: impl FnMut(Step),
) -> Result<Outcome<B::Built>, TrainingError>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier>,
{
    let (training, held_out) = digits.split(HELD_OUT, recipe.seed);
    let scaling = Scaling::of(&training);
    let mut model = Cpu::seed_from_u64(recipe.seed).try_build_module::<B, f32>()?;
    let start = Instant::now();
    train(&mut model, &training, scaling, recipe, report)?;
    let time = start.elapsed();
    let accuracy = accuracy(&model, &held_out, scaling)?;
    Ok(Outcome { model, accuracy, time })
}

/// A line of the table: a net and how its trainings with several seeds came out.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the net costs.
    pub costs: Costs,
    /// Its accuracy on what each training held out.
    pub accuracies: Vec<f64>,
    /// How long each training took.
    pub times: Vec<Duration>,
}

impl Row {
    /// The mean of the accuracies.
    pub fn accuracy(&self) -> f64 {
        mean(self.accuracies.iter().copied())
    }

    fn cells(&self) -> [String; 6] {
        let costs = self.costs;
        let share = costs.parameters as f64 / costs.unshared_parameters as f64;
        let seconds = mean(self.times.iter().map(Duration::as_secs_f64));
        [
            costs.name.to_owned(),
            HumanCount(costs.parameters).to_string(),
            format!("{:.1} %", 100.0 * share),
            HumanCount(costs.multiply_adds).to_string(),
            format!("{:.2} %", 100.0 * self.accuracy()),
            format!("{seconds:.1}"),
        ]
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}

/// The comparison for people; the last two columns are means over the seeds.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "net",
        "parameters",
        "of unshared",
        "multiply-adds per image",
        "held-out accuracy",
        "seconds",
    ]);
    table.add_rows(rows.iter().map(Row::cells));
    table
        .column_iter_mut()
        .skip(1)
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
