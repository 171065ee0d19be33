//! Single convolutions, called directly.

use crate::protocol::{KernelOptions, Pass};
use crate::serve::Outcome;
use crate::values;
use ksdsl_cpu::{CpuBuf, CpuExec, CpuKernel, CpuKernelGradient};
use ksdsl_engine::exec::{ConvTail, Exec};
use ksdsl_engine::size::{ConvSize, MapSize, Window};
use safetensors::SafeTensors;
use std::path::Path;

/// A convolution with its operands and the last results of its passes.
pub(crate) struct Kernel {
    size: ConvSize,
    x: CpuBuf<f32>,
    weight: CpuBuf<f32>,
    dy: CpuBuf<f32>,
    /// The last output or input gradient; both have the input's size.
    map: CpuBuf<f32>,
    /// The last kernel gradient.
    dweight: CpuBuf<f32>,
}

impl Kernel {
    /// Reads the operands.
    pub(crate) fn load(options: &KernelOptions) -> Outcome<Self> {
        let size = conv_size(options);
        let bytes = std::fs::read(&options.data)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let weight = CpuBuf::from_vec(values(&file, "weight")?);
        Ok(Self {
            x: Exec::<f32>::nchw_to_nhwc(&CpuExec, size.input, &CpuBuf::from_vec(values(&file, "x")?))?,
            dy: Exec::<f32>::nchw_to_nhwc(&CpuExec, size.output, &CpuBuf::from_vec(values(&file, "dy")?))?,
            map: CpuBuf::zeros(0),
            dweight: CpuBuf::zeros(0),
            weight,
            size,
        })
    }

    /// Runs a pass once; packing the kernel is part of the pass.
    pub(crate) fn run(&mut self, pass: Pass) -> Outcome<()> {
        let (size, x, dy) = (self.size, &self.x, &self.dy);
        let kernel = CpuKernel::new(self.weight.clone());
        match pass {
            Pass::Forward => {
                self.map = Exec::<f32>::conv_forward(&CpuExec, size, x, &kernel, None, ConvTail::default())?
            }
            Pass::Data => self.map = Exec::<f32>::conv_backward_data(&CpuExec, size, &kernel, dy, None)?,
            Pass::Weight => {
                let mut gradient = CpuKernelGradient::new(self.weight.len());
                Exec::<f32>::conv_backward_weight(&CpuExec, size, x, dy, &mut gradient)?;
                self.dweight = gradient.into_plain();
            }
        }
        Ok(())
    }

    /// Writes the last result of a pass and discards it.
    pub(crate) fn write(&mut self, pass: Pass, path: &Path) -> Outcome<()> {
        let values = match pass {
            Pass::Forward | Pass::Data => Exec::<f32>::nhwc_to_nchw(&CpuExec, self.size.input, &self.map)?,
            Pass::Weight => std::mem::replace(&mut self.dweight, CpuBuf::zeros(0)),
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(std::fs::write(path, bytes)?)
    }
}

fn conv_size(options: &KernelOptions) -> ConvSize {
    let map = MapSize {
        batch: options.batch,
        height: options.side,
        width: options.side,
        channels: options.channels,
    };
    ConvSize {
        input: map,
        output: map,
        window: Window {
            kernel: [options.kernel; 2],
            stride: [1, 1],
            pad: [options.kernel / 2; 2],
            dilation: [1, 1],
        },
        groups: options.groups,
        algorithm: Default::default(),
        unit: None,
    }
}
