//! A line or scatter chart with axes, title and legend.

use super::scale::{extent, is_drawn, label, log_marks, marks, own_label};
use super::{AXIS, Area, Drawn, GRID, HAlign, INK, VAlign, letters};
use plotters::prelude::*;

/// A line, or points.
pub(super) struct Series {
    /// The name in the legend, if it has an entry.
    pub(super) name: Option<String>,
    pub(super) colour: RGBColor,
    /// Line width; 0 for points without a line.
    pub(super) width: u32,
    /// Radius of the points; 0 for a line without points.
    pub(super) radius: i32,
    pub(super) points: Vec<(f64, f64)>,
    /// Texts beside the points, as many as there are or none.
    pub(super) labels: Vec<String>,
    /// Error bars of the points, as many as there are or none.
    pub(super) bars: Vec<(f64, f64)>,
}

/// An axis.
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) logarithmic: bool,
    /// Formats tick labels; numbers by default.
    pub(super) label: Option<fn(f64) -> String>,
    /// A fixed range.
    pub(super) range: Option<(f64, f64)>,
    /// Limits of the margin around the values.
    pub(super) bounds: (f64, f64),
}

impl Axis {
    pub(super) fn linear(title: &'static str) -> Self {
        Self {
            title,
            logarithmic: false,
            label: None,
            range: None,
            bounds: (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The range to show: the values with a margin.
    fn shown(&self, values: impl IntoIterator<Item = f64>) -> (f64, f64) {
        let (low, high) = self
            .range
            .or_else(|| extent(values, self.logarithmic))
            .unwrap_or((0.1, 1.0));
        if self.range.is_some() {
            return if high > low {
                (low, high)
            } else {
                (low - 0.5, low + 0.5)
            };
        }
        if self.logarithmic {
            let room = (high / low).powf(0.06).max(1.15);
            return (low / room, high * room);
        }
        let room = if high > low {
            0.05 * (high - low)
        } else {
            0.05 * high.abs().max(1e-3)
        };
        let (low, high) = ((low - room).max(self.bounds.0), (high + room).min(self.bounds.1));
        // If all values are out of bounds.
        if high > low { (low, high) } else { (low, low + 1.0) }
    }

    /// Whether a value lies in the range shown.
    fn shows(&self, value: f64, range: (f64, f64)) -> bool {
        is_drawn(value, self.logarithmic) && (-1e-6..=1.0 + 1e-6).contains(&self.place(value, range))
    }

    fn marks(&self, (low, high): (f64, f64), about: usize) -> Vec<(f64, String)> {
        let marks = if self.logarithmic {
            log_marks(low, high)
        } else {
            marks(low, high, about)
        };
        let step = match marks[..] {
            [first, second, ..] => second - first,
            _ => 1.0,
        };
        let text = |mark: f64| match self.label {
            Some(label) => label(mark),
            None if self.logarithmic => own_label(mark),
            None => label(mark, step),
        };
        marks.into_iter().map(|mark| (mark, text(mark))).collect()
    }

    /// The relative position of a value in the range, 0 to 1.
    fn place(&self, value: f64, (low, high): (f64, f64)) -> f64 {
        if self.logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        }
    }
}

/// Margins around the plot area, in pixels: left, top, right, bottom.
const ROOM: [i32; 4] = [66, 62, 22, 50];

/// Height of a line in a legend below a chart.
const LINE: i32 = 22;
/// Pixels between two legend entries.
const GAP: i32 = 14;

/// Draws a chart that fills `area`.
pub(super) fn chart(area: &Area<'_>, title: &str, x: &Axis, y: &Axis, series: &[Series]) -> Drawn {
    let plane = Plane::new(area, x, y, series);
    area.draw_text(title, &letters(15, HAlign::Left, VAlign::Top), (plane.left, 10))?;
    plane.axes(area)?;
    series.iter().try_for_each(|series| plane.series(area, series))?;
    legend(area, (plane.left, 34), plane.right, series)
}

/// The plot area between the axes, in pixels, and the ranges of both axes.
struct Plane<'a> {
    x: &'a Axis,
    y: &'a Axis,
    range_x: (f64, f64),
    range_y: (f64, f64),
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl<'a> Plane<'a> {
    fn new(area: &Area<'_>, x: &'a Axis, y: &'a Axis, series: &[Series]) -> Self {
        let (width, height) = area.dim_in_pixel();
        let points = || series.iter().flat_map(|series| series.points.iter());
        let bars = series
            .iter()
            .flat_map(|series| &series.bars)
            .flat_map(|bar| [bar.0, bar.1]);
        Self {
            x,
            y,
            range_x: x.shown(points().map(|point| point.0)),
            range_y: y.shown(points().map(|point| point.1).chain(bars)),
            left: ROOM[0],
            top: ROOM[1],
            right: width as i32 - ROOM[2],
            bottom: height as i32 - ROOM[3],
        }
    }

    fn at_x(&self, value: f64) -> i32 {
        self.left + (self.x.place(value, self.range_x) * f64::from(self.right - self.left)).round() as i32
    }

    fn at_y(&self, value: f64) -> i32 {
        self.bottom - (self.y.place(value, self.range_y) * f64::from(self.bottom - self.top)).round() as i32
    }

    /// Draws both axes with ticks, grid lines and titles.
    fn axes(&self, area: &Area<'_>) -> Drawn {
        let Self {
            left,
            top,
            right,
            bottom,
            ..
        } = *self;
        for (value, text) in self.x.marks(self.range_x, (right - left) as usize / 60) {
            let at = self.at_x(value);
            area.draw(&PathElement::new([(at, top), (at, bottom)], GRID))?;
            area.draw_text(&text, &letters(12, HAlign::Center, VAlign::Top), (at, bottom + 6))?;
        }
        for (value, text) in self.y.marks(self.range_y, (bottom - top) as usize / 45) {
            let at = self.at_y(value);
            area.draw(&PathElement::new([(left, at), (right, at)], GRID))?;
            area.draw_text(&text, &letters(12, HAlign::Right, VAlign::Center), (left - 7, at))?;
        }
        area.draw(&PathElement::new([(left, top), (left, bottom), (right, bottom)], AXIS))?;
        let below = ((left + right) / 2, bottom + ROOM[3] - 6);
        area.draw_text(self.x.title, &letters(13, HAlign::Center, VAlign::Bottom), below)?;
        let sideways = letters(13, HAlign::Center, VAlign::Top).transform(FontTransform::Rotate270);
        area.draw_text(self.y.title, &sideways, (4, (top + bottom) / 2))?;
        Ok(())
    }

    /// Draws a series, without points that are NaN, out of range, or not positive on a logarithmic axis.
    fn series(&self, area: &Area<'_>, series: &Series) -> Drawn {
        let shown = |point: &&(f64, f64)| self.x.shows(point.0, self.range_x) && self.y.shows(point.1, self.range_y);
        for (point, label) in series
            .points
            .iter()
            .zip(&series.labels)
            .filter(|(point, _)| shown(point))
        {
            let at = (self.at_x(point.0) + 8, self.at_y(point.1) - 9);
            area.draw_text(
                label,
                &letters(11, HAlign::Left, VAlign::Center).color(&series.colour),
                at,
            )?;
        }
        for (point, bar) in series.points.iter().zip(&series.bars).filter(|(point, _)| shown(point)) {
            let (x, ends) = (self.at_x(point.0), [bar.0, bar.1].map(|end| self.at_y(end)));
            area.draw(&PathElement::new(ends.map(|y| (x, y)), series.colour.stroke_width(1)))?;
            for y in ends {
                area.draw(&PathElement::new(
                    [(x - 4, y), (x + 4, y)],
                    series.colour.stroke_width(1),
                ))?;
            }
        }
        let points = series.points.iter().filter(shown);
        let places: Vec<_> = points.map(|&(x, y)| (self.at_x(x), self.at_y(y))).collect();
        // A line through a single point is invisible.
        let least = if places.len() == 1 { 3 } else { 0 };
        let radius = series.radius.max(least);
        if radius > 0 {
            let point = |&place: &(i32, i32)| area.draw(&Circle::new(place, radius, series.colour.filled()));
            places.iter().try_for_each(point)?;
        }
        if series.width > 0 {
            let style = series.colour.stroke_width(series.width);
            area.draw(&PathElement::new(places, style))?;
        }
        Ok(())
    }
}

/// The legend, a line under the title.
fn legend(area: &Area<'_>, (mut x, y): (i32, i32), right: i32, series: &[Series]) -> Drawn {
    for (name, series) in series.iter().filter_map(|series| Some((series.name.as_ref()?, series))) {
        let needed = 24 + text_width(name, 12) + GAP;
        if x + needed - GAP > right {
            break; // pictures that can have many series have an `entries` below
        }
        sample(area, (x, y), series)?;
        area.draw_text(name, &letters(12, HAlign::Left, VAlign::Center), (x + 24, y + 6))?;
        x += needed;
    }
    Ok(())
}

/// The height that a legend of so many entries takes below a chart.
pub(super) fn height_of(entries: usize, columns: i32) -> i32 {
    entries.div_ceil(columns.max(1) as usize) as i32 * LINE + 20
}

/// A legend below a chart: entries in columns of this width, line by line.
pub(super) fn entries<'s>(
    area: &Area<'_>,
    (columns, width): (i32, i32),
    of: impl Iterator<Item = (String, &'s Series)>,
) -> Drawn {
    for (index, (name, series)) in of.enumerate() {
        let (column, line) = (index as i32 % columns.max(1), index as i32 / columns.max(1));
        let (x, y) = (66 + column * width, 8 + line * LINE);
        sample(area, (x, y), series)?;
        area.draw_text(&name, &letters(12, HAlign::Left, VAlign::Center), (x + 24, y + 6))?;
    }
    Ok(())
}

/// A legend sample of a series.
fn sample(area: &Area<'_>, (x, y): (i32, i32), series: &Series) -> Drawn {
    if series.width > 0 {
        let line = [(x, y + 6), (x + 18, y + 6)];
        area.draw(&PathElement::new(line, series.colour.stroke_width(series.width.max(2))))?;
    }
    if series.radius > 0 {
        area.draw(&Circle::new((x + 9, y + 6), series.radius, series.colour.filled()))?;
    }
    Ok(())
}

/// An upper estimate of the width of a text, in pixels.
pub(super) fn text_width(text: &str, size: u32) -> i32 {
    (0.56 * f64::from(size) * text.chars().count() as f64).ceil() as i32
}

/// Draws the title at the top left.
pub(super) fn headline(area: &Area<'_>, text: &str) -> Drawn {
    let style = letters(18, HAlign::Left, VAlign::Top).color(&INK);
    area.draw_text(text, &style, (16, 12))?;
    Ok(())
}
