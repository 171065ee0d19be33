//! A plot of the confusion matrix.

use super::chart::{headline, text_width};
use super::{AXIS, Area, Drawn, HAlign, INK, Picture, VAlign, letters, shortened};
use crate::metrics::Evaluation;
use indicatif::HumanCount;
use plotters::prelude::*;
use std::io;

/// The maximum length of a class name in the plot.
const NAME: usize = 16;
/// With more classes than this, only every tenth class is labelled and cells have no counts.
const WRITTEN: usize = 24;
/// Side of the matrix if its cells have no counts.
const SIDE: i32 = 620;
/// Dark blue, the colour of a full cell.
const FULL: (f64, f64, f64) = (8.0, 48.0, 107.0);

/// Plots the confusion matrix: rows are true classes, columns predicted classes. A cell is the darker the larger its
/// fraction of the row; the scale is the square root of the fraction, so that single errors are visible.
///
/// # Errors
/// If it cannot be drawn.
pub fn confusion(title: &str, classes: &[String], evaluation: &Evaluation) -> io::Result<Picture> {
    let layout = Layout::new(title, classes, evaluation.classes());
    Picture::draw(layout.size(), |area| {
        headline(area, title)?;
        let subtitle = format!(
            "{} images, accuracy {:.2} %; rows: true class, columns: predicted class",
            HumanCount(evaluation.images as u64),
            100.0 * evaluation.top1
        );
        area.draw_text(&subtitle, &letters(13, HAlign::Left, VAlign::Top), (16, 40))?;
        cells(area, &layout, evaluation)?;
        names(area, &layout, classes)?;
        titles(area, &layout)
    })
}

/// The layout, in pixels.
struct Layout {
    classes: usize,
    cell: i32,
    left: i32,
    top: i32,
    below: i32,
    /// Whether the column names are rotated by 90 degrees.
    upright: bool,
    title: i32,
}

impl Layout {
    fn new(title: &str, names: &[String], classes: usize) -> Self {
        let written = classes <= WRITTEN;
        let cell = if written {
            44
        } else {
            (SIDE / classes.max(1) as i32).max(2)
        };
        let longest = if written {
            let widths = names.iter().map(|name| text_width(&shortened(name, NAME), 13));
            widths.max().unwrap_or(0).max(20)
        } else {
            text_width("0000", 13)
        };
        let upright = written && longest > cell - 4;
        Self {
            classes,
            cell,
            left: 44 + longest,
            top: 76,
            below: if upright { longest } else { 20 } + 44,
            upright,
            title: text_width(title, 18).max(text_width(&"n".repeat(66), 13)),
        }
    }

    fn side(&self) -> i32 {
        self.classes as i32 * self.cell
    }

    fn size(&self) -> (u32, u32) {
        let width = (self.left + self.side() + 24).max(self.title + 32);
        (width as u32, (self.top + self.side() + self.below) as u32)
    }

    /// The classes that are labelled.
    fn named(&self) -> impl Iterator<Item = usize> {
        let every = if self.classes <= WRITTEN { 1 } else { 10 };
        (0..self.classes).step_by(every)
    }

    /// The centre of a class's row or column; the first one begins at `first`.
    fn middle(&self, first: i32, class: usize) -> i32 {
        first + class as i32 * self.cell + self.cell / 2
    }
}

fn cells(area: &Area<'_>, layout: &Layout, evaluation: &Evaluation) -> Drawn {
    let scores = evaluation.scores();
    for (row, score) in scores.iter().enumerate() {
        for column in 0..layout.classes {
            let count = evaluation.confused(row, column);
            let share = count as f64 / score.images.max(1) as f64;
            let (x, y) = (
                layout.left + column as i32 * layout.cell,
                layout.top + row as i32 * layout.cell,
            );
            let square = [(x, y), (x + layout.cell, y + layout.cell)];
            area.draw(&Rectangle::new(square, shade(share).filled()))?;
            if count > 0 && layout.classes <= WRITTEN {
                let ink = if share.sqrt() > 0.55 { WHITE } else { INK };
                let size = if count >= 10_000 { 11 } else { 13 };
                let style = letters(size, HAlign::Center, VAlign::Center).color(&ink);
                let middle = (layout.middle(layout.left, column), layout.middle(layout.top, row));
                area.draw_text(&count.to_string(), &style, middle)?;
            }
        }
    }
    let frame = [
        (layout.left, layout.top),
        (layout.left + layout.side(), layout.top + layout.side()),
    ];
    area.draw(&Rectangle::new(frame, AXIS))?;
    Ok(())
}

/// From nearly white, so that empty cells are visible, to dark blue.
fn shade(share: f64) -> RGBColor {
    let depth = share.sqrt().min(1.0);
    let blend = |full: f64| (247.0 + (full - 247.0) * depth).round() as u8;
    RGBColor(blend(FULL.0), blend(FULL.1), blend(FULL.2))
}

fn names(area: &Area<'_>, layout: &Layout, names: &[String]) -> Drawn {
    let below = layout.top + layout.side() + 6;
    let column = if layout.upright {
        letters(13, HAlign::Right, VAlign::Center).transform(FontTransform::Rotate270)
    } else {
        letters(13, HAlign::Center, VAlign::Top)
    };
    for class in layout.named() {
        let name = match names.get(class) {
            Some(name) if layout.classes <= WRITTEN => shortened(name, NAME),
            _ => class.to_string(),
        };
        let row = letters(13, HAlign::Right, VAlign::Center);
        area.draw_text(&name, &row, (layout.left - 7, layout.middle(layout.top, class)))?;
        area.draw_text(&name, &column, (layout.middle(layout.left, class), below))?;
    }
    Ok(())
}

fn titles(area: &Area<'_>, layout: &Layout) -> Drawn {
    let (_, height) = layout.size();
    let centre = layout.side() / 2;
    let below = letters(13, HAlign::Center, VAlign::Bottom);
    area.draw_text("predicted", &below, (layout.left + centre, height as i32 - 10))?;
    let sideways = letters(13, HAlign::Center, VAlign::Top).transform(FontTransform::Rotate270);
    area.draw_text("true", &sideways, (8, layout.top + centre))?;
    Ok(())
}
