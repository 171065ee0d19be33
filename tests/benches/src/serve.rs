//! Serves requests, one JSON object per line on standard input, one response per line on standard output.

use crate::protocol::{Answer, Options, Request};
use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A network with a batch.
pub(crate) trait Net {
    /// The logits of the batch, in evaluation mode.
    fn logits(&self) -> Outcome<Vec<f32>>;
    /// Times forward passes of the prepared model, in evaluation mode.
    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>>;
    /// Runs a training step; returns the loss before the update.
    fn train(&mut self) -> Outcome<f32>;
    /// Writes the values of all tensors.
    fn save(&self, path: &Path) -> Outcome<()>;
}

/// Serves until the input ends. `load` loads a network, `other` serves what is not asked of one.
pub(crate) fn serve(
    load: impl Fn(&str, &Options) -> Outcome<Box<dyn Net>>,
    mut other: impl FnMut(Request) -> Outcome<Answer>,
) -> io::Result<()> {
    let mut net = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = serde_json::from_str(&line)
            .map_err(Into::into)
            .and_then(|request| answer(request, &mut net, &load, &mut other));
        let answer = answer.unwrap_or_else(|error| Answer::Error(error.to_string()));
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(
    request: Request,
    net: &mut Option<Box<dyn Net>>,
    load: impl Fn(&str, &Options) -> Outcome<Box<dyn Net>>,
    mut other: impl FnMut(Request) -> Outcome<Answer>,
) -> Outcome<Answer> {
    const NO_NET: &str = "no network is loaded";
    let loaded = net.as_mut().ok_or(NO_NET);
    match request {
        Request::Ready => {}
        Request::Load { net: name, options } => *net = Some(load(&name, &options)?),
        Request::Logits => return Ok(Answer::Logits(loaded?.logits()?)),
        Request::Infer { repeats } => return Ok(Answer::Seconds(loaded?.infer(repeats)?)),
        Request::Train { repeats } => {
            let (net, mut losses) = (loaded?, Vec::new());
            let seconds = timed(repeats, || {
                losses.push(net.train()?);
                Ok(())
            })?;
            return Ok(Answer::Training { seconds, losses });
        }
        Request::Save { path } => loaded?.save(&path)?,
        request => return other(request),
    }
    Ok(Answer::Done)
}

/// The duration of each call, in seconds.
pub(crate) fn timed(repeats: usize, mut call: impl FnMut() -> Outcome<()>) -> Outcome<Vec<f64>> {
    (0..repeats)
        .map(|_| {
            let start = std::time::Instant::now();
            call()?;
            Ok(start.elapsed().as_secs_f64())
        })
        .collect()
}
