//! A plot that compares several runs.

use super::chart::{Axis, Series, chart, entries, headline, height_of};
use super::scale::count;
use super::{COLOURS, Picture, shortened};
use crate::report::compare::{Comparison, Run};
use crate::report::measure::Measure;
use std::io;

/// Width and height of both charts.
const SIZE: (u32, u32) = (1160, 430);
/// Height of the title.
const TITLE: i32 = 36;
/// Width of an entry in the legend.
const ENTRY: i32 = 380;

/// Plots validation accuracy (of language models, loss) against epochs (left) and against parameters (right). Runs of one network, such as those
/// with different seeds, have the same colour; the legend names the networks.
///
/// # Errors
/// If it cannot be drawn.
pub fn comparison(comparison: &Comparison) -> io::Result<Picture> {
    let (groups, measure) = (comparison.groups(), comparison.measure());
    let columns = (SIZE.0 as i32 / ENTRY).max(1);
    let height = SIZE.1 as i32 + TITLE + height_of(groups.len(), columns);
    Picture::draw((SIZE.0, height as u32), |area| {
        let runs = comparison.runs.len();
        headline(area, &format!("{runs} run{}", if runs == 1 { "" } else { "s" }))?;
        let (_, rest) = area.split_vertically(TITLE);
        let (charts, legend) = rest.split_vertically(SIZE.1 as i32);
        let charts = charts.split_evenly((1, 2));
        let measured = Axis {
            bounds: measure.bounds(),
            ..Axis::linear(measure.axis())
        };
        let last = comparison.runs.iter().filter_map(|run| run.history.epochs.last());
        let epochs = Axis {
            range: Some((0.0, f64::from(last.map(|row| row.epoch).max().unwrap_or(1)))),
            ..Axis::linear("Epoch")
        };
        let title = format!("Validation {}", measure.word());
        chart(&charts[0], &title, &epochs, &measured, &curves(&groups, measure))?;
        let parameters = Axis {
            logarithmic: true,
            label: Some(count),
            ..Axis::linear("Parameters")
        };
        chart(
            &charts[1],
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

fn curves(groups: &[Vec<&Run>], measure: Measure) -> Vec<Series> {
    let coloured = groups.iter().zip(COLOURS.iter().cycle());
    coloured
        .flat_map(|(group, &colour)| {
            group.iter().map(move |run| Series {
                labels: Vec::new(),
                bars: Vec::new(),
                name: None,
                colour,
                width: 2,
                radius: 0,
                points: values(run, measure),
            })
        })
        .collect()
}

fn values(run: &Run, measure: Measure) -> Vec<(f64, f64)> {
    let rows = run.history.epochs.iter();
    rows.filter_map(|row| Some((f64::from(row.epoch), measure.scaled(measure.value(row)?))))
        .collect()
}

fn points(groups: &[Vec<&Run>], measure: Measure) -> Vec<Series> {
    let coloured = groups.iter().zip(COLOURS.iter().cycle());
    coloured
        .map(|(group, &colour)| {
            let last = |run: &&Run| Some((run.facts.parameters as f64, values(run, measure).last()?.1));
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
