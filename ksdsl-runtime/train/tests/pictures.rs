//! Pictures that are whole, truncated, damaged, absurd, or no pictures. Those in `pictures` are 24x20 pixels and were
//! written by PIL 13.0.0 (`baseline.jpg` and `rgb.bmp` of `a`, the others of what their names say):
//!
//! ```python
//! a = np.array([[[(c * 89 + y * 7 + x * 11 + x * y) % 256 for c in range(3)] for x in range(24)]
//!               for y in range(20)], dtype=np.uint8)
//! Image.fromarray(a).save("baseline.jpg", quality=60)     # grey: .convert("L"), progressive=True, ...
//! ```
//!
//! except `rle.bmp` (8x6, RLE8) and `interlaced.png` (9x7, Adam7), which were put together by hand.

use ksdsl_train::data::{DataError, Dataset, read_picture};
use std::fs;
use std::path::Path;

/// The size of the images.
const IMAGE: [usize; 3] = [3, 20, 24];

macro_rules! pictures {
    ($($name:literal)+) => {
        [$(($name, include_bytes!(concat!("pictures/", $name)).as_slice())),+]
    };
}

const JPEGS: [(&str, &[u8]); 6] =
    pictures!["baseline.jpg" "grey.jpg" "progressive.jpg" "grey_progressive.jpg" "restart.jpg" "cmyk.jpg"];
const PNGS: [(&str, &[u8]); 5] = pictures!["rgb.png" "rgba.png" "pal.png" "g16.png" "interlaced.png"];
const BMPS: [(&str, &[u8]); 3] = pictures!["rgb.bmp" "pal.bmp" "rle.bmp"];

/// The length of the palette of `pal.png`: four bytes before its type.
fn length_of_palette(bytes: &mut [u8]) -> &mut [u8] {
    let at = bytes.windows(4).position(|kind| kind == b"PLTE").unwrap();
    &mut bytes[at - 4..at]
}

/// Reads bytes as a file called `picture`.
struct Reader(tempfile::TempDir);

impl Reader {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
        let path = self.0.path().join("picture");
        fs::write(&path, bytes).unwrap();
        read_picture(path, IMAGE)
    }

    /// The reason why bytes are refused; the message names the file.
    fn refused(&self, bytes: &[u8]) -> String {
        let message = self.read(bytes).expect_err("refused").to_string();
        let path = self.0.path().join("picture");
        let (name, reason) = message.split_once("`: ").expect(&message);
        assert_eq!(name, format!("cannot read the image `{}", path.display()));
        reason.to_owned()
    }
}

#[test]
fn whole_pictures_are_read() {
    let reader = Reader::new();
    for (name, bytes) in JPEGS.iter().chain(&PNGS).chain(&BMPS) {
        reader.read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        // What follows the end is not a part of the picture; PIL takes it so.
        let longer = [bytes, &b"and more"[..]].concat();
        assert_eq!(reader.read(&longer).unwrap(), reader.read(bytes).unwrap(), "{name}");
    }
}

/// PIL refuses each of these: `Image.open(io.BytesIO(whole[:length])).convert("RGB")` raises for every length. It reads
/// PNGs and RLE without their last bytes, which are none of the pixels'; see below.
///
/// Elsewhere: <https://github.com/libvips/libvips/issues/1946>,
/// <https://github.com/etemesi254/zune-image/pull/312>
#[test]
fn pictures_that_are_cut_off_anywhere_are_refused() {
    let reader = Reader::new();
    for (name, whole) in JPEGS.iter().chain(&PNGS).chain(&BMPS) {
        // The bytes at the end without which PIL reads the picture.
        let spared = match *name {
            "rle.bmp" => 3,
            name if name.ends_with(".png") => 22,
            _ => 0,
        };
        for length in 0..whole.len() - spared {
            let reason = reader.refused(&whole[..length]);
            assert!(!reason.is_empty(), "{name}, {length} bytes");
        }
    }
}

/// The end marker of a small picture in the EXIF data is not the picture's.
#[test]
fn a_marker_within_a_segment_is_not_the_end() {
    let reader = Reader::new();
    let (_, whole) = JPEGS[0];
    let segment = with_segment(whole, &[&b"Exif\0\0"[..], whole].concat());
    assert_eq!(reader.read(&segment).unwrap(), reader.read(whole).unwrap());
    for quarter in 1..4 {
        let length = segment.len() - whole.len() + whole.len() * quarter / 4;
        assert!(reader.refused(&segment[..length]).contains("truncated"), "{quarter}");
    }
}

/// A JPEG file with a segment of application data behind its start.
fn with_segment(jpeg: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, data, &jpeg[2..]].concat()
}

