//! A plot that compares several runs.

use super::chart::{Axis, Series, chart, entries, headline, height_of};
use super::scale::count;
use super::{COLOURS, Picture, shortened};
use crate::report::compare::{Comparison, Run};
use crate::report::history::EpochRow;
use crate::report::measure::Measure;
use std::io;

/// Width and height of a chart.
const SIZE: (u32, u32) = (580, 430);
/// Height of the title.
const TITLE: i32 = 36;
/// Width of an entry in the legend.
const ENTRY: i32 = 380;

/// Plots validation accuracy (not of language models) and losses against epochs, and final accuracy (or loss) against parameters.
/// Runs of one network, such as those with different seeds, have the same colour; the legend names the networks.
///
/// # Errors
/// If it cannot be drawn.
pub fn comparison(comparison: &Comparison) -> io::Result<Picture> {
    let (groups, measure) = (comparison.groups(), comparison.measure());
    let number = match measure {
        Measure::Accuracy => 3,
        Measure::Loss => 2,
    };
    let width = SIZE.0 * number as u32;
    let columns = (width as i32 / ENTRY).max(1);
    let height = SIZE.1 as i32 + TITLE + height_of(groups.len(), columns);
    Picture::draw((width, height as u32), |area| {
        let runs = comparison.runs.len();
        headline(area, &format!("{runs} run{}", if runs == 1 { "" } else { "s" }))?;
        let (_, rest) = area.split_vertically(TITLE);
        let (charts, legend) = rest.split_vertically(SIZE.1 as i32);
        let charts = charts.split_evenly((1, number));
        let measured = Axis {
            bounds: measure.bounds(),
            ..Axis::linear(measure.axis())
        };
        let last = comparison.runs.iter().filter_map(|run| run.history.epochs.last());
        let epochs = Axis {
            range: Some((0.0, f64::from(last.map(|row| row.epoch).max().unwrap_or(1)))),
            ..Axis::linear("Epoch")
        };
        if measure == Measure::Accuracy {
            let accuracies = curves(&groups, 2, |row| measure.value(row).map(|value| measure.scaled(value)));
            chart(&charts[0], "Validation accuracy", &epochs, &measured, &accuracies)?;
        }
        let loss = Axis {
            bounds: (0.0, f64::INFINITY),
            ..Axis::linear("Cross-entropy loss")
        };
        let mut losses = curves(&groups, 1, |row| Some(row.training_loss));
        losses.extend(curves(&groups, 2, EpochRow::loss));
        let [.., before_last, last] = charts.as_slice() else {
            unreachable!("there are at least two charts")
        };
        chart(
            before_last,
            "Loss in validation (thick) and training (thin)",
            &epochs,
            &loss,
            &losses,
        )?;
        let parameters = Axis {
            logarithmic: true,
            label: Some(count),
            ..Axis::linear("Parameters")
        };
        chart(
            last,
            &format!("Final validation {} against parameters", measure.word()),
            &parameters,
            &measured,
            &points(&groups, measure),
        )?;
        let name = |group: &Vec<&Run>| {
            let facts = &group[0].facts;
            let several = if group.len() > 1 {
                format!(", {} runs", group.len())
            } else {
                String::new()
            };
            format!(
                "{} ({} parameters{several})",
                shortened(&facts.network, 28),
                count(facts.parameters as f64)
            )
        };
        let series = points(&groups, measure);
        entries(&legend, (columns, ENTRY), groups.iter().map(name).zip(&series))
    })
}

/// A line of this width for each run.
fn curves(groups: &[Vec<&Run>], width: u32, value: impl Fn(&EpochRow) -> Option<f64>) -> Vec<Series> {
    let coloured = groups.iter().zip(COLOURS.iter().cycle());
    let runs = coloured.flat_map(|(group, &colour)| group.iter().map(move |run| (run, colour)));
    let line = |(run, colour): (&&Run, _)| {
        let rows = run.history.epochs.iter();
        Series {
            labels: Vec::new(),
            bars: Vec::new(),
            name: None,
            colour,
            width,
            radius: 0,
            points: rows
                .filter_map(|row| Some((f64::from(row.epoch), value(row)?)))
                .collect(),
        }
    };
    runs.map(line).collect()
}

fn points(groups: &[Vec<&Run>], measure: Measure) -> Vec<Series> {
    let coloured = groups.iter().zip(COLOURS.iter().cycle());
    coloured
        .map(|(group, &colour)| {
            let last = |run: &&Run| {
                let mut measured = run.history.epochs.iter().rev().filter_map(|row| measure.value(row));
                Some((run.facts.parameters as f64, measure.scaled(measured.next()?)))
            };
            Series {
                labels: Vec::new(),
                bars: Vec::new(),
                name: None,
                colour,
                width: 0,
                radius: 5,
                points: group.iter().filter_map(last).collect(),
            }
        })
        .collect()
}
