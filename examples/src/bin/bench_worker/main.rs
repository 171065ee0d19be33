//! KSDSL's worker for the benchmarks against other systems: serves the requests of `tests/benches/peers.py`.

mod kernel;
mod net;
mod protocol;
mod serve;

use kernel::Kernel;
use ksdsl_runtime::prelude::*;
use net::{Loaded, Net};
use protocol::{Answer, Options, Request};
use serve::{Outcome, timed};
use std::io;

mod se_resnet {
    ksdsl_runtime::include_generated!("se_resnet_benchmarks");
}

mod convmixer {
    ksdsl_runtime::include_generated!("convmixer_benchmarks");
}

fn main() -> io::Result<()> {
    let mut kernel = None;
    serve::serve(load, |request| convolve(&mut kernel, request))
}

/// Loads the network of this name.
fn load(name: &str, options: &Options) -> Outcome<Box<dyn Net>> {
    let device = Cpu::seed_from_u64(0);
    macro_rules! by_name {
        ($($family:ident: $($net:ident)+;)+) => {
            match name {
                $($(stringify!($net) => {
                    Loaded::<$family::$net::Model<f32, Cpu>, Cpu>::load::<$family::$net::Builder>(&device, options)
                })+)+
                _ => Err(format!("unknown network `{name}`").into()),
            }
        };
    }
    by_name! {
        se_resnet: se_resnet_2 se_resnet_3 se_resnet_6 se_resnet_10 se_resnet_10_unshared;
        convmixer: convmixer_64 convmixer_128 convmixer_256 convmixer_256_unshared convmixer_512;
    }
}

/// Serves the requests for a single convolution.
fn convolve(kernel: &mut Option<Kernel>, request: Request) -> Outcome<Answer> {
    match request {
        Request::LoadKernel(options) => *kernel = Some(Kernel::load(&options)?),
        Request::Kernel { pass, repeats, output } => {
            let kernel = kernel.as_mut().ok_or("no kernel is loaded")?;
            let seconds = timed(repeats, || kernel.run(pass))?;
            if let Some(path) = output {
                kernel.write(pass, &path)?;
            }
            return Ok(Answer::Seconds(seconds));
        }
        request => return Err(format!("not of a convolution: {request:?}").into()),
    }
    Ok(Answer::Done)
}
