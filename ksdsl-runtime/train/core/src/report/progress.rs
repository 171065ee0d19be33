//! Progress of a run, for people.

use super::history::{EpochRow, History};
use super::measure::Measure;
use crate::record::{Epoch, Observer, Start, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Stderr, Write};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

/// The displayed loss is averaged over about this many steps.
const SMOOTHED: f64 = 20.0;

/// A progress bar on standard error with throughput, loss, learning rate, the fraction of time spent waiting for data, how
/// busy the processors are, and the time left; if standard error is not a terminal, one line per epoch. Write errors are ignored: the terminal
/// may have been closed.
#[derive(Debug)]
pub struct Progress<W = Stderr> {
    bar: ProgressBar,
    /// The output for plain lines, if there is no bar.
    plain: Option<W>,
    name: String,
    epochs: u32,
    unit: &'static str,
    /// The processors that the process may use.
    cores: usize,
    now: Now,
    history: History,
}

impl Progress {
    /// Shows progress on standard error. `name` precedes the bar.
    pub fn new(name: impl Into<String>) -> Self {
        let terminal = io::stderr().is_terminal();
        let mut progress = Self::plain(name, io::stderr());
        if terminal {
            progress.plain = None;
            progress.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        progress
    }
}

impl<W: Write> Progress<W> {
    /// Writes a plain line per epoch.
    pub fn plain(name: impl Into<String>, to: W) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            plain: Some(to),
            name: name.into(),
            epochs: 0,
            unit: "images",
            cores: available_parallelism().map_or(1, NonZeroUsize::get),
            now: Now::default(),
            history: History::default(),
        }
    }

    fn message(&self) -> String {
        let mut message = self.now.text(self.unit, self.cores);
        if let (Some(last), Some(best)) = (self.history.last(), self.history.best()) {
            let measure = Measure::of(&self.history);
            let value = |row: &EpochRow| measure.text(measure.value(row));
            message.push_str(&format!(
                "\n  validation {} {} (epoch {}), best {} (epoch {})",
                measure.word(),
                value(last),
                last.epoch,
                value(best),
                best.epoch
            ));
        }
        message
    }
}

impl<W: Write> Observer for Progress<W> {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        (self.epochs, self.unit) = (start.epochs, start.unit);
        self.history.beginning = start.beginning;
        let template = "{prefix} {wide_bar} {eta} left\n  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style.progress_chars("━╸─"));
        self.bar
            .set_length(u64::from(start.epochs).saturating_mul(start.steps_per_epoch));
        self.bar.set_prefix(self.name.clone());
        self.bar.set_position(start.done);
        self.bar.reset_elapsed();
        self.bar.reset_eta();
        Ok(())
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        if self.plain.is_some() {
            return Ok(());
        }
        self.now.add(step);
        self.bar
            .set_prefix(format!("{} epoch {}/{}", self.name, step.epoch, self.epochs));
        self.bar.set_message(self.message());
        self.bar.set_position(step.number);
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        let row = EpochRow::from(epoch);
        self.history.epochs.push(row);
        match &mut self.plain {
            // A closed terminal does not stop the run.
            Some(to) => drop(writeln!(
                to,
                "{} {}",
                self.name,
                line(&row, self.epochs, (self.unit, self.cores))
            )),
            None => self.bar.set_message(self.message()),
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        Ok(())
    }
}

impl<W> Drop for Progress<W> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line for an epoch.
fn line(row: &EpochRow, epochs: u32, (unit, cores): (&str, usize)) -> String {
    let mut line = format!("epoch {}/{epochs}: training loss {:.4}", row.epoch, row.training_loss);
    let bits = |bits: f64| format!("{bits:.4} bits per byte");
    if let (Some(loss), Some(top1)) = (row.validation_loss, row.validation_top1) {
        let accuracy = || format!("accuracy {}", percent(Some(top1)));
        let measure = row.validation_bits_per_byte.map_or_else(accuracy, bits);
        line.push_str(&format!(", validation loss {loss:.4}, {measure}"));
    }
    if let Some(top1) = row.averaged_top1 {
        let measure = row.averaged_bits_per_byte.map_or_else(|| percent(Some(top1)), bits);
        line.push_str(&format!(" (averaged model {measure})"));
    }
    let speed = row.images as f64 / row.seconds;
    let waited = percent(Some(row.data_wait_seconds / row.seconds));
    let busy = row.processor_seconds;
    let busy = busy.map_or_else(String::new, |seconds| busy_cores(seconds, row.seconds, cores));
    line + &format!(
        ", {speed:.0} {unit}/s, {waited} waiting for data{busy}, {}",
        time(row.seconds)
    )
}

/// How busy the processors were.
fn busy_cores(processor: f64, seconds: f64, cores: usize) -> String {
    let share = 100.0 * processor / (seconds.max(1e-9) * cores as f64);
    let cores = if cores == 1 {
        "1 core".to_owned()
    } else {
        format!("{cores} cores")
    };
    format!(", {share:.0} % of {cores}")
}

/// Statistics of the latest steps.
#[derive(Clone, Debug, Default)]
struct Now {
    epoch: u32,
    rate: f64,
    loss: Option<f64>,
    images: usize,
    seconds: f64,
    waited: f64,
    processor: Option<f64>,
}

impl Now {
    fn add(&mut self, step: &Step) {
        // Throughput is measured over the epoch so far. Its first steps are noisy, so up to five seconds of the
        // previous epoch count too.
        if step.epoch != self.epoch {
            let keep = if self.seconds > 0.0 {
                1.0f64.min(5.0 / self.seconds)
            } else {
                0.0
            };
            self.images = (self.images as f64 * keep) as usize;
            self.seconds *= keep;
            self.waited *= keep;
            self.processor = self.processor.map(|processor| processor * keep);
            self.epoch = step.epoch;
        }
        self.images += step.images;
        self.seconds += step.seconds;
        self.waited += step.waited;
        self.processor = step.processor.map(|more| self.processor.unwrap_or(0.0) + more);
        self.rate = step.rate;
        let before = self.loss.unwrap_or(step.loss);
        self.loss = Some(before + (step.loss - before) / SMOOTHED);
    }
}

impl Now {
    fn text(&self, unit: &str, cores: usize) -> String {
        let speed = self.images as f64 / self.seconds.max(1e-9);
        let waited = 100.0 * self.waited / self.seconds.max(1e-9);
        let busy = self.processor;
        let busy = busy.map_or_else(String::new, |seconds| busy_cores(seconds, self.seconds, cores));
        format!(
            "{speed:.0} {unit}/s, loss {:.4}, learning rate {}, {waited:.0} % waiting for data{busy}",
            self.loss.unwrap_or_default(),
            rate(self.rate)
        )
    }
}

/// Formats a learning rate.
pub(super) fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 1e-3 {
        format!("{rate:.4}")
    } else {
        format!("{rate:.2e}")
    }
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.2} %", 100.0 * share))
}

/// Seconds for people: `8.7 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_secs());
    match whole / 3600 {
        0 => format!("{} min {:02} s", whole / 60, whole % 60),
        hours => format!("{hours} h {:02} min", whole % 3600 / 60),
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
