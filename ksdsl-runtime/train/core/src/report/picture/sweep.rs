//! A plot of a sweep: accuracy against parameters.

use super::chart::{Axis, Series, chart, entries, height_of};
use super::scale::count;
use super::{COLOURS, Picture, shortened};
use crate::report::sweep::{Point, Sweep};
use std::io;

const SIZE: (u32, u32) = (860, 560);
/// Columns of the legend, and their width.
const COLUMNS: (i32, i32) = (3, 258);

/// Plots the mean validation accuracy (of language models, loss) of each network against its parameters: the number at a point is its row in the
/// table, the error bar the range over the seeds. Networks with one value of the first parameter have one colour and, by increasing number of parameters, a line.
///
/// # Errors
/// If it cannot be drawn.
pub fn sweep(of: &Sweep) -> io::Result<Picture> {
    let measure = of.measure();
    let first = |point: &Point| point.values.first().cloned().unwrap_or_default();
    let mut values: Vec<String> = Vec::new();
    for point in &of.points {
        if !values.contains(&first(point)) {
            values.push(first(point));
        }
    }
    let series = values.iter().zip(COLOURS.iter().cycle()).map(|(value, &colour)| {
        let rows = of.points.iter().zip(1..);
        let mut rows: Vec<(&Point, usize)> = rows.filter(|(point, _)| first(point) == *value).collect();
        rows.sort_by_key(|(point, row)| (point.parameters, *row));
        let place = |point: &Point| {
            (
                point.parameters as f64,
                measure.scaled(point.mean(measure).unwrap_or(f64::NAN)),
            )
        };
        Series {
            name: None,
            colour,
            width: 1,
            radius: 5,
            points: rows.iter().map(|(point, _)| place(point)).collect(),
            labels: rows.iter().map(|(_, row)| row.to_string()).collect(),
            bars: rows.iter().map(|(point, _)| point.range(measure)).collect(),
        }
    });
    let series: Vec<Series> = series.collect();
    let measured = Axis {
        bounds: measure.bounds(),
        ..Axis::linear(measure.axis())
    };
    let parameters = Axis {
        logarithmic: true,
        label: Some(count),
        ..Axis::linear("Parameters")
    };
    let names = values.iter().zip(&series).filter_map(|(value, series)| {
        let name = shortened(&of.series_name(value)?, 32);
        // Colours repeat; the number of a network does not.
        match (of.is_study(), series.labels.as_slice()) {
            (true, [row]) => Some((format!("{row} {name}"), series)),
            _ => Some((name, series)),
        }
    });
    let names: Vec<(String, &Series)> = names.collect();
    let legend = height_of(names.len(), COLUMNS.0) as u32;
    Picture::draw((SIZE.0, SIZE.1 + legend), |area| {
        let title = format!("Final validation {} against parameters", measure.word());
        let (plot, legend) = area.split_vertically(SIZE.1 as i32);
        chart(&plot, &title, &parameters, &measured, &series)?;
        entries(&legend, COLUMNS, names.into_iter())
    })
}
