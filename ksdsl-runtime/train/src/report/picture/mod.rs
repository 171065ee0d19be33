//! Pictures of runs, drawn as SVG, and as PNG from that: the letters are carried along, so no fonts need to
//! be installed.

mod chart;
mod comparison;
mod confusion;
mod curves;
mod observer;
mod scale;

pub use comparison::comparison;
pub use confusion::confusion;
pub use curves::curves;
pub use observer::Pictures;

#[cfg(feature = "pictures")]
use super::file::named;
use super::file::replace;
use plotters::prelude::*;
#[cfg(feature = "pictures")]
use resvg::{tiny_skia, usvg};
use std::io;
use std::path::Path;

#[cfg(feature = "pictures")]
/// DejaVu Sans; `data/README.md` says where it comes from.
const FONT: &[u8] = include_bytes!("../../../data/font/DejaVuSans-subset.ttf");
#[cfg(feature = "pictures")]
/// Pixels of a PNG for each unit of the drawing.
const PNG_SCALE: f32 = 2.0;

/// Colours that the colour-blind tell apart (Okabe & Ito 2008), those with more contrast first.
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
/// Letters.
const INK: RGBColor = RGBColor(30, 30, 30);
/// Axes.
const AXIS: RGBColor = RGBColor(110, 110, 110);
/// Lines of the grid.
const GRID: RGBColor = RGBColor(225, 225, 225);

/// A drawing surface of plotters that writes SVG.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// How a picture is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it was drawn.
    Svg,
    /// Rendered, which needs the feature `pictures`.
    Png,
}

impl Format {
    /// The format that a file's name says: PNG or SVG by its ending, in letters of any case; without one, SVG.
    ///
    /// # Errors
    /// If the name ends in anything else, or in `.png` without the feature `pictures`.
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
            None => "pictures end in `.svg` or `.png`",
        };
        let reason = format!("`{}`: {reason}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }
}

/// A drawing as SVG text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture(String);

impl Picture {
    /// Draws on white ground.
    ///
    /// # Errors
    /// If plotters cannot; it has no reason that we know of.
    pub(super) fn draw(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> io::Result<Self> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
            let drawn = drawn.and_then(|()| area.present().map_err(Into::into));
            drawn.map_err(|error| io::Error::other(format!("cannot draw: {error}")))?;
        }
        // Names may hold what XML cannot.
        let svg = svg
            .chars()
            .map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER });
        Ok(Self(svg.collect()))
    }

    /// The SVG.
    pub fn svg(&self) -> &str {
        &self.0
    }

    /// The picture as a PNG file of twice as many pixels.
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
            .ok_or_else(|| io::Error::other("a picture without pixels"))?;
        let transform = tiny_skia::Transform::from_scale(PNG_SCALE, PNG_SCALE);
        resvg::render(&tree, transform, &mut pixmap.as_mut());
        pixmap.encode_png().map_err(io::Error::other)
    }

    /// Saves the picture in the [`Format`] that the file's name says.
    ///
    /// # Errors
    /// If the name ends in that of another format, or the file cannot be written.
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

/// Whether a character can be in XML 1.0 (section 2.2), and controls no terminal.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..) && (!c.is_control() || c.is_ascii_whitespace())
}

/// What drawing comes to.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Letters of this size, anchored at their point as `horizontal` and `vertical` say.
fn letters<'a>(size: u32, horizontal: HAlign, vertical: VAlign) -> TextStyle<'a> {
    use plotters::style::text_anchor::Pos;
    TextStyle::from(("sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(horizontal, vertical))
}

use plotters::style::text_anchor::{HPos as HAlign, VPos as VAlign};

/// A name that takes no more than `most` letters.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
#[path = "../picture_tests.rs"]
pub(super) mod tests;
