//! The executor: each method calls the kernels of its family.

use super::buf::{CudaBuf, CudaKernel, CudaKernelGradient};
use super::error::Error;
use super::handle::CudaExec;
use super::layers::{self, Affine};
use super::norms::{self, OnTheWay};
use super::{attention, conv, loops, rows};
use ksdsl_engine::exec::{ConvMoments, ConvTail, Exec, LayerNormOutput, NormBackward};
use ksdsl_engine::loops::Loops;
use ksdsl_engine::size::{Activation, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Tail};
use std::borrow::Cow;

macro_rules! executor {
    ($E:ident) => {
        impl Exec<$E> for CudaExec {
            type Err = Error;
            type Buf = CudaBuf<$E>;
            type Kernel = CudaKernel<$E>;
            type KernelGradient = CudaKernelGradient<$E>;

            fn upload(&self, values: Vec<$E>) -> Result<CudaBuf<$E>, Error> {
                Ok(self.adopt(self.0.device.htod_copy(values)?))
            }

            fn download(&self, buf: &CudaBuf<$E>) -> Result<Vec<$E>, Error> {
                buf.to_host()
            }

            fn compute(&self, loops: &Loops, operands: &[&CudaBuf<$E>]) -> Result<CudaBuf<$E>, Error> {
                loops::compute(&self.0, loops, operands)
            }

            fn zeroed(&self, len: usize) -> Result<CudaBuf<$E>, Error> {
                self.0.zeros(len)
            }

            fn nchw_to_nhwc(&self, size: MapSize, x: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::transpose([size.batch, size.channels, size.height * size.width], x)
            }

            fn nhwc_to_nchw(&self, size: MapSize, x: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::transpose([size.batch, size.height * size.width, size.channels], x)
            }

            fn kernel(&self, values: CudaBuf<$E>) -> CudaKernel<$E> {
                CudaKernel::new(values)
            }

            fn kernel_values(kernel: &CudaKernel<$E>) -> &CudaBuf<$E> {
                kernel.plain()
            }

            fn gradient(&self, len: usize) -> Result<CudaKernelGradient<$E>, Error> {
                Ok(CudaKernelGradient::new(self.0.clone(), len))
            }

            fn gradient_values_mut<'g>(
                &self,
                gradient: &'g mut CudaKernelGradient<$E>,
            ) -> Result<&'g mut CudaBuf<$E>, Error> {
                gradient.plain()
            }

            fn gradient_values(&self, gradient: CudaKernelGradient<$E>) -> Result<CudaBuf<$E>, Error> {
                gradient.into_plain()
            }

            fn conv_forward(
                &self,
                size: ConvSize,
                x: &CudaBuf<$E>,
                kernel: &CudaKernel<$E>,
                bias: Option<&CudaBuf<$E>>,
                tail: ConvTail<'_, CudaBuf<$E>>,
            ) -> Result<CudaBuf<$E>, Error> {
                let affine = Affine {
                    bias,
                    tail: Tail {
                        before: tail.before,
                        after: tail.after,
                    },
                    affine: tail.affine,
                    residual: tail.residual,
                };
                conv::forward_with_tail(size, x, kernel, &affine)
            }

            fn conv_moments(
                &self,
                size: ConvSize,
                x: &CudaBuf<$E>,
                kernel: &CudaKernel<$E>,
                bias: Option<&CudaBuf<$E>>,
                before: Option<Activation>,
            ) -> Result<ConvMoments<CudaBuf<$E>>, Error> {
                let output = conv::forward(size, x, kernel)?;
                let activated = match before {
                    Some(_) => Some(output.gpu().scratch(output.len())?),
                    None => None,
                };
                let on_the_way = OnTheWay {
                    bias,
                    before,
                    activated: activated.as_ref(),
                };
                let (mean, variance) = norms::moments(size.output.by_rows(), &output, on_the_way)?;
                Ok(ConvMoments {
                    output,
                    activated,
                    mean,
                    variance,
                })
            }

            fn conv_backward_data(
                &self,
                size: ConvSize,
                kernel: &CudaKernel<$E>,
                dy: &CudaBuf<$E>,
                others: Option<CudaBuf<$E>>,
            ) -> Result<CudaBuf<$E>, Error> {
                conv::backward_data(size, kernel, dy, others)
            }

            fn conv_backward_weight(
                &self,
                size: ConvSize,
                x: &CudaBuf<$E>,
                dy: &CudaBuf<$E>,
                gradient: &mut CudaKernelGradient<$E>,
            ) -> Result<(), Error> {
                conv::backward_weight(size, x, dy, gradient)
            }

            fn bias_backward(&self, size: RowSize, dy: &CudaBuf<$E>, dbias: &mut CudaBuf<$E>) -> Result<(), Error> {
                norms::bias_backward(size, dy, dbias)
            }

            fn moments(&self, size: RowSize, x: &CudaBuf<$E>) -> Result<(CudaBuf<$E>, CudaBuf<$E>), Error> {
                let on_the_way = OnTheWay {
                    bias: None,
                    before: None,
                    activated: None,
                };
                norms::moments(size, x, on_the_way)
            }

            fn norm_coefficients(
                &self,
                mean: &CudaBuf<$E>,
                variance: &CudaBuf<$E>,
                scale: &CudaBuf<$E>,
                shift: &CudaBuf<$E>,
                eps: f64,
            ) -> Result<(CudaBuf<$E>, CudaBuf<$E>), Error> {
                norms::norm_coefficients([mean, variance, scale, shift], eps)
            }

            fn norm_apply(
                &self,
                size: RowSize,
                after: Option<Activation>,
                x: Cow<'_, CudaBuf<$E>>,
                factor: &CudaBuf<$E>,
                offset: &CudaBuf<$E>,
                residual: Option<&CudaBuf<$E>>,
            ) -> Result<CudaBuf<$E>, Error> {
                let tail = Tail { before: None, after };
                norms::norm_apply(size, tail, x, (factor, offset), residual)
            }

            fn norm_recall(
                &self,
                size: RowSize,
                tail: Tail,
                x: &CudaBuf<$E>,
                factor: &CudaBuf<$E>,
                offset: &CudaBuf<$E>,
                residual: Option<&CudaBuf<$E>>,
            ) -> Result<CudaBuf<$E>, Error> {
                norms::norm_apply(size, tail, Cow::Borrowed(x), (factor, offset), residual)
            }

            fn norm_backward(
                &self,
                norm: NormBackward<'_, CudaBuf<$E>>,
                dy: CudaBuf<$E>,
                residual: bool,
                dscale: &mut CudaBuf<$E>,
                dshift: &mut CudaBuf<$E>,
            ) -> Result<(CudaBuf<$E>, Option<CudaBuf<$E>>), Error> {
                norms::norm_backward(norm, dy, residual, [dscale, dshift])
            }

            fn blend_statistics(
                &self,
                running: &CudaBuf<$E>,
                batch: &CudaBuf<$E>,
                momentum: f64,
                factor: f64,
            ) -> Result<CudaBuf<$E>, Error> {
                norms::blend_statistics(running, batch, momentum, factor)
            }

            fn layer_norm_forward(
                &self,
                size: RowSize,
                x: &CudaBuf<$E>,
                scale: &CudaBuf<$E>,
                shift: &CudaBuf<$E>,
                eps: f64,
            ) -> Result<LayerNormOutput<CudaBuf<$E>>, Error> {
                norms::layer_norm_forward(size, [x, scale, shift], eps)
            }

            fn layer_norm_backward(
                &self,
                size: RowSize,
                x: &CudaBuf<$E>,
                mean: &CudaBuf<$E>,
                inverse_std: &CudaBuf<$E>,
                scale: &CudaBuf<$E>,
                dy: &CudaBuf<$E>,
                dscale: &mut CudaBuf<$E>,
                dshift: &mut CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                norms::layer_norm_backward(size, [x, mean, inverse_std, scale, dy], [dscale, dshift])
            }

            fn attention_forward(
                &self,
                size: AttentionSize,
                q: &CudaBuf<$E>,
                k: &CudaBuf<$E>,
                v: &CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                attention::forward(size, [q, k, v])
            }

            fn attention_backward(
                &self,
                size: AttentionSize,
                q: &CudaBuf<$E>,
                k: &CudaBuf<$E>,
                v: &CudaBuf<$E>,
                dy: &CudaBuf<$E>,
            ) -> Result<[CudaBuf<$E>; 3], Error> {
                attention::backward(size, [q, k, v], dy)
            }

            fn gather_rows(&self, size: RowSize, table: &CudaBuf<$E>, ids: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                rows::gather(size, table, ids)
            }

            fn scatter_add_rows(
                &self,
                size: RowSize,
                dy: &CudaBuf<$E>,
                ids: &CudaBuf<$E>,
                dtable: &mut CudaBuf<$E>,
            ) -> Result<(), Error> {
                rows::scatter_add(size, dy, ids, dtable)
            }

            fn add_to_rows(&self, size: RowSize, x: CudaBuf<$E>, row: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::add_to_rows(size, x, row)
            }

            fn activation_forward(&self, kind: Activation, x: CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::activation_forward(kind, x)
            }

            fn activation_backward(
                &self,
                kind: Activation,
                saved: &CudaBuf<$E>,
                dy: CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::activation_backward(kind, saved, dy)
            }

            fn pool_forward(&self, kind: PoolKind, size: PoolSize, x: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::pool_forward(kind, size, x)
            }

            fn pool_backward(
                &self,
                kind: PoolKind,
                size: PoolSize,
                x: &CudaBuf<$E>,
                dy: &CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::pool_backward(kind, size, x, dy)
            }

            fn global_pool_forward(
                &self,
                kind: PoolKind,
                size: MapSize,
                x: &CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::global_pool_forward(kind, size, x)
            }

            fn global_pool_backward(
                &self,
                kind: PoolKind,
                size: MapSize,
                x: Option<&CudaBuf<$E>>,
                dy: &CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::global_pool_backward(kind, size, x, dy)
            }

            fn add(&self, a: CudaBuf<$E>, b: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::pairwise("add", a, b)
            }

            fn multiply(&self, a: CudaBuf<$E>, b: &CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::pairwise("multiply", a, b)
            }

            fn gate_forward(
                &self,
                size: MapSize,
                x: &CudaBuf<$E>,
                gate: &CudaBuf<$E>,
                residual: Option<&CudaBuf<$E>>,
                after: Option<Activation>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::gate_forward(size, [x, gate], residual, after)
            }

            fn gate_backward(
                &self,
                size: MapSize,
                x: &CudaBuf<$E>,
                gate: &CudaBuf<$E>,
                output: Option<&CudaBuf<$E>>,
                dy: CudaBuf<$E>,
                residual: bool,
            ) -> Result<(CudaBuf<$E>, CudaBuf<$E>, Option<CudaBuf<$E>>), Error> {
                layers::gate_backward(size, [x, gate], output, dy, residual)
            }

            fn concat(
                &self,
                rows: usize,
                left: usize,
                right: usize,
                a: &CudaBuf<$E>,
                b: &CudaBuf<$E>,
            ) -> Result<CudaBuf<$E>, Error> {
                layers::concat([rows, left, right], a, b)
            }

            fn split(
                &self,
                rows: usize,
                left: usize,
                right: usize,
                x: &CudaBuf<$E>,
            ) -> Result<(CudaBuf<$E>, CudaBuf<$E>), Error> {
                layers::split([rows, left, right], x)
            }

            fn dropout(&self, p: f64, seed: u64, x: CudaBuf<$E>) -> Result<CudaBuf<$E>, Error> {
                layers::dropout(p, seed, x)
            }
        }
    };
}

executor!(f32);
executor!(f64);
