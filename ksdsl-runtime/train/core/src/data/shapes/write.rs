//! The synthetic data set as files.

use super::Shapes;
use crate::data::{Cifar10, DataError};
use crate::interrupt::Stop;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The files of the images to train with, which share them evenly.
const BATCHES: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];
const TEST: &str = "test_batch.bin";
/// The file that whoever makes a set holds locked.
const LOCK: &str = "lock";
/// Bytes of an image with its label.
const RECORD: u64 = 1 + 3 * 32 * 32;

impl Shapes {
    /// Writes the set as a new folder in CIFAR-10's binary format, which [`Cifar10::open`] reads:
    /// `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and `batches.meta.txt`. The folder
    /// appears atomically: its files are first written to a folder whose name ends in `.partial`. If another process
    /// writes the same set, this waits for it.
    ///
    /// # Errors
    /// If the folder is not empty or cannot be written, if there are fewer than five training images or no test images
    /// (no file may be empty), or more than [`Cifar10::open`] reads.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), DataError> {
        self.write_until(folder, &Stop::new())
    }

    /// As [`Shapes::write`]; if a stop is requested, removes the partial data and returns an error of the kind
    /// [`Interrupted`](io::ErrorKind::Interrupted).
    ///
    /// # Errors
    /// As [`Shapes::write`].
    pub fn write_until(&self, folder: impl AsRef<Path>, stop: &Stop) -> Result<(), DataError> {
        let folder = folder.as_ref();
        let failed = |source| DataError::Write {
            file: folder.to_owned(),
            source,
        };
        self.check().and_then(|()| refuse_full(folder)).map_err(failed)?;
        let mut partial = folder.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let (lock, waited) = lock(&partial, stop).map_err(failed)?;
        let done = match refuse_full(folder) {
            // Made by the one that was waited for.
            Err(_) if waited && self.is_in(folder) => Ok(()),
            Err(full) => Err(failed(full)),
            Ok(()) => self
                .write_files(&partial, stop)
                .and_then(|()| take_place(&partial, folder).map_err(failed)),
        };
        // What matters is the error that there is already.
        let _ = fs::remove_dir_all(&partial);
        drop(lock);
        done
    }

    /// Whether files of the format can have this many images.
    fn check(&self) -> io::Result<()> {
        let (files, most) = (BATCHES.len() as u64, Cifar10::MOST_RECORDS);
        let fits = 5 <= self.training && u64::from(self.training) <= files * most;
        if fits && self.test > 0 && u64::from(self.test) <= most {
            return Ok(());
        }
        let reason = format!(
            "expected 5 to {} training images and 1 to {most} test images",
            files * most
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// The images of each file: its name, its part (0 to train, 1 to test), and which of the part.
    fn files(&self) -> impl Iterator<Item = (&'static str, u32, std::ops::Range<u32>)> {
        let (training, count) = (u64::from(self.training), BATCHES.len() as u64);
        let start = move |batch: u64| (training * batch / count) as u32;
        let batches = BATCHES.into_iter().zip(0..);
        let batches = batches.map(move |(name, batch)| (name, 0, start(batch)..start(batch + 1)));
        batches.chain([(TEST, 1, 0..self.test)])
    }

    /// Whether a folder has this set, by the sizes of its files and their first images.
    fn is_in(&self, folder: &Path) -> bool {
        self.files().all(|(name, part, images)| {
            let path = folder.join(name);
            let size = fs::metadata(&path).map_or(0, |file| file.len());
            let (label, image) = self.image(part, images.start);
            let mut first = vec![0; RECORD as usize];
            let read = File::open(&path).and_then(|mut file| io::Read::read_exact(&mut file, &mut first));
            let expected = RECORD * images.len() as u64;
            read.is_ok() && size == expected && first[0] == label && first[1..] == image
        })
    }

    fn write_files(&self, folder: &Path, stop: &Stop) -> Result<(), DataError> {
        for (name, part, images) in self.files() {
            write_file(&folder.join(name), |file| self.write_images(file, (part, images), stop))?;
        }
        write_file(&folder.join("batches.meta.txt"), |file| {
            Self::NAMES.iter().try_for_each(|name| writeln!(file, "{name}"))
        })
    }

    fn write_images(
        &self,
        file: &mut impl Write,
        (part, images): (u32, std::ops::Range<u32>),
        stop: &Stop,
    ) -> io::Result<()> {
        for index in images {
            let (label, image) = self.image(part, index);
            file.write_all(&[label])?;
            file.write_all(&image)?;
            refuse_stopped(stop)?;
        }
        Ok(())
    }
}

fn refuse_stopped(stop: &Stop) -> io::Result<()> {
    match stop.is_requested() {
        true => Err(io::Error::new(
            io::ErrorKind::Interrupted,
            "interrupted; the partial data set was removed",
        )),
        false => Ok(()),
    }
}

fn refuse_full(folder: &Path) -> io::Result<()> {
    match folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        true => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the folder is not empty; remove it or choose another",
        )),
        false => Ok(()),
    }
}

/// Makes the folder in which a set is made and locks it; also whether somebody else was waited for. What a program
/// that was killed left in it is overwritten.
fn lock(partial: &Path, stop: &Stop) -> io::Result<(File, bool)> {
    let path = partial.join(LOCK);
    let mut waited = false;
    loop {
        fs::create_dir_all(partial)?;
        match ksdsl_files::lock(&path) {
            // Unless the other one was done between the two.
            Ok(Some(lock)) if path.exists() => return Ok((lock, waited)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        waited = true;
        refuse_stopped(stop)?;
        thread::sleep(Duration::from_millis(50));
    }
}

/// Puts a folder that is made in its place.
fn take_place(partial: &Path, folder: &Path) -> io::Result<()> {
    fs::remove_file(partial.join(LOCK))?;
    // Where a folder may not take the place of an empty one.
    let _ = fs::remove_dir(folder);
    fs::rename(partial, folder)
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
