//! A made set of 32x32 colour images in ten classes, for tests and for measuring speed without a download.

mod draw;
mod scene;

use super::{Cifar10, DataError};
use draw::Draw;
use scene::{Outline, Scene, Texture};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Images of textured things: ten classes, each an outline (disc, square, triangle, cross, ring) with a texture
/// (stripes, checks). Neither outline nor texture alone tells a class. Position, size, direction, stretch and
/// colours of the thing say nothing of its class; behind it there is a smooth or patterned ground and up to three
/// small plain things, before some of them a bar, and noise over all.
///
/// The same numbers give the same bytes on every machine: nothing is used but integers and single-precision
/// addition, multiplication, division and rounding. Each ten images in a row have all classes.
///
/// ```
/// use ksdsl_train::data::Shapes;
///
/// let (training, test) = Shapes { training: 50, test: 10, seed: 0 }.generate();
/// assert_eq!((training.len(), test.len()), (50, 10));
/// assert_eq!(training.names()[9], "checked ring");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// How many images to train with.
    pub training: u32,
    /// How many to test with.
    pub test: u32,
    /// Which images.
    pub seed: u64,
}

impl Default for Shapes {
    /// 10,000 images to train with, 2,000 to test with, seed 0.
    fn default() -> Self {
        Self {
            training: 10_000,
            test: 2_000,
            seed: 0,
        }
    }
}

/// The files of the images to train with, which share them evenly.
const BATCHES: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];

impl Shapes {
    /// The names of the classes.
    pub const NAMES: [&str; 10] = [
        "striped disc",
        "checked disc",
        "striped square",
        "checked square",
        "striped triangle",
        "checked triangle",
        "striped cross",
        "checked cross",
        "striped ring",
        "checked ring",
    ];

    /// The images to train with and those to test with.
    pub fn generate(&self) -> (Cifar10, Cifar10) {
        let data = |part, images| {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for index in 0..images {
                let (label, image) = self.image(part, index);
                labels.push(u16::from(label));
                pixels.extend(image);
            }
            let data = Cifar10::new(pixels, labels).and_then(|data| data.with_names(Self::NAMES));
            data.expect("ten classes of 32x32 colour images")
        };
        (data(0, self.training), data(1, self.test))
    }

    /// Writes the set as a new folder in CIFAR-10's binary format, which [`Cifar10::open`] reads:
    /// `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and `batches.meta.txt`. The folder is there
    /// wholly or not at all.
    ///
    /// # Errors
    /// If the folder has something in it already, it cannot be written, there are fewer than five images to train with
    /// or none to test with (no file may be empty), or more than [`Cifar10::open`] reads.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), DataError> {
        let folder = folder.as_ref();
        let failed = |source| DataError::Write {
            file: folder.to_owned(),
            source,
        };
        self.check().map_err(failed)?;
        if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            let reason = "the folder is not empty; remove it or choose another";
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, reason)));
        }
        let mut partial = folder.as_os_str().to_owned();
        partial.push(format!(".partial-{}", std::process::id()));
        let partial = PathBuf::from(partial);
        let written = self.write_files(&partial).and_then(|()| {
            // Where a folder may not take the place of an empty one.
            let _ = fs::remove_dir(folder);
            fs::rename(&partial, folder).map_err(failed)
        });
        if written.is_err() {
            // What matters is the error that there is already.
            let _ = fs::remove_dir_all(&partial);
        }
        written
    }

    /// Whether files of the format can have so many images.
    fn check(&self) -> io::Result<()> {
        let (files, most) = (BATCHES.len() as u64, Cifar10::MOST_RECORDS);
        let fits = 5 <= self.training && u64::from(self.training) <= files * most;
        if fits && self.test > 0 && u64::from(self.test) <= most {
            return Ok(());
        }
        let reason = format!(
            "expected 5 to {} images to train with and 1 to {most} to test with",
            files * most
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    fn write_files(&self, folder: &Path) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(|source| DataError::Write {
            file: folder.to_owned(),
            source,
        })?;
        let count = BATCHES.len() as u32;
        for (name, batch) in BATCHES.into_iter().zip(0..count) {
            let start = |batch: u32| (u64::from(self.training) * u64::from(batch) / u64::from(count)) as u32;
            let images = start(batch)..start(batch + 1);
            write_file(&folder.join(name), |file| self.write_images(file, 0, images))?;
        }
        write_file(&folder.join("test_batch.bin"), |file| {
            self.write_images(file, 1, 0..self.test)
        })?;
        write_file(&folder.join("batches.meta.txt"), |file| {
            Self::NAMES.iter().try_for_each(|name| writeln!(file, "{name}"))
        })
    }

    fn write_images(&self, file: &mut impl Write, part: u32, images: std::ops::Range<u32>) -> io::Result<()> {
        for index in images {
            let (label, image) = self.image(part, index);
            file.write_all(&[label])?;
            file.write_all(&image)?;
        }
        Ok(())
    }

    /// The class and the values of an image: a function of the seed, the part (0 to train, 1 to test) and the
    /// index alone.
    fn image(&self, part: u32, index: u32) -> (u8, Vec<u8>) {
        let label = self.label(part, index);
        let mut draw = Draw::new(self.seed, part, index);
        let texture = [Texture::Stripes, Texture::Checks][usize::from(label % 2)];
        let scene = Scene::new(&mut draw, Outline::ALL[usize::from(label / 2)], texture);
        (label, scene.paint(&mut draw))
    }

    /// The class of an image: those of each ten in a row are a permutation of all.
    fn label(&self, part: u32, index: u32) -> u8 {
        // Parts of their own, so that these numbers are not those of an image.
        let mut draw = Draw::new(self.seed, part + 2, index / 10);
        let mut labels: [u8; 10] = std::array::from_fn(|label| label as u8);
        for last in (1..10).rev() {
            labels.swap(last, draw.below(last as u32 + 1) as usize);
        }
        labels[(index % 10) as usize]
    }
}

/// Writes a file and sees that it is on the disk.
fn write_file(file: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), DataError> {
    let written = File::create(file).map(BufWriter::new).and_then(|mut writer| {
        write(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.map_err(|source| DataError::Write {
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
