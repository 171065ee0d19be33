//! Pictures as pixels.

use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// DejaVu Sans; see `data/README.md` for its origin.
const FONT: &[u8] = include_bytes!("../../data/font/DejaVuSans-subset.ttf");
/// Pixels per unit of the SVG.
const SCALE: f32 = 2.0;
/// The most pixels, which take four bytes each.
const MOST: f32 = 1e8;

/// How SVG is read: with the embedded font only, so that no font has to be installed.
pub(super) fn options() -> usvg::Options<'static> {
    let mut options = usvg::Options::default();
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    options
}

/// An SVG picture as PNG, at twice its size.
///
/// # Errors
/// If it cannot be drawn, or would be too large.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let tree = usvg::Tree::from_str(svg, &options()).map_err(|error| error.to_string())?;
    let size = [tree.size().width(), tree.size().height()].map(|size| (SCALE * size).ceil());
    let [width, height] = size;
    if width * height > MOST {
        return Err(format!(
            "{width} x {height} pixels are more than a PNG may have; write SVG or close boxes with `--depth`"
        ));
    }
    let [width, height] = size.map(|size| size as u32);
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or("the picture has no pixels")?;
    let transform = tiny_skia::Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}
