//! A network with its batch, on any device.

use crate::protocol::Options;
use crate::serve::{Net, Outcome, timed};
use ksdsl_runtime::Backend;
use ksdsl_runtime::network::Infer;
use ksdsl_runtime::prelude::*;
use safetensors::SafeTensors;
use std::fmt::{Debug, Display};
use std::hint::black_box;
use std::path::Path;

type Images<D, T = NoneTape> = Tensor<(usize, Const<3>, Const<32>, Const<32>), f32, D, T>;
type Logits<D, T = NoneTape> = Tensor<(usize, Const<10>), f32, D, T>;
type OnTape<D> = OwnedTape<f32, D>;

/// A model with its batch.
pub(crate) struct Loaded<M, D: Backend<f32>> {
    device: D,
    model: M,
    optimiser: Sgd<M, f32, D>,
    /// The previous step's gradients, whose memory is reused.
    gradients: Option<Gradients<f32, D>>,
    images: Images<D>,
    targets: Logits<D>,
}

impl<M, D: Backend<f32> + DeviceBuildExt> Loaded<M, D>
where
    M: TensorCollection<f32, D>
        + Module<Images<D>, Output = Logits<D>, Error = D::Err>
        + Infer<Images<D>, f32, D, Output = Logits<D>>
        + ModuleMut<Images<D, OnTape<D>>, Output = Logits<D, OnTape<D>>, Error = D::Err>
        + 'static,
{
    pub(crate) fn load<B: BuildOnDevice<D, f32, Built = M>>(device: &D, options: &Options) -> Outcome<Box<dyn Net>> {
        let mut model = device.try_build_module::<B, f32>().map_err(described)?;
        if let Some(path) = &options.weights {
            model.load_safetensors(path).map_err(debugged)?;
        }
        let (images, targets) = batch(device, options)?;
        let config = SgdConfig {
            lr: options.rate,
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

impl<M, D: Backend<f32>> Net for Loaded<M, D>
where
    M: TensorCollection<f32, D>
        + Module<Images<D>, Output = Logits<D>, Error = D::Err>
        + Infer<Images<D>, f32, D, Output = Logits<D>>
        + ModuleMut<Images<D, OnTape<D>>, Output = Logits<D, OnTape<D>>, Error = D::Err>,
{
    fn logits(&self) -> Outcome<Vec<f32>> {
        Ok(self.model.try_forward(self.images.clone()).map_err(described)?.as_vec())
    }

    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>> {
        let prepared = Prepared::new(&self.model);
        let run = || {
            prepared
                .try_forward(&self.device, self.images.clone())
                .map_err(described)
        };
        // Packs the kernels, as other systems do before the first input.
        run()?;
        // The logits on the host end the run, for the others too.
        timed(repeats, || {
            black_box(run()?.as_vec());
            Ok(())
        })
    }

    fn train(&mut self) -> Outcome<f32> {
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads().map_err(described)?,
        };
        let traced = self.images.clone().traced(gradients);
        let logits = self.model.try_forward_mut(traced).map_err(described)?;
        let loss = cross_entropy_with_logits_loss(logits, self.targets.clone());
        // Read at the end, when the step has run.
        let value = loss.retaped::<NoneTape>();
        let mut gradients = loss.try_backward().map_err(described)?;
        self.optimiser.update(&mut self.model, &gradients).map_err(debugged)?;
        self.model.try_zero_grads(&mut gradients).map_err(described)?;
        self.gradients = Some(gradients);
        Ok(value.as_vec()[0])
    }

    fn save(&self, path: &Path) -> Outcome<()> {
        Ok(self.model.save_safetensors(path)?)
    }
}

/// The batch from the file, or random images of class 0.
fn batch<D: Backend<f32>>(device: &D, options: &Options) -> Outcome<(Images<D>, Logits<D>)> {
    let mut images: Images<D> = device.sample_normal_like(&(options.batch, Const, Const, Const));
    let classes = (0..10 * options.batch).map(|i| f32::from(u8::from(i % 10 == 0)));
    let targets = device.try_tensor_from_vec(classes.collect(), (options.batch, Const));
    let mut targets: Logits<D> = targets.map_err(described)?;
    if let Some(path) = &options.data {
        let bytes = std::fs::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        images.load_safetensor(&tensors, "input").map_err(debugged)?;
        targets.load_safetensor(&tensors, "targets").map_err(debugged)?;
    }
    Ok((images, targets))
}

/// dfdx's errors of devices do not all implement `std::error::Error`,
fn described(error: impl Display) -> String {
    error.to_string()
}

/// and those of files are not even displayed.
fn debugged(error: impl Debug) -> String {
    format!("{error:?}")
}
