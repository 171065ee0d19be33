//! KSDSL's worker for the benchmarks against other systems: serves the requests of `tests/benches/peers.py` for the networks
//! of a file, without compiling them. The argument is the file.

mod export;
mod kernel;
mod net;
mod protocol;
mod serve;

use export::{export, network};
use kernel::Kernel;
use ksdsl::spec::Spec;
use net::Loaded;
use protocol::{Answer, Options, Request};
use safetensors::SafeTensors;
use serve::{Net, Outcome, timed};

fn main() -> Outcome<()> {
    let file = std::env::args().nth(1).ok_or("usage: bench_worker FILE.ksn")?;
    let spec = Spec::read(&file)?;
    let mut kernel = None;
    serve::serve(
        |name, options| load(&spec, name, options),
        |request| other(&spec, &mut kernel, request),
    )?;
    Ok(())
}

/// Loads the network of this name.
fn load(spec: &Spec, name: &str, options: &Options) -> Outcome<Box<dyn Net>> {
    Ok(Box::new(Loaded::new(&network(spec, name)?, options)?))
}

/// Serves the requests that need no loaded network: of single convolutions, and for the module of another system.
fn other(spec: &Spec, kernel: &mut Option<Kernel>, request: Request) -> Outcome<Answer> {
    match request {
        Request::Pytorch { net, path } => return Ok(Answer::Network(export(spec, &net, &path)?)),
        Request::LoadKernel(options) => *kernel = Some(Kernel::load(&options)?),
        Request::Kernel { pass, repeats, output } => {
            let kernel = kernel.as_mut().ok_or("no kernel is loaded")?;
            let seconds = timed(repeats, || kernel.run(pass))?;
            if let Some(path) = output {
                kernel.write(pass, &path)?;
            }
            return Ok(Answer::Seconds(seconds));
        }
        request => return Err(format!("needs a network: {request:?}").into()),
    }
    Ok(Answer::Done)
}

/// The values of a tensor of single precision.
fn values(file: &SafeTensors<'_>, name: &str) -> Outcome<Vec<f32>> {
    let (chunks, _) = file.tensor(name)?.data().as_chunks();
    Ok(chunks.iter().copied().map(f32::from_le_bytes).collect())
}
