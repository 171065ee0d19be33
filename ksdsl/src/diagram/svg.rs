//! Writes marks as SVG.

use super::kernels::label;
use super::mark::{Anchor, Area, Group, Line, Mark, Rect, Text};
use std::fmt::Write as _;

/// The radius of corners of lines.
const CORNER: f64 = 6.0;
/// The length of an arrowhead, and half of its width.
const HEAD: [f64; 2] = [7.0, 3.5];

/// A picture of this size.
pub(super) fn document([width, height]: [f64; 2], title: &str, style: &str, marks: &[Mark]) -> String {
    let [width, height] = [width, height].map(|size| number(size.ceil()));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{}</title>\n<style>{style}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(title)
    );
    for mark in marks {
        write(&mut svg, mark, [0.0; 2]);
    }
    svg.push_str("</svg>\n");
    svg
}

// Writing to a string cannot fail.
fn write(svg: &mut String, mark: &Mark, origin: [f64; 2]) {
    match mark {
        Mark::Rect(rect) => write_rect(svg, rect, origin),
        Mark::Text(text) => write_text(svg, text, origin),
        Mark::Line(line) => write_line(svg, line, origin),
        Mark::Group(group) => write_group(svg, group, origin),
    }
}

fn write_group(svg: &mut String, group: &Group, [x, y]: [f64; 2]) {
    let origin = [x + group.at[0], y + group.at[1]];
    let is_bare = group.class.is_empty();
    if !is_bare {
        let kernels = group.kernels.iter().map(|kernel| format!(" {}", label(*kernel)));
        let _ = write!(
            svg,
            "<g class=\"{}{}\"",
            escaped(&group.class),
            kernels.collect::<String>()
        );
        for (name, value) in &group.data {
            let _ = write!(svg, " data-{name}=\"{}\"", escaped(value));
        }
        svg.push('>');
        if !group.title.is_empty() {
            let _ = write!(svg, "<title>{}</title>", escaped(&group.title));
        }
        svg.push('\n');
    }
    group.marks.iter().for_each(|mark| write(svg, mark, origin));
    if !is_bare {
        svg.push_str("</g>\n");
    }
}

fn write_rect(svg: &mut String, rect: &Rect, [x, y]: [f64; 2]) {
    let Area { width, height, .. } = rect.area;
    let [x, y] = [x + rect.area.x, y + rect.area.y].map(number);
    svg.push_str("<rect");
    if !rect.class.is_empty() {
        let _ = write!(svg, " class=\"{}\"", rect.class);
    }
    let [width, height, radius] = [width, height, rect.radius].map(number);
    let _ = write!(
        svg,
        " x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\""
    );
    if let Some((colour, amount)) = rect.colour {
        let _ = write!(svg, " fill=\"{colour}\"");
        if amount < 1.0 {
            let _ = write!(svg, " fill-opacity=\"{}\"", number(amount));
        }
    }
    svg.push_str("/>\n");
}

fn write_text(svg: &mut String, text: &Text, [x, y]: [f64; 2]) {
    // The middle of digits and capital letters is about 0.36 of the size above the baseline.
    let [x, y] = [x + text.x, y + text.y + 0.36 * text.size].map(number);
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
    };
    let _ = write!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{anchor}",
        number(text.size)
    );
    match text.runs.as_slice() {
        [(class, run)] => {
            let _ = write!(svg, " class=\"{class}\">{}", escaped(run));
        }
        runs => {
            svg.push('>');
            for (class, run) in runs {
                let _ = write!(svg, "<tspan class=\"{class}\">{}</tspan>", escaped(run));
            }
        }
    }
    svg.push_str("</text>\n");
}

fn write_line(svg: &mut String, line: &Line, [x, y]: [f64; 2]) {
    let mut points: Vec<[f64; 2]> = line.points.iter().map(|point| [x + point[0], y + point[1]]).collect();
    points.dedup();
    let [.., before, tip] = points[..] else {
        return;
    };
    let direction = unit(before, tip);
    if line.arrow
        && let Some(end) = points.last_mut()
    {
        *end = along(tip, direction, -HEAD[0]);
    }
    let _ = write!(svg, "<path class=\"{}\"", line.class);
    if let Some(colour) = line.colour {
        let _ = write!(svg, " stroke=\"{colour}\"");
    }
    let _ = write!(svg, " d=\"{}\"/>", path(&points));
    if line.arrow {
        let base = along(tip, direction, -HEAD[0]);
        let side = [-direction[1] * HEAD[1], direction[0] * HEAD[1]];
        let corners = [
            tip,
            [base[0] + side[0], base[1] + side[1]],
            [base[0] - side[0], base[1] - side[1]],
        ];
        let [tip, one, two] = corners.map(|[x, y]| format!("{} {}", number(x), number(y)));
        let _ = write!(svg, "<path class=\"head\" d=\"M{tip}L{one}L{two}Z\"/>");
    }
    svg.push('\n');
}

/// Straight parts between rounded corners.
fn path(points: &[[f64; 2]]) -> String {
    let mut d = String::new();
    let place = |[x, y]: [f64; 2]| format!("{} {}", number(x), number(y));
    for (at, point) in points.iter().enumerate() {
        match (at.checked_sub(1).map(|before| points[before]), points.get(at + 1)) {
            (None, _) => d.push_str(&format!("M{}", place(*point))),
            (Some(_), None) => d.push_str(&format!("L{}", place(*point))),
            (Some(before), Some(after)) => {
                let radius = CORNER
                    .min(distance(before, *point) / 2.0)
                    .min(distance(*point, *after) / 2.0);
                let from = along(*point, unit(before, *point), -radius);
                let to = along(*point, unit(*point, *after), radius);
                d.push_str(&format!("L{}Q{} {}", place(from), place(*point), place(to)));
            }
        }
    }
    d
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
}

/// The direction of a horizontal or vertical line.
fn unit(from: [f64; 2], to: [f64; 2]) -> [f64; 2] {
    let sign = |difference: f64| match difference {
        d if d > 0.0 => 1.0,
        d if d < 0.0 => -1.0,
        _ => 0.0,
    };
    [sign(to[0] - from[0]), sign(to[1] - from[1])]
}

fn along([x, y]: [f64; 2], [dx, dy]: [f64; 2], length: f64) -> [f64; 2] {
    [x + dx * length, y + dy * length]
}

/// A number with two decimals at most.
fn number(value: f64) -> String {
    let rounded = format!("{value:.2}");
    let text = rounded.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" | "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Text for XML, which cannot hold every character (section 2.2 of XML 1.0).
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' => xml.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}
