//! Our side of the benchmarks on a GPU: does what `tests/benches/gpu.py` asks, one JSON object per line
//! on standard input, one answer per line on standard output, as `bench_worker` does on the CPU. The
//! first argument is the precision of matrix products: `full`, `tf32` or `bf16`.

// Brings the emulator's functions where there is no GPU.
use ksdsl_cuda_tests as _;
use ksdsl_runtime::cuda::{self, Precision};
use ksdsl_runtime::dfdx::tensor::{Cuda, CudaError};
use ksdsl_runtime::network::Infer;
use ksdsl_runtime::prelude::*;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Images<T = NoneTape> = Tensor<(usize, Const<3>, Const<32>, Const<32>), f32, Cuda, T>;
type Logits<T = NoneTape> = Tensor<(usize, Const<10>), f32, Cuda, T>;
type OnTape = OwnedTape<f32, Cuda>;

#[allow(missing_docs, dead_code)]
mod nets {
    ksdsl_runtime::include_ksn!("../../examples/nets/se_resnet.ksn");
    ksdsl_runtime::include_ksn!("../../examples/nets/convmixer.ksn");
}

/// One line of standard input; see `examples/src/bin/bench_worker/protocol.rs`.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Request {
    Ready,
    Load {
        net: String,
        batch: usize,
        rate: f64,
        weights: Option<PathBuf>,
        data: Option<PathBuf>,
    },
    Logits,
    Infer {
        repeats: usize,
    },
    Train {
        repeats: usize,
    },
    Save {
        path: PathBuf,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done,
    Logits(Vec<f32>),
    Seconds(Vec<f64>),
    Training { seconds: Vec<f64>, losses: Vec<f32> },
    Error(String),
}

/// A network with its batch, on the GPU.
trait Net {
    fn logits(&self) -> Outcome<Vec<f32>>;
    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>>;
    fn train(&mut self) -> Outcome<f32>;
    fn save(&self, path: &Path) -> Outcome<()>;
}

struct Loaded<M> {
    device: Cuda,
    model: M,
    optimiser: Sgd<M, f32, Cuda>,
    gradients: Option<Gradients<f32, Cuda>>,
    images: Images,
    targets: Logits,
}

impl<M> Loaded<M>
where
    M: TensorCollection<f32, Cuda>
        + Module<Images, Output = Logits, Error = CudaError>
        + Infer<Images, f32, Cuda, Output = Logits>
        + ModuleMut<Images<OnTape>, Output = Logits<OnTape>, Error = CudaError>
        + 'static,
{
    fn load<B: BuildOnDevice<Cuda, f32, Built = M>>(
        device: &Cuda,
        (batch, rate): (usize, f64),
        files: [Option<&Path>; 2],
    ) -> Outcome<Box<dyn Net>> {
        let mut model = device.try_build_module::<B, f32>().map_err(describe)?;
        if let Some(path) = files[0] {
            model.load_safetensors(path).map_err(|error| format!("{error:?}"))?;
        }
        let mut images: Images = device.sample_normal_like(&(batch, Const, Const, Const));
        let classes = (0..10 * batch).map(|i| f32::from(u8::from(i % 10 == 0))).collect();
        let mut targets: Logits = device.try_tensor_from_vec(classes, (batch, Const)).map_err(describe)?;
        if let Some(path) = files[1] {
            let bytes = std::fs::read(path)?;
            let tensors = SafeTensors::deserialize(&bytes)?;
            images
                .load_safetensor(&tensors, "images")
                .map_err(|error| format!("{error:?}"))?;
            targets
                .load_safetensor(&tensors, "targets")
                .map_err(|error| format!("{error:?}"))?;
        }
        let config = SgdConfig {
            lr: rate,
            momentum: Some(Momentum::Classic(0.9)),
            weight_decay: None,
        };
        Ok(Box::new(Self {
            device: device.clone(),
            optimiser: Sgd::new(&model, config),
            gradients: None,
            model,
            images,
            targets,
        }))
    }
}

