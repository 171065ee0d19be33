//! Nets that are trained alike, and the table that compares them.

use crate::classifier::{Classifier, accuracy};
use crate::training::{Recipe, Step, TrainingError, train};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use indicatif::HumanCount;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Dataset, Scaling};
use std::time::{Duration, Instant};

/// The share of the images that training does not see.
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

impl Costs {
    /// The costs of the net that `B` builds.
    pub fn of<B: Network>() -> Self {
        Costs {
            name: B::NAME,
            parameters: B::PARAMETERS,
            unshared_parameters: B::UNSHARED_PARAMETERS,
            multiply_adds: B::MULTIPLY_ADDS,
        }
    }
}

/// What a training came to.
#[derive(Clone, Debug)]
pub struct Outcome<M> {
    /// The trained network.
    pub model: M,
    /// The share of the held-out images it tells right.
    pub accuracy: f64,
    /// How long the training took.
    pub time: Duration,
}

/// Builds the net of `B`, trains it on four fifths of `data` and tests it on the rest. The seed
/// of the recipe decides on everything random: the split, the initial values, the order of images.
pub fn train_and_test<B, const C: usize, const H: usize, const W: usize, const K: usize>(
    data: &Dataset<C, H, W, K>,
    recipe: &Recipe,
    report: impl FnMut(Step),
) -> Result<Outcome<B::Built>, TrainingError>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>,
{
    let (training, held_out) = data.split(HELD_OUT, recipe.seed);
    train_then_test::<B, C, H, W, K>(&training, &held_out, recipe, report)
}

/// As [`train_and_test`], where the parts to train with and to test with are given.
pub fn train_then_test<B, const C: usize, const H: usize, const W: usize, const K: usize>(
    training: &Dataset<C, H, W, K>,
    test: &Dataset<C, H, W, K>,
    recipe: &Recipe,
    report: impl FnMut(Step),
) -> Result<Outcome<B::Built>, TrainingError>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>,
{
    let scaling = Scaling::of(training);
    let mut model = Cpu::seed_from_u64(recipe.seed).try_build_module::<B, f32>()?;
    let start = Instant::now();
    train(&mut model, training, scaling, recipe, report)?;
    let time = start.elapsed();
    let accuracy = accuracy(&model, test, scaling)?;
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

    /// The mean, and with several seeds the range.
    fn accuracy_cell(&self) -> String {
        let percent = self.accuracies.iter().map(|accuracy| 100.0 * accuracy);
        let mean = 100.0 * self.accuracy();
        if self.accuracies.len() == 1 {
            return format!("{mean:.2} %");
        }
        let (least, most) = percent.fold((f64::INFINITY, 0.0), |(least, most), value| {
            (value.min(least), value.max(most))
        });
        format!("{mean:.2} % ({least:.2} to {most:.2})")
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
            self.accuracy_cell(),
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

#[cfg(test)]
mod tests {
    use super::{Costs, Row, table};
    use std::time::Duration;

    fn row(accuracies: &[f64], seconds: &[u64]) -> Row {
        Row {
            costs: Costs {
                name: "small",
                parameters: 1_234,
                unshared_parameters: 4_936,
                multiply_adds: 5_678_901,
            },
            accuracies: accuracies.to_vec(),
            times: seconds.iter().copied().map(Duration::from_secs).collect(),
        }
    }

    #[test]
    fn a_row_says_what_a_net_costs_and_reaches() {
        let cells = ["small", "1,234", "25.0 %", "5,678,901", "98.75 %", "12.0"];
        assert_eq!(row(&[0.9875], &[12]).cells(), cells);
    }

    #[test]
    fn several_seeds_give_means_and_the_range() {
        let cells = row(&[0.98, 0.99, 0.985], &[1, 2, 3]).cells();
        assert_eq!(cells[4..], ["98.50 % (98.00 to 99.00)", "2.0"]);
    }

    #[test]
    fn the_table_has_a_row_for_each_net() {
        let table = table(&[row(&[0.5], &[1]), row(&[0.5], &[1])]);
        assert_eq!(table.to_string().matches("small").count(), 2);
    }
}
