//! `bench_worker` on a GPU, for `tests/benches/gpu.py`. The first argument is the precision of matrix products: `full`,
//! `tf32` or `bf16`, the second the file of the networks.

// Brings the emulator's functions where there is no GPU.
use ksdsl::spec::Spec;
use ksdsl_cuda_tests as _;
use ksdsl_runtime::cuda::{self, Precision};
use ksdsl_runtime::prelude::*;
use net::Loaded;
use protocol::{Answer, Request};
use serve::Outcome;

#[path = "../../../../../tests/benches/src/export.rs"]
mod export;
mod net;
#[allow(dead_code, reason = "convolutions are measured on the CPU only")]
#[path = "../../../../../tests/benches/src/protocol.rs"]
mod protocol;
#[path = "../../../../../tests/benches/src/serve.rs"]
mod serve;

#[allow(missing_docs, dead_code)]
mod nets {
    ksdsl_runtime::include_ksn!("../../examples/nets/se_resnet.ksn");
    ksdsl_runtime::include_ksn!("../../examples/nets/convmixer.ksn");
}

fn main() -> Outcome<()> {
    let precision = match std::env::args().nth(1).as_deref() {
        None | Some("full") => Precision::Full,
        Some("tf32") => Precision::Tf32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("unknown precision `{other}`, expected full, tf32 or bf16").into()),
    };
    let spec = Spec::read(std::env::args().nth(2).ok_or("usage: gpu_worker PRECISION FILE.ksn")?)?;
    let device = cuda::device(0)?;
    cuda::set_precision(&device, precision)?;
    serve::serve(
        |name, options| match name {
            "se_resnet_2" => {
                Loaded::<nets::se_resnet::Model<f32, Cuda>, Cuda>::load::<nets::se_resnet::Builder>(&device, options)
            }
            "convmixer_256" => {
                Loaded::<nets::convmixer::Model<f32, Cuda>, Cuda>::load::<nets::convmixer::Builder>(&device, options)
            }
            _ => Err(format!("unknown network `{name}`").into()),
        },
        |request| match request {
            Request::Pytorch { net, path } => Ok(Answer::Network(export::export(&spec, &net, &path)?)),
            request => Err(format!("not on a GPU: {request:?}").into()),
        },
    )?;
    Ok(())
}
