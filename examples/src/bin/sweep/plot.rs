//! The plot: accuracy against parameters.

use crate::results::Point;
use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, WithKeyPoints};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::ops::Range;
use std::path::Path;

const SIZE: (u32, u32) = (960, 640);
const FONT: &str = "sans-serif";
const EXPLANATION: &str = "The number at a marker is the number of stages that share, counted from the last; lines connect networks of equal depth and mapping.";
/// The mappings with their colours (Okabe and Ito's, safe for colour-blind readers).
const MAPPINGS: [(&str, &str, RGBColor); 3] = [
    ("unshared", "unshared", RGBColor(0, 0, 0)),
    ("one", "one kernel per stage", RGBColor(0, 114, 178)),
    ("cycle", "two per stage, alternating", RGBColor(213, 94, 0)),
];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// A legend entry draws nothing in the chart itself.
const NOTHING: [Circle<(f64, f64), i32>; 0] = [];

type Outcome = Result<(), Box<dyn Error>>;
type Chart<'a, 'p> = ChartContext<'a, SVGBackend<'p>, Cartesian2d<WithKeyPoints<LogCoord<f64>>, RangedCoordf64>>;
type Area<'p> = DrawingArea<SVGBackend<'p>, Shift>;

/// Draws all points to an SVG file, with a colour per mapping and a marker shape per depth.
pub(crate) fn draw(path: &Path, data: &str, points: &[Point]) -> Outcome {
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let centred = |size: u32| text(size, BLACK).pos(Pos::new(HPos::Center, VPos::Top));
        let middle = SIZE.0 as i32 / 2;
        area.draw_text(&format!("Sharing patterns on {data}"), &centred(30), (middle, 14))?;
        area.draw_text(EXPLANATION, &centred(17), (middle, 46))?;
        chart(&area.margin(72, 12, 16, 28), points)?;
        area.present()?;
    }
    ksdsl_files::write(path, picture.as_bytes())
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()).into())
}

/// Axes, markers with their lines, and the legend.
fn chart(area: &Area<'_>, points: &[Point]) -> Outcome {
    let (parameters, accuracies) = ranges(points);
    let labels = round_numbers(&parameters);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d(parameters.log_scale().with_key_points(labels), accuracies)?;
    chart
        .configure_mesh()
        .x_desc("Parameters")
        .y_desc("Validation accuracy (%)")
        .axis_desc_style((FONT, 20))
        .label_style((FONT, 17))
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    marks(&mut chart, points)?;
    legend(&mut chart, points)?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font((FONT, 17))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// The markers of the networks, each with its number of sharing stages, and the lines between them.
fn marks(chart: &mut Chart<'_, '_>, points: &[Point]) -> Outcome {
    for (mapping, _, colour) in MAPPINGS {
        let style = colour.mix(0.8).filled();
        for (shape, &depth) in depths(points).iter().enumerate() {
            let series = series(points, depth, mapping);
            let line: Vec<(f64, f64)> = series.iter().map(|point| place(point)).collect();
            chart.draw_series([PathElement::new(line, colour.mix(0.35))])?;
            for point in series.iter().filter(|point| point.mapping == mapping) {
                let at = place(point);
                match shape {
                    0 => chart.draw_series([Circle::new(at, 5, style)])?,
                    1 => chart.draw_series([TriangleMarker::new(at, 8, style)])?,
                    _ => chart.draw_series([EmptyElement::at(at) + Rectangle::new([(-5, -5), (5, 5)], style)])?,
                };
                let number = Text::new(point.shared.to_string(), (8, -14), text(15, colour));
                chart.draw_series([EmptyElement::at(at) + number])?;
            }
        }
    }
    Ok(())
}

/// A colour for each mapping, a shape for each depth.
fn legend(chart: &mut Chart<'_, '_>, points: &[Point]) -> Outcome {
    for (mapping, legend, colour) in MAPPINGS {
        if points.iter().any(|point| point.mapping == mapping) {
            let entry = chart.draw_series(NOTHING)?.label(legend);
            entry.legend(move |(x, y)| Rectangle::new([(x + 3, y - 2), (x + 17, y + 2)], colour.filled()));
        }
    }
    for (shape, depth) in depths(points).iter().enumerate() {
        let entry = chart.draw_series(NOTHING)?.label(format!("{depth} blocks per stage"));
        let style = GREY.filled();
        match shape {
            0 => entry.legend(move |(x, y)| Circle::new((x + 10, y), 5, style)),
            1 => entry.legend(move |(x, y)| TriangleMarker::new((x + 10, y), 8, style)),
            _ => entry.legend(move |(x, y)| Rectangle::new([(x + 5, y - 5), (x + 15, y + 5)], style)),
        };
    }
    Ok(())
}

fn place(point: &Point) -> (f64, f64) {
    (point.parameters as f64, 100.0 * point.accuracy)
}

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    let mut style = TextStyle::from((FONT, size).into_font());
    style.color = colour.to_backend_color();
    style
}

/// The depths there are, in order.
fn depths(points: &[Point]) -> Vec<usize> {
    let mut depths: Vec<usize> = points.iter().map(|point| point.depth).collect();
    depths.sort_unstable();
    depths.dedup();
    depths
}

/// The unshared network of a depth, then those of a mapping by increasing number of sharing stages.
fn series<'p>(points: &'p [Point], depth: usize, mapping: &str) -> Vec<&'p Point> {
    let belongs = |point: &&Point| point.depth == depth && (point.shared == 0 || point.mapping == mapping);
    let mut series: Vec<&Point> = points.iter().filter(belongs).collect();
    series.sort_by_key(|point| point.shared);
    series
}

/// The ranges of parameters and of accuracies in percent, with a margin.
fn ranges(points: &[Point]) -> (Range<f64>, Range<f64>) {
    let range = |values: &dyn Fn(&Point) -> f64| {
        let values = points.iter().map(values);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let (fewest, most) = range(&|point| point.parameters as f64);
    let (worst, best) = range(&|point| 100.0 * point.accuracy);
    let room = (0.1 * (best - worst)).max(0.1);
    (fewest / 1.2..most * 1.2, worst - room..best + room)
}

/// Axis labels for a range: 1, 2 and 5 times the powers of ten; all digits if the range is short.
fn round_numbers(range: &Range<f64>) -> Vec<f64> {
    let digits: &[f64] = match range.end / range.start {
        ratio if ratio < 8.0 => &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        _ => &[1.0, 2.0, 5.0],
    };
    let powers = (0..12).map(|power| 10f64.powi(power));
    let numbers = powers.flat_map(|power| digits.iter().map(move |digit| digit * power));
    numbers.filter(|number| range.contains(number)).collect()
}

/// `40k` for 40,000, `1.2M` for 1,200,000.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => value.to_string(),
    }
}
