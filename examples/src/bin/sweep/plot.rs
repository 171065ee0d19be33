//! The picture: accuracy over parameters.

use crate::results::Point;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (960, 600);
/// The mappings with their colours (of Okabe and Ito, told apart by the colour-blind).
const MAPPINGS: [(&str, &str, RGBColor); 3] = [
    ("unshared", "nothing shared", RGBColor(0, 0, 0)),
    ("one", "one kernel per stage", RGBColor(0, 114, 178)),
    ("cycle", "two per stage, in turn", RGBColor(213, 94, 0)),
];

/// Draws all points to an SVG file. The size of a point is the network's depth.
pub(crate) fn draw(path: &Path, data: &str, points: &[Point]) -> Result<(), Box<dyn Error>> {
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (parameters, accuracies) = ranges(points);
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Sharing patterns on {data}"), ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(parameters.log_scale(), accuracies)?;
        chart
            .configure_mesh()
            .x_desc("parameters")
            .y_desc("accuracy (%)")
            .x_label_formatter(&|value| format!("{:.0}k", value / 1e3))
            .y_label_formatter(&|value| format!("{value:.1}"))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (mapping, legend, colour) in MAPPINGS {
            let of_mapping: Vec<&Point> = points.iter().filter(|point| point.mapping == mapping).collect();
            if of_mapping.is_empty() {
                continue;
            }
            let marks = of_mapping.into_iter().map(|point| {
                let at = (point.parameters as f64, 100.0 * point.accuracy);
                Circle::new(at, 2 + 2 * point.depth as i32, colour.mix(0.75).filled())
            });
            chart
                .draw_series(marks)?
                .label(legend)
                .legend(move |(x, y)| Circle::new((x + 10, y), 5, colour.mix(0.75).filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    std::fs::write(path, picture).map_err(|error| format!("cannot write `{}`: {error}", path.display()).into())
}

/// Parameters and accuracies in percent, with some room around them.
fn ranges(points: &[Point]) -> (std::ops::Range<f64>, std::ops::Range<f64>) {
    let range = |values: &dyn Fn(&Point) -> f64| {
        points
            .iter()
            .map(values)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    let (fewest, most) = range(&|point| point.parameters as f64);
    let (worst, best) = range(&|point| 100.0 * point.accuracy);
    let room = (0.1 * (best - worst)).max(0.1);
    (fewest / 1.2..most * 1.2, worst - room..best + room)
}
