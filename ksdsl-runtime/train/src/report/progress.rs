//! A run while it goes, for people.

use super::history::{EpochRow, History};
use crate::record::{Epoch, Observer, Start, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _, Stderr, Write};
use std::time::Duration;

/// Steps over which the shown loss is averaged, roughly.
const SMOOTHED: f64 = 20.0;

/// A bar on standard error, with the speed, the loss, the learning rate, the share of the time that steps
/// waited for images, and the time left; where that is no terminal a plain line for each epoch. What cannot be
/// shown is left out: nobody may be there to see it.
#[derive(Debug)]
pub struct Progress<W = Stderr> {
    bar: ProgressBar,
    /// Where plain lines go, if they do.
    plain: Option<W>,
    name: String,
    epochs: u32,
    now: Now,
    history: History,
}

impl Progress {
    /// On standard error. `name` stands before the bar.
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
    /// A plain line for each epoch.
    pub fn plain(name: impl Into<String>, to: W) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            plain: Some(to),
            name: name.into(),
            epochs: 0,
            now: Now::default(),
            history: History::default(),
        }
    }

    fn message(&self) -> String {
        let mut message = self.now.to_string();
        if let (Some(last), Some(best)) = (self.history.last(), self.history.best()) {
            let (accuracy, most) = (percent(last.accuracy()), percent(best.accuracy()));
            message.push_str(&format!(
                "\n  held out: {accuracy} right after epoch {}, at most {most} after {}",
                last.epoch, best.epoch
            ));
        }
        message
    }
}

impl<W: Write> Observer for Progress<W> {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        self.epochs = start.epochs;
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
            .set_prefix(format!("{} epoch {} of {}", self.name, step.epoch, self.epochs));
        self.bar.set_message(self.message());
        self.bar.set_position(step.number);
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        let row = EpochRow::from(epoch);
        self.history.epochs.push(row);
        match &mut self.plain {
            // A terminal that went away is no reason to stop a run.
            Some(to) => drop(writeln!(to, "{} {}", self.name, line(&row, self.epochs))),
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

/// An epoch in a line.
fn line(row: &EpochRow, epochs: u32) -> String {
    let mut line = format!("epoch {} of {epochs}: loss {:.4}", row.epoch, row.training_loss);
    if let (Some(loss), Some(top1)) = (row.loss, row.top1) {
        line.push_str(&format!(", held out {loss:.4}, {} right", percent(Some(top1))));
    }
    if let Some(top1) = row.averaged_top1 {
        line.push_str(&format!(" (averaged model {})", percent(Some(top1))));
    }
    let speed = row.images as f64 / row.seconds;
    let waited = percent(Some(row.waited / row.seconds));
    line + &format!(", {speed:.0} images/s, {waited} waited for data, {}", time(row.seconds))
}

/// What the last steps did.
#[derive(Clone, Debug, Default)]
struct Now {
    epoch: u32,
    rate: f64,
    loss: Option<f64>,
    images: usize,
    seconds: f64,
    waited: f64,
}

impl Now {
    fn add(&mut self, step: &Step) {
        // The speed is that of the epoch so far; its first steps would say little, so the epoch before counts on
        // until the new one has as much to tell.
        if step.epoch != self.epoch {
            let keep = if self.seconds > 0.0 {
                1.0f64.min(5.0 / self.seconds)
            } else {
                0.0
            };
            self.images = (self.images as f64 * keep) as usize;
            self.seconds *= keep;
            self.waited *= keep;
            self.epoch = step.epoch;
        }
        self.images += step.images;
        self.seconds += step.seconds;
        self.waited += step.waited;
        self.rate = step.rate;
        let before = self.loss.unwrap_or(step.loss);
        self.loss = Some(before + (step.loss - before) / SMOOTHED);
    }
}

impl std::fmt::Display for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let speed = self.images as f64 / self.seconds.max(1e-9);
        let waited = 100.0 * self.waited / self.seconds.max(1e-9);
        write!(
            f,
            "{speed:.0} images/s, loss {:.4}, rate {}, {waited:.0} % waited for data",
            self.loss.unwrap_or_default(),
            rate(self.rate)
        )
    }
}

/// A learning rate with three digits that tell.
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
pub(super) fn time(seconds: f64) -> String {
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
