//! Loss, accuracy and learning rate of a run.

use super::chart::{Axis, Series, chart, headline};
use super::{COLOURS, Picture};
use crate::report::history::{EpochRow, History, StepRow};
use plotters::style::RGBColor;
use std::io;

/// Width and height.
const SIZE: (u32, u32) = (1320, 430);
/// Points of a curve over the steps; of more, neighbours are averaged.
const MOST: usize = 250;
const PALE: RGBColor = RGBColor(176, 208, 230);

/// The curves of a run: the loss of training (of steps and of epochs) and of the images held out, the accuracy
/// on them, and the learning rate, over the epochs.
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
            ..Axis::linear("epochs")
        };
        let losses = losses(history);
        let loss = Axis {
            logarithmic: spans_decades(&losses),
            ..Axis::linear("mean cross-entropy")
        };
        chart(&charts[0], "Loss", &epochs, &loss, &losses)?;
        let accuracy = Axis {
            bounds: (0.0, 100.0),
            ..Axis::linear("right answers (%)")
        };
        chart(
            &charts[1],
            "Accuracy on images held out",
            &epochs,
            &accuracy,
            &accuracies(history),
        )?;
        let rate = Axis {
            bounds: (0.0, f64::INFINITY),
            ..Axis::linear("learning rate of a step")
        };
        chart(&charts[2], "Learning rate", &epochs, &rate, &rates(history))
    })
}

/// How many epochs were done, with the part of the last.
fn end(history: &History) -> f64 {
    let steps = history.steps.last();
    let epochs = history.epochs.last().map_or(0.0, |last| f64::from(last.epoch));
    steps.map_or(0.0, |last| epochs_until(history, last.step)).max(epochs)
}

/// How many epochs a number of steps are.
fn epochs_until(history: &History, steps: u64) -> f64 {
    let known = history.epochs.last().map(|last| (last.steps, f64::from(last.epoch)));
    // Before the first epoch is over nobody knows how long it is; the steps count as one.
    let (all, epochs) = known.unwrap_or_else(|| (history.steps.last().map_or(1, |last| last.step), 1.0));
    steps as f64 * epochs / all.max(1) as f64
}

fn losses(history: &History) -> Vec<Series> {
    let of_epochs = |value: fn(&EpochRow) -> Option<f64>| over_epochs(history, value);
    let line = |name: &str, colour, points| Series {
        name: Some(name.to_owned()),
        colour,
        width: 2,
        radius: 0,
        points,
    };
    let mut all = vec![
        Series {
            width: 1,
            ..line("steps", PALE, over_steps(history, |row| row.loss))
        },
        line("training", COLOURS[0], of_epochs(|row| Some(row.training_loss))),
        line("held out", COLOURS[1], of_epochs(|row| row.loss)),
        line("averaged", COLOURS[2], of_epochs(|row| row.averaged_loss)),
    ];
    all.retain(|series| !series.points.is_empty());
    all
}

fn accuracies(history: &History) -> Vec<Series> {
    let percent = |value: fn(&EpochRow) -> Option<f64>| {
        let points = over_epochs(history, value);
        points
            .into_iter()
            .map(|(epoch, share)| (epoch, 100.0 * share))
            .collect::<Vec<_>>()
    };
    let line = |name: &str, colour, points| Series {
        name: Some(name.to_owned()),
        colour,
        width: 2,
        radius: 2,
        points,
    };
    let mut all = vec![
        line("model", COLOURS[1], percent(|row| row.top1)),
        line("averaged model", COLOURS[2], percent(|row| row.averaged_top1)),
    ];
    all.retain(|series| !series.points.is_empty());
    all
}

fn rates(history: &History) -> Vec<Series> {
    vec![Series {
        name: None,
        colour: COLOURS[0],
        width: 2,
        radius: 0,
        points: over_steps(history, |row| row.rate),
    }]
}

fn over_epochs(history: &History, value: fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &EpochRow| Some((f64::from(row.epoch), value(row)?));
    history.epochs.iter().filter_map(point).collect()
}

/// The means of as many neighbouring steps as it takes to have no more points than can be seen.
fn over_steps(history: &History, value: fn(&StepRow) -> f64) -> Vec<(f64, f64)> {
    let together = history.steps.len().div_ceil(MOST).max(1);
    let mean =
        |rows: &[StepRow], value: &dyn Fn(&StepRow) -> f64| rows.iter().map(value).sum::<f64>() / rows.len() as f64;
    let point = |rows: &[StepRow]| {
        let at = mean(rows, &|row| epochs_until(history, row.step));
        (at, mean(rows, &value))
    };
    history.steps.chunks(together).map(point).collect()
}

/// Whether the largest value is many times the smallest, so that the small ones need a logarithmic axis.
fn spans_decades(series: &[Series]) -> bool {
    let values = || {
        series
            .iter()
            .flat_map(|series| series.points.iter().map(|point| point.1))
    };
    super::scale::extent(values(), false).is_some_and(|(low, high)| low > 0.0 && high / low > 15.0)
}
