//! Reading one picture: PNG, JPEG or BMP.

use super::DataError;
use super::augment::lightness;
use super::{jpeg, png};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, Luma};
use std::io::Cursor;
use std::path::Path;

/// The maximum number of rows or columns.
const MOST_SIDE: u32 = 1 << 15;
/// The maximum number of pixels; above it PIL warns of a decompression bomb.
const MOST_PIXELS: u64 = 89_478_485;
/// The maximum number of bytes of a file, and of a decoded picture.
const MOST_BYTES: u64 = 1 << 29;

/// The values of a picture as `[channels, rows, columns]`, channel by channel, with one channel as grey: the middle of
/// these proportions, resized.
pub(super) fn read(file: &Path, [channels, rows, columns]: [usize; 3]) -> Result<Vec<u8>, DataError> {
    let picture = decoded(file)?;
    let (rows, columns) = (rows as u32, columns as u32);
    let (x, y, width, height) = middle((picture.width(), picture.height()), (columns, rows));
    let color = picture.into_rgb8();
    Ok(if channels == 1 {
        let grey = GrayImage::from_fn(color.width(), color.height(), |x, y| {
            Luma([lightness(color.get_pixel(x, y).0)])
        });
        let part = imageops::crop_imm(&grey, x, y, width, height);
        imageops::resize(&*part, columns, rows, FilterType::Triangle).into_raw()
    } else {
        let part = imageops::crop_imm(&color, x, y, width, height);
        let resized = imageops::resize(&*part, columns, rows, FilterType::Triangle).into_raw();
        (0..3)
            .flat_map(|channel| resized.iter().copied().skip(channel).step_by(3))
            .collect()
    })
}

/// The picture in a file, whatever its name says.
fn decoded(file: &Path) -> Result<DynamicImage, DataError> {
    let no_picture = |reason| DataError::Picture {
        file: file.to_owned(),
        reason,
    };
    if file.is_dir() {
        return Err(no_picture(
            "it is a directory; class folders may contain only files".to_owned(),
        ));
    }
    let bytes = ksdsl_files::read(file, MOST_BYTES).map_err(|error| DataError::reading(file, MOST_BYTES, error))?;
    decode(&bytes).map_err(no_picture)
}

/// The picture of these bytes, or why there is none. Its orientation in EXIF data is not applied.
fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let words = |error: image::ImageError| error.to_string();
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        return Err("the file is truncated: it has no end marker".to_owned());
    }
    if reader.format() == Some(ImageFormat::Png) && !png::has_whole_palettes(bytes) {
        return Err("invalid palette: expected 1 to 256 colours of 3 bytes".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(words)?;
    let (columns, rows) = decoder.dimensions();
    if columns == 0 || rows == 0 {
        return Err("it has no pixels".to_owned());
    }
    if u64::from(columns) * u64::from(rows) > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(format!(
            "{rows} x {columns} pixels exceed the limit of {MOST_PIXELS}; resize the image"
        ));
    }
    DynamicImage::from_decoder(decoder).map_err(words)
}

/// The greatest part in the middle of a picture with the proportions of `to`: its corner and its size. Sizes are
/// (columns, rows).
pub(super) fn middle(from: (u32, u32), to: (u32, u32)) -> (u32, u32, u32, u32) {
    // In 64 bits, since sides are below 2^15 and 2^32.
    let [width, height, columns, rows] = [from.0, from.1, to.0, to.1].map(u64::from);
    let part = |a: u64, b: u64, c: u64| ((2 * a * b + c) / (2 * c)).max(1);
    let (width_taken, height_taken) = if width * rows > height * columns {
        (part(height, columns, rows).min(width), height)
    } else {
        (width, part(width, rows, columns).min(height))
    };
    let (x, y) = ((width - width_taken) / 2, (height - height_taken) / 2);
    (x as u32, y as u32, width_taken as u32, height_taken as u32)
}
