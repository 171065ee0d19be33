//! Logs as event files for TensorBoard.

mod frame;
mod proto;

use super::file::{make_folder, named};
use crate::metrics::Evaluation;
use crate::record::{Epoch, Observer, Start, Step};
use prost::Message as _;
use proto::{Event, Summary, Value, What};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The prefix of event file names that TensorBoard looks for.
const NAME: &str = "events.out.tfevents";

/// Writes event files for `tensorboard --logdir`: loss, learning rate, throughput and gradient norm per step; losses
/// and accuracies per epoch.
///
/// A resumed run writes a new file. Events of steps after the checkpoint are removed from the older files, and a
/// session event makes a running TensorBoard discard them.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// The tag of the throughput.
    speed: String,
}

impl TensorBoard {
    /// Logs to `folder`, which is created if it does not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            path: PathBuf::new(),
            file: None,
            speed: String::new(),
        }
    }

    fn write(&mut self, step: u64, what: What) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let event = Event {
            wall_time: now.map_or(0.0, |now| now.as_secs_f64()),
            step: i64::try_from(step).unwrap_or(i64::MAX),
            what: Some(what),
        };
        frame::write(file, &event.encode_to_vec()).map_err(|error| named("write", &self.path, error))
    }

    /// Writes the values that are `Some`.
    fn scalars(&mut self, step: u64, values: &[(&str, Option<f64>)]) -> io::Result<()> {
        let value = |&(tag, value): &(&str, Option<f64>)| {
            Some(Value {
                tag: tag.to_owned(),
                simple_value: Some(value? as f32),
            })
        };
        let value = values.iter().filter_map(value).collect();
        self.write(step, What::Summary(Summary { value }))
    }
}

impl Observer for TensorBoard {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        self.speed = format!("speed/{}_per_second", start.unit);
        make_folder(&self.folder)?;
        let older = event_files(&self.folder)?;
        // The target of a link is not ours to change.
        let is_plain = |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|file| file.is_file());
        for path in older.iter().filter(is_plain) {
            let truncated = if start.done == 0 {
                fs::remove_file(path)
            } else {
                keep_up_to(path, start.done)
            };
            truncated.map_err(|error| named("truncate", path, error))?;
        }
        // TensorBoard reads files in the order of their names.
        let number = |path: &PathBuf| path.extension()?.to_str()?.parse::<u32>().ok();
        let last = older.iter().filter_map(number).max().filter(|_| start.done > 0);
        self.path = self
            .folder
            .join(format!("{NAME}.{:05}", last.map_or(0, |last| last + 1)));
        let file = OpenOptions::new().create_new(true).append(true).open(&self.path);
        self.file = Some(BufWriter::new(
            file.map_err(|error| named("create", &self.path, error))?,
        ));
        self.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
        if start.done > 0 {
            self.write(start.done + 1, What::SessionLog(proto::SessionLog::start()))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        let speed = self.speed.clone();
        let values = [
            ("loss/training_step", Some(step.loss)),
            ("learning_rate", Some(step.rate)),
            ("gradient_norm", step.gradient_norm),
            (&speed, Some(step.images as f64 / step.seconds)),
            ("speed/data_wait_fraction", Some(step.waited / step.seconds)),
        ];
        self.scalars(step.number, &values)
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        let (validation, averaged) = (epoch.evaluation.as_ref(), epoch.averaged.as_ref());
        let values = [
            ("loss/training", Some(epoch.training_loss)),
            ("loss/validation", validation.map(|evaluation| evaluation.loss)),
            ("loss/validation_averaged", averaged.map(|evaluation| evaluation.loss)),
            (
                "loss/validation_bits_per_byte",
                validation.and_then(Evaluation::bits_per_byte),
            ),
            (
                "loss/validation_bits_per_byte_averaged",
                averaged.and_then(Evaluation::bits_per_byte),
            ),
            (
                "loss/validation_perplexity",
                validation.filter(|it| it.is_of_text()).map(Evaluation::perplexity),
            ),
            (
                "accuracy/validation_top_1",
                validation.map(|evaluation| evaluation.top1),
            ),
            (
                "accuracy/validation_top_5",
                validation.and_then(|evaluation| evaluation.top5),
            ),
            (
                "accuracy/validation_top_1_averaged",
                averaged.map(|evaluation| evaluation.top1),
            ),
            (
                "accuracy/validation_top_5_averaged",
                averaged.and_then(|evaluation| evaluation.top5),
            ),
        ];
        self.scalars(epoch.steps, &values)
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let flushed = file.flush().and_then(|()| ksdsl_files::sync(file.get_ref()));
        flushed.map_err(|error| named("write", &self.path, error))
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// The event files of a folder, in order of their names.
fn event_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| named("read", folder, error))? {
        let path = entry.map_err(|error| named("read", folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(NAME)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The maximum size of an event file in bytes.
const MOST_BYTES: u64 = 1 << 32;

/// Truncates a file before its first event that is damaged or later than step `done`; events are in order.
fn keep_up_to(path: &Path, done: u64) -> io::Result<()> {
    let bytes = ksdsl_files::read(path, MOST_BYTES)?;
    let mut kept = 0;
    while let Some((event, next)) = frame::read(&bytes, kept) {
        let step = Event::decode(event).map_or(i64::MAX, |event| event.step);
        // A session that began after the last checkpoint logged the number of its first step.
        if u64::try_from(step).is_ok_and(|step| step > done) {
            break;
        }
        kept = next;
    }
    if kept < bytes.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(kept as u64)?;
        file.sync_data()?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "../tensorboard_tests.rs"]
mod tests;
