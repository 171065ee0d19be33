//! A plot of a sweep: accuracy against parameters.

use super::chart::{Axis, Series, chart};
use super::scale::count;
use super::{COLOURS, Picture};
use crate::report::sweep::{Point, Sweep};
use std::io;

const SIZE: (u32, u32) = (860, 560);

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
            name: of.series_name(value),
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
    Picture::draw(SIZE, |area| {
        let title = format!("Final validation {} against parameters", measure.word());
        chart(area, &title, &parameters, &measured, &series)
    })
}
