//! Plots of runs as SVG and PNG. The font is embedded, so none needs to be installed.

mod chart;
mod comparison;
mod confusion;
mod curves;
mod observer;
mod scale;
mod sweep;

pub use comparison::comparison;
pub use confusion::confusion;
pub use curves::curves;
pub use observer::Pictures;
pub use sweep::sweep;

#[cfg(feature = "pictures")]
use super::file::named;
use super::file::replace;
use plotters::prelude::*;
#[cfg(feature = "pictures")]
use resvg::{tiny_skia, usvg};
use std::io;
use std::path::Path;

/// DejaVu Sans; see `data/README.md` for its origin.
#[cfg(feature = "pictures")]
const FONT: &[u8] = include_bytes!("../../../data/font/DejaVuSans-subset.ttf");
/// PNG pixels per SVG pixel.
#[cfg(feature = "pictures")]
const PNG_SCALE: f32 = 2.0;

/// Colours that are safe for colour-blind readers (Okabe & Ito 2008), those with more contrast first.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 140, 20),
];
/// Text.
const INK: RGBColor = RGBColor(30, 30, 30);
/// Axes.
const AXIS: RGBColor = RGBColor(110, 110, 110);
/// Grid lines.
const GRID: RGBColor = RGBColor(225, 225, 225);

/// A drawing surface of plotters that writes SVG.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Vector graphics.
    Svg,
    /// Pixels; needs the feature `pictures`.
    Png,
}

impl Format {
    /// The format for a path's extension: `.svg` or `.png`, in any case; SVG without an extension.
    ///
    /// # Errors
    /// If the extension is any other, or `.png` without the feature `pictures`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let Some(ending) = path.extension() else {
            return Ok(Self::Svg);
        };
        let formats = [("svg", Self::Svg), ("png", Self::Png)];
        let of_ending = formats.into_iter().find(|(name, _)| ending.eq_ignore_ascii_case(name));
        let reason = match of_ending {
            Some((_, Self::Png)) if cfg!(not(feature = "pictures")) => {
                "PNG files need the feature `pictures` (`--features pictures`); SVG files do not"
            }
            Some((_, format)) => return Ok(format),
            None => "unsupported picture format; use the extension `.svg` or `.png`",
        };
        let reason = format!("`{}`: {reason}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}

/// A plot, as SVG text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture(String);

impl Picture {
    /// Draws on a white background.
    ///
    /// # Errors
    /// If plotters fails; no cause is known.
    pub(super) fn draw(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> io::Result<Self> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
            let drawn = drawn.and_then(|()| area.present().map_err(Into::into));
            drawn.map_err(|error| io::Error::other(format!("cannot draw: {error}")))?;
        }
        // Names may contain characters that XML forbids.
        let svg = svg
            .chars()
            .map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER });
        Ok(Self(svg.collect()))
    }

    /// The SVG.
    pub fn svg(&self) -> &str {
        &self.0
    }

    /// The plot as a PNG file, at twice the SVG's size in pixels.
    ///
    /// # Errors
    /// If it cannot be rendered.
    #[cfg(feature = "pictures")]
    pub fn png(&self) -> io::Result<Vec<u8>> {
        let mut options = usvg::Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        let tree = usvg::Tree::from_str(&self.0, &options).map_err(io::Error::other)?;
        let pixels = |size: f32| (PNG_SCALE * size).ceil() as u32;
        let mut pixmap = tiny_skia::Pixmap::new(pixels(tree.size().width()), pixels(tree.size().height()))
            .ok_or_else(|| io::Error::other("the picture has no pixels"))?;
        let transform = tiny_skia::Transform::from_scale(PNG_SCALE, PNG_SCALE);
        resvg::render(&tree, transform, &mut pixmap.as_mut());
        pixmap.encode_png().map_err(io::Error::other)
    }

    /// Saves the plot in the [`Format`] of the path's extension.
    ///
    /// # Errors
    /// If the extension is not supported, or the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        match Format::of(path)? {
            Format::Svg => replace(path, self.0.as_bytes()),
            #[cfg(feature = "pictures")]
            Format::Png => replace(path, &self.png().map_err(|error| named("draw", path, error))?),
            #[cfg(not(feature = "pictures"))]
            Format::Png => unreachable!("no format of a name"),
        }
    }

    /// Saves the picture into a folder: as SVG, and with the feature `pictures` as PNG too.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn save_all(&self, folder: &Path, name: &str) -> io::Result<()> {
        self.save(&folder.join(format!("{name}.svg")))?;
        match cfg!(feature = "pictures") {
            true => self.save(&folder.join(format!("{name}.png"))),
            false => Ok(()),
        }
    }
}

/// Whether a character is allowed in XML 1.0 (section 2.2) and is not a control character.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..) && (!c.is_control() || c.is_ascii_whitespace())
}

/// The result of drawing.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A text style of this size, with the given anchor.
fn letters<'a>(size: u32, horizontal: HAlign, vertical: VAlign) -> TextStyle<'a> {
    use plotters::style::text_anchor::Pos;
    TextStyle::from(("sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(horizontal, vertical))
}

use plotters::style::text_anchor::{HPos as HAlign, VPos as VAlign};

/// A name truncated to `max` characters.
fn shortened(name: &str, max: usize) -> String {
    if name.chars().count() <= max {
        return name.to_owned();
    }
    name.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
#[path = "../picture_tests.rs"]
pub(super) mod tests;
