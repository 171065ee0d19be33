//! The networks by name.

use crate::protocol::Options;
use crate::timed;
use ksdsl_runtime::dfdx::tensor::CpuError;
use ksdsl_runtime::dfdx::tensor::safetensors::Error as SafeTensorsError;
use ksdsl_runtime::network::Infer;
use ksdsl_runtime::prelude::*;
use safetensors::SafeTensors;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Images<T = NoneTape> = Tensor<(usize, Const<3>, Const<32>, Const<32>), f32, Cpu, T>;
type Logits<T = NoneTape> = Tensor<(usize, Const<10>), f32, Cpu, T>;
type OnTape = OwnedTape<f32, Cpu>;

/// A network with a batch of images.
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

/// Loads the network of this name.
pub(crate) fn load(name: &str, options: &Options) -> Outcome<Box<dyn Net>> {
    macro_rules! by_name {
        ($($family:ident: $($net:ident)+;)+) => {
            match name {
                $($(stringify!($net) => Loaded::<$family::$net::Model<f32, Cpu>>::load::<$family::$net::Builder>(options),)+)+
                _ => Err(format!("unknown network `{name}`").into()),
            }
        };
    }
    by_name! {
        se_resnet: se_resnet_2 se_resnet_3 se_resnet_6 se_resnet_10 se_resnet_10_unshared;
        convmixer: convmixer_64 convmixer_128 convmixer_256 convmixer_256_unshared convmixer_512;
    }
}

mod se_resnet {
    ksdsl_runtime::include_generated!("se_resnet_benchmarks");
}

mod convmixer {
    ksdsl_runtime::include_generated!("convmixer_benchmarks");
}

struct Loaded<M> {
    model: M,
    optimiser: Sgd<M, f32, Cpu>,
    /// The previous step's gradients, whose memory is reused.
    gradients: Option<Gradients<f32, Cpu>>,
    images: Images,
    targets: Logits,
}

impl<M> Loaded<M>
where
    M: TensorCollection<f32, Cpu>
        + Module<Images, Output = Logits, Error = CpuError>
        + Infer<Images, f32, Cpu, Output = Logits>
        + ModuleMut<Images<OnTape>, Output = Logits<OnTape>, Error = CpuError>
        + 'static,
{
    fn load<B: BuildOnDevice<Cpu, f32, Built = M>>(options: &Options) -> Outcome<Box<dyn Net>> {
        let device = Cpu::seed_from_u64(0);
        let mut model = device.try_build_module::<B, f32>()?;
        if let Some(path) = &options.weights {
            model.load_safetensors(path).map_err(describe)?;
        }
        let (images, targets) = batch(&device, options)?;
        let config = SgdConfig {
            lr: options.rate,
            momentum: Some(Momentum::Classic(0.9)),
            weight_decay: None,
        };
        Ok(Box::new(Self {
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
    M: TensorCollection<f32, Cpu>
        + Module<Images, Output = Logits, Error = CpuError>
        + Infer<Images, f32, Cpu, Output = Logits>
        + ModuleMut<Images<OnTape>, Output = Logits<OnTape>, Error = CpuError>,
{
    fn logits(&self) -> Outcome<Vec<f32>> {
        Ok(self.model.try_forward(self.images.clone())?.as_vec())
    }

    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>> {
        let (prepared, device) = (Prepared::new(&self.model), Cpu::default());
        // Packs the kernels, as other systems do before the first input.
        prepared.try_forward(&device, self.images.clone())?;
        timed(repeats, || {
            black_box(prepared.try_forward(&device, self.images.clone())?);
            Ok(())
        })
    }

    fn train(&mut self) -> Outcome<f32> {
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads()?,
        };
        let logits = self.model.try_forward_mut(self.images.clone().traced(gradients))?;
        let loss = cross_entropy_with_logits_loss(logits, self.targets.clone());
        let value = loss.array();
        let mut gradients = loss.try_backward()?;
        self.optimiser.update(&mut self.model, &gradients)?;
        self.model.try_zero_grads(&mut gradients)?;
        self.gradients = Some(gradients);
        Ok(value)
    }

    fn save(&self, path: &Path) -> Outcome<()> {
        Ok(self.model.save_safetensors(path)?)
    }
}

/// The batch from the file, or random images of class 0.
fn batch(device: &Cpu, options: &Options) -> Outcome<(Images, Logits)> {
    let mut images: Images = device.sample_normal_like(&(options.batch, Const, Const, Const));
    let classes = (0..10 * options.batch).map(|i| f32::from(u8::from(i % 10 == 0)));
    let mut targets: Logits = device.try_tensor_from_vec(classes.collect(), (options.batch, Const))?;
    if let Some(path) = &options.data {
        let bytes = std::fs::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        images.load_safetensor(&tensors, "images").map_err(describe)?;
        targets.load_safetensor(&tensors, "targets").map_err(describe)?;
    }
    Ok((images, targets))
}

/// dfdx's error type does not implement `std::error::Error`.
fn describe(error: SafeTensorsError) -> String {
    match error {
        SafeTensorsError::SafeTensorError(error) => error.to_string(),
        SafeTensorsError::MismatchedDimension((found, expected)) => {
            format!("a tensor of the file has the shape {found:?}, expected {expected:?}")
        }
        SafeTensorsError::IoError(error) => error.to_string(),
    }
}
