//! A plot of loss, accuracy and learning rate of a run.

use super::chart::{Axis, Series, chart, headline};
use super::{COLOURS, Picture};
use crate::report::history::{EpochRow, History, StepRow};
use plotters::style::RGBColor;
use std::io;

/// Width and height.
const SIZE: (u32, u32) = (1320, 430);
/// The maximum number of points of a curve over the steps; more are averaged in groups of neighbours.
const MAX_POINTS: usize = 250;
const PALE: RGBColor = RGBColor(176, 208, 230);

/// Plots a run against epochs: training loss (per step and per epoch), validation loss, validation accuracy (of language
/// models, bits per byte) and learning rate.
///
/// # Errors
/// If it cannot be drawn.
pub fn curves(title: &str, history: &History) -> io::Result<Picture> {
    Picture::draw(SIZE, |area| {
        headline(area, title)?;
        let (_, charts) = area.split_vertically(36);
        let charts = charts.split_evenly((1, 3));
        let epochs = Axis {
            range: Some((0.0, end(history).max(1.0))),
            ..Axis::linear("Epoch")
        };
        let losses = losses(history);
        let loss = Axis {
            logarithmic: spans_decades(&losses),
            ..Axis::linear("Cross-entropy loss")
        };
        chart(&charts[0], "Loss", &epochs, &loss, &losses)?;
        let (title, measured, series) = judged(history);
        chart(&charts[1], title, &epochs, &measured, &series)?;
        let rate = Axis {
            bounds: (0.0, f64::INFINITY),
            ..Axis::linear("Learning rate")
        };
        chart(&charts[2], "Learning rate", &epochs, &rate, &rates(history))
    })
}

/// The epochs done, with the fraction of the last.
fn end(history: &History) -> f64 {
    let steps = history.steps.last();
    let epochs = history.epochs.last().map_or(0.0, |last| f64::from(last.epoch));
    steps.map_or(0.0, |last| epochs_until(history, last.step)).max(epochs)
}

/// Converts steps to epochs.
fn epochs_until(history: &History, steps: u64) -> f64 {
    let known = history.epochs.last().map(|last| (last.steps, f64::from(last.epoch)));
    // The length of an epoch is unknown until the first one ends; until then its steps so far count as one epoch.
    let (all, epochs) = known.unwrap_or_else(|| (history.steps.last().map_or(1, |last| last.step), 1.0));
    steps as f64 * epochs / all.max(1) as f64
}

fn losses(history: &History) -> Vec<Series> {
    let of_epochs = |value: fn(&EpochRow) -> Option<f64>| over_epochs(history, value);
    let line = |name: &str, colour, points| Series {
        labels: Vec::new(),
        bars: Vec::new(),
        name: Some(name.to_owned()),
        colour,
        width: 2,
        radius: 0,
        points,
    };
    let mut all = vec![
        Series {
            labels: Vec::new(),
            bars: Vec::new(),
            width: 1,
            ..line("steps", PALE, over_steps(history, |row| row.loss))
        },
        line("training", COLOURS[0], of_epochs(|row| Some(row.training_loss))),
        line("validation", COLOURS[1], of_epochs(|row| row.validation_loss)),
        line("averaged", COLOURS[2], of_epochs(|row| row.averaged_loss)),
    ];
    all.retain(|series| !series.points.is_empty());
    all
}

/// What the run is judged by: the title of the chart, its axis, and the curves.
fn judged(history: &History) -> (&'static str, Axis, Vec<Series>) {
    if history.is_of_text() {
        let axis = Axis {
            bounds: (0.0, f64::INFINITY),
            ..Axis::linear("Validation loss (bits per byte)")
        };
        let bits = [
            over_epochs(history, |row| row.validation_bits_per_byte),
            over_epochs(history, |row| row.averaged_bits_per_byte),
        ];
        return ("Bits per byte", axis, of_models(bits));
    }
    let axis = Axis {
        bounds: (0.0, 100.0),
        ..Axis::linear("Validation accuracy (%)")
    };
    let percent = |value: fn(&EpochRow) -> Option<f64>| {
        let points = over_epochs(history, value);
        points
            .into_iter()
            .map(|(epoch, share)| (epoch, 100.0 * share))
            .collect()
    };
    let accuracies = [percent(|row| row.validation_top1), percent(|row| row.averaged_top1)];
    ("Validation accuracy", axis, of_models(accuracies))
}

/// The curves of a model and of its average.
fn of_models([model, averaged]: [Vec<(f64, f64)>; 2]) -> Vec<Series> {
    let line = |name: &str, colour, points| Series {
        labels: Vec::new(),
        bars: Vec::new(),
        name: Some(name.to_owned()),
        colour,
        width: 2,
        radius: 2,
        points,
    };
    let mut all = vec![
        line("model", COLOURS[1], model),
        line("averaged model", COLOURS[2], averaged),
    ];
    all.retain(|series| !series.points.is_empty());
    all
}

fn rates(history: &History) -> Vec<Series> {
    vec![Series {
        labels: Vec::new(),
        bars: Vec::new(),
        name: None,
        colour: COLOURS[0],
        width: 2,
        radius: 0,
        points: over_steps(history, |row| row.learning_rate),
    }]
}

fn over_epochs(history: &History, value: fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &EpochRow| Some((f64::from(row.epoch), value(row)?));
    history.epochs.iter().filter_map(point).collect()
}

/// The values of the steps, averaged in groups of neighbours so that there are at most [`MAX_POINTS`].
fn over_steps(history: &History, value: fn(&StepRow) -> f64) -> Vec<(f64, f64)> {
    let group = history.steps.len().div_ceil(MAX_POINTS).max(1);
    let mean =
        |rows: &[StepRow], value: &dyn Fn(&StepRow) -> f64| rows.iter().map(value).sum::<f64>() / rows.len() as f64;
    let point = |rows: &[StepRow]| {
        let at = mean(rows, &|row| epochs_until(history, row.step));
        (at, mean(rows, &value))
    };
    history.steps.chunks(group).map(point).collect()
}

/// Whether the values span so large a range that they need a logarithmic axis.
fn spans_decades(series: &[Series]) -> bool {
    let values = || {
        series
            .iter()
            .flat_map(|series| series.points.iter().map(|point| point.1))
    };
    super::scale::extent(values(), false).is_some_and(|(low, high)| low > 0.0 && high / low > 15.0)
}