/// As PIL, which turns a picture only with `ImageOps.exif_transpose`:
/// `np.array_equal(Image.open("turned.jpg").convert("RGB"), Image.open("baseline.jpg").convert("RGB"))` is true.
///
/// Elsewhere: <https://github.com/pytorch/vision/issues/7977>
#[test]
fn the_orientation_in_exif_data_is_not_applied() {
    let reader = Reader::new();
    let (_, whole) = JPEGS[0];
    for orientation in 1..=8 {
        // Little endian, one entry: tag 0x0112 of type SHORT with one value.
        let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
        let exif = [b"Exif\0\0II\x2A\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat();
        let turned = with_segment(whole, &exif);
        assert_eq!(
            reader.read(&turned).unwrap(),
            reader.read(whole).unwrap(),
            "{orientation}"
        );
    }
}

/// One byte changed: a picture or an error that names the file, nothing else. PNGs have checksums.
#[test]
fn damage_anywhere_ends_in_a_picture_or_an_error() {
    let reader = Reader::new();
    for (name, whole) in JPEGS.iter().chain(&PNGS).chain(&BMPS) {
        for at in 0..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] ^= [0x01, 0x80, 0xFF][at % 3];
            match reader.read(&damaged) {
                Ok(pixels) => assert_eq!(pixels.len(), 3 * 20 * 24, "{name}"),
                Err(error) => assert!(error.to_string().contains("picture`"), "{name}: {error}"),
            }
        }
    }
}

/// A PNG of these sizes whose data are those of a small one.
fn png_of(columns: u32, rows: u32) -> Vec<u8> {
    let mut png = PNGS[0].1.to_vec();
    png[16..20].copy_from_slice(&columns.to_be_bytes());
    png[20..24].copy_from_slice(&rows.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&png[12..29]);
    png[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    png
}

/// 512 million pixels would take gigabytes. PIL warns of a decompression bomb above 89,478,485.
///
/// Elsewhere: <https://github.com/jasper-software/jasper/issues/80>
#[test]
fn absurd_sizes_are_refused_unread() {
    let reader = Reader::new();
    for (columns, rows) in [(32_000, 16_000), (9_460, 9_459), (32_768, 2_731)] {
        let reason = reader.refused(&png_of(columns, rows));
        let expected = format!("{rows} x {columns} pixels exceed the limit of 89478485; resize the image");
        assert_eq!(reason, expected);
    }
    for (columns, rows) in [(40_000, 1), (1, 40_000), (u32::MAX, u32::MAX), (0, 5), (5, 0)] {
        reader.refused(&png_of(columns, rows));
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("endless.png");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let refused = |path: &Path| read_picture(path, IMAGE).unwrap_err().to_string();
    let expected = |path: &Path, what: &str| format!("cannot read `{}`: it is {what}; expected a file", path.display());
    assert_eq!(refused(&link), expected(&link, "a device"));
    assert_eq!(refused(&pipe), expected(&pipe, "a named pipe"));
}

/// Names that differ in bytes that are not UTF-8 would become one and the same.
#[cfg(target_os = "linux")]
#[test]
fn names_of_classes_are_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let root = tempfile::tempdir().unwrap();
    for name in [&b"a\xFF"[..], b"a\xFE"] {
        let class = root.path().join(OsStr::from_bytes(name));
        // Not every file system has such names.
        if fs::create_dir(&class).is_err() {
            return;
        }
        fs::write(class.join("1.png"), PNGS[0].1).unwrap();
    }
    let message = Dataset::read_folder(root.path(), IMAGE).unwrap_err().to_string();
    assert!(
        message.ends_with("class names must be UTF-8; rename the folder"),
        "{message}"
    );
}

/// `png` 0.18.1 panics on the last one, as fuzzing found: "If the length is not divisible by 3, this shall be treated
/// as an error" (PNG, third edition, 11.2.2). PIL 13.0.0 refuses them too, as their checksums do not fit.
#[test]
fn palettes_that_are_not_whole_are_refused() {
    let reader = Reader::new();
    let (_, whole) = PNGS[2];
    let colours = u32::from_be_bytes(length_of_palette(&mut whole.to_vec()).try_into().unwrap()) / 3;
    for length in [0, 1, 3 * colours - 1, 3 * colours + 1, 3 * 257, u32::MAX] {
        let mut bytes = whole.to_vec();
        length_of_palette(&mut bytes).copy_from_slice(&length.to_be_bytes());
        assert!(reader.refused(&bytes).starts_with("invalid palette"), "{length}");
    }
    // The file that was found, but for zeros behind its end.
    let found = include_bytes!("pictures/palette_of_49_bytes.png");
    assert!(reader.refused(found).starts_with("invalid palette"));
}