impl<M> Net for Loaded<M>
where
    M: TensorCollection<f32, Cuda>
        + Module<Images, Output = Logits, Error = CudaError>
        + Infer<Images, f32, Cuda, Output = Logits>
        + ModuleMut<Images<OnTape>, Output = Logits<OnTape>, Error = CudaError>,
{
    fn logits(&self) -> Outcome<Vec<f32>> {
        Ok(self.model.try_forward(self.images.clone()).map_err(describe)?.as_vec())
    }

    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>> {
        let prepared = Prepared::new(&self.model);
        let run = || {
            prepared
                .try_forward(&self.device, self.images.clone())
                .map_err(describe)
        };
        run()?;
        // The logits on the host end the run, for PyTorch too.
        timed(repeats, || {
            std::hint::black_box(run()?.as_vec());
            Ok(())
        })
    }

    fn train(&mut self) -> Outcome<f32> {
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads().map_err(describe)?,
        };
        let traced = self.images.clone().traced(gradients);
        let logits = self.model.try_forward_mut(traced).map_err(describe)?;
        let loss = cross_entropy_with_logits_loss(logits, self.targets.clone());
        // Read at the end, when the step has run.
        let value = loss.retaped::<NoneTape>();
        let mut gradients = loss.try_backward().map_err(describe)?;
        self.optimiser
            .update(&mut self.model, &gradients)
            .map_err(|error| format!("{error:?}"))?;
        self.model.try_zero_grads(&mut gradients).map_err(describe)?;
        self.gradients = Some(gradients);
        Ok(value.array())
    }

    fn save(&self, path: &Path) -> Outcome<()> {
        Ok(self.model.save_safetensors(path)?)
    }
}

/// dfdx's error is not a `std::error::Error`.
fn describe(error: CudaError) -> String {
    error.to_string()
}

/// The seconds that each of this many calls takes.
fn timed(repeats: usize, mut call: impl FnMut() -> Outcome<()>) -> Outcome<Vec<f64>> {
    (0..repeats)
        .map(|_| {
            let start = std::time::Instant::now();
            call()?;
            Ok(start.elapsed().as_secs_f64())
        })
        .collect()
}

fn load(device: &Cuda, name: &str, numbers: (usize, f64), files: [Option<&Path>; 2]) -> Outcome<Box<dyn Net>> {
    match name {
        "se_resnet_2" => {
            Loaded::<nets::se_resnet::Model<f32, Cuda>>::load::<nets::se_resnet::Builder>(device, numbers, files)
        }
        "convmixer_256" => {
            Loaded::<nets::convmixer::Model<f32, Cuda>>::load::<nets::convmixer::Builder>(device, numbers, files)
        }
        _ => Err(format!("unknown network `{name}`").into()),
    }
}

fn serve(device: &Cuda, net: &mut Option<Box<dyn Net>>, line: &str) -> Outcome<Answer> {
    const NO_NET: &str = "no network is loaded";
    let loaded = net.as_mut();
    match serde_json::from_str(line)? {
        Request::Ready => {}
        Request::Load {
            net: name,
            batch,
            rate,
            weights,
            data,
        } => {
            *net = Some(load(
                device,
                &name,
                (batch, rate),
                [weights.as_deref(), data.as_deref()],
            )?)
        }
        Request::Logits => return Ok(Answer::Logits(loaded.ok_or(NO_NET)?.logits()?)),
        Request::Infer { repeats } => return Ok(Answer::Seconds(loaded.ok_or(NO_NET)?.infer(repeats)?)),
        Request::Train { repeats } => {
            let (net, mut losses) = (loaded.ok_or(NO_NET)?, Vec::new());
            let seconds = timed(repeats, || {
                losses.push(net.train()?);
                Ok(())
            })?;
            return Ok(Answer::Training { seconds, losses });
        }
        Request::Save { path } => loaded.ok_or(NO_NET)?.save(&path)?,
    }
    Ok(Answer::Done)
}

fn main() -> Outcome<()> {
    let precision = match std::env::args().nth(1).as_deref() {
        None | Some("full") => Precision::Full,
        Some("tf32") => Precision::Tf32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("unknown precision `{other}`, expected full, tf32 or bf16").into()),
    };
    let device = cuda::device(0)?;
    cuda::set_precision(&device, precision)?;
    let mut net = None;
    for line in io::stdin().lock().lines() {
        let answer = serve(&device, &mut net, &line?).unwrap_or_else(|error| Answer::Error(error.to_string()));
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}
