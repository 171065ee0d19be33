//! KSDSL's worker for the benchmarks against other systems: serves the requests of `tests/benches/peers.py`, one JSON
//! object per line on standard input, one response per line on standard output.

mod kernel;
mod net;
mod protocol;

use kernel::Kernel;
use net::Net;
use protocol::{Answer, Request};
use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

fn main() -> io::Result<()> {
    let mut worker = Worker::default();
    for line in io::stdin().lock().lines() {
        let answer = worker
            .serve(&line?)
            .unwrap_or_else(|error| Answer::Error(error.to_string()));
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// The loaded network and kernel.
#[derive(Default)]
struct Worker {
    net: Option<Box<dyn Net>>,
    kernel: Option<Kernel>,
}

impl Worker {
    fn serve(&mut self, line: &str) -> Result<Answer, Box<dyn Error>> {
        const NO_NET: &str = "no network is loaded";
        let net = self.net.as_mut();
        match serde_json::from_str(line)? {
            Request::Ready => {}
            Request::Load { net, options } => self.net = Some(net::load(&net, &options)?),
            Request::Logits => return Ok(Answer::Logits(net.ok_or(NO_NET)?.logits()?)),
            Request::Infer { repeats } => {
                return Ok(Answer::Seconds(net.ok_or(NO_NET)?.infer(repeats)?));
            }
            Request::Train { repeats } => {
                let net = net.ok_or(NO_NET)?;
                let mut losses = Vec::new();
                let seconds = timed(repeats, || {
                    losses.push(net.train()?);
                    Ok(())
                })?;
                return Ok(Answer::Training { seconds, losses });
            }
            Request::Save { path } => net.ok_or(NO_NET)?.save(&path)?,
            Request::LoadKernel(options) => self.kernel = Some(Kernel::load(&options)?),
            Request::Kernel { pass, repeats, output } => {
                let kernel = self.kernel.as_mut().ok_or("no kernel is loaded")?;
                let seconds = timed(repeats, || kernel.run(pass))?;
                if let Some(path) = output {
                    kernel.write(pass, &path)?;
                }
                return Ok(Answer::Seconds(seconds));
            }
        }
        Ok(Answer::Done)
    }
}

/// The duration of each call, in seconds.
fn timed(repeats: usize, mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Vec<f64>, Box<dyn Error>> {
    (0..repeats)
        .map(|_| {
            let start = std::time::Instant::now();
            call()?;
            Ok(start.elapsed().as_secs_f64())
        })
        .collect()
}
