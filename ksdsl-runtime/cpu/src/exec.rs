//! The executor: each method calls the kernel of its family.
//!
//! The kernels are generic, but implemented for `f32` and `f64` one by one: so they are compiled
//! here and not in the crate of every model, where a development build would leave them unoptimised.

#[cfg(feature = "signs")]
use super::signs;
use super::simd::Level;
use super::threads::for_work;
use super::{
    CpuBuf, CpuKernel, CpuKernelGradient, Error, activation, attention, attention_past, chain, compute, conv,
    conv_method, elementwise, fused, joined, layout, norm, pool, rows, slices, tail,
};
use ksdsl_engine::exec::{
    ConvLink, ConvMoments, ConvTail, Exec, JoinedConv, JoinedGradients, LayerNormOutput, MapGradient, NormBackward,
    link_by_link, one_by_one,
};
use ksdsl_engine::loops::Loops;
use ksdsl_engine::size::{Activation, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Slices, Tail};
use std::any::TypeId;
use std::borrow::Cow;

/// The CPU as an executor of the engine: the team of [`set_threads`](crate::set_threads), the instruction sets that
/// are there.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuExec;

macro_rules! executor {
    ($E:ident) => {
        impl Exec<$E> for CpuExec {
            type Err = Error;
            type Buf = CpuBuf<$E>;
            type Kernel = CpuKernel<$E>;
            type KernelGradient = CpuKernelGradient<$E>;

            fn upload(&self, values: Vec<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(CpuBuf::from_vec(values))
            }

            fn download(&self, buf: &CpuBuf<$E>) -> Result<Vec<$E>, Error> {
                Ok(buf.to_vec())
            }

            fn zeroed(&self, len: usize) -> Result<CpuBuf<$E>, Error> {
                Ok(CpuBuf::zeros(len))
            }

            fn nchw_to_nhwc(&self, size: MapSize, x: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(layout::nchw_to_nhwc(size, x))
            }

            fn nhwc_to_nchw(&self, size: MapSize, x: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(layout::nhwc_to_nchw(size, x))
            }

            fn compute(&self, loops: &Loops, operands: &[&CpuBuf<$E>]) -> Result<CpuBuf<$E>, Error> {
                let reaches = loops.views.iter().map(|view| loops.reach(view));
                let fits = reaches
                    .zip(operands)
                    .all(|(reach, operand)| reach <= operand.len());
                if !fits || loops.views.len() != operands.len() {
                    return Err(Error::WrongLength);
                }
                Ok(compute::compute(loops, operands))
            }

            fn kernel(&self, values: CpuBuf<$E>) -> CpuKernel<$E> {
                CpuKernel::new(values)
            }

            fn kernel_values(kernel: &CpuKernel<$E>) -> &CpuBuf<$E> {
                kernel.plain()
            }

            fn gradient(&self, len: usize) -> Result<CpuKernelGradient<$E>, Error> {
                Ok(CpuKernelGradient::new(len))
            }

            fn gradient_values_mut<'g>(
                &self,
                gradient: &'g mut CpuKernelGradient<$E>,
            ) -> Result<&'g mut CpuBuf<$E>, Error> {
                Ok(gradient.plain())
            }

            fn gradient_values(&self, gradient: CpuKernelGradient<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(gradient.into_plain())
            }

            fn conv_forward(
                &self,
                size: ConvSize,
                x: &CpuBuf<$E>,
                kernel: &CpuKernel<$E>,
                bias: Option<&CpuBuf<$E>>,
                tail: ConvTail<'_, CpuBuf<$E>>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(for_work(conv_method::work(&size), || {
                    tail::conv_forward(size, x, kernel, bias, tail)
                }))
            }

            fn chains(&self, links: &[ConvSize]) -> bool {
                chain::pays::<$E>(Level::current(), links)
            }

            fn conv_chain(
                &self,
                x: &CpuBuf<$E>,
                links: &[ConvLink<'_, CpuBuf<$E>, CpuKernel<$E>>],
            ) -> Result<CpuBuf<$E>, Error> {
                let sizes: Vec<_> = links.iter().map(|link| link.size).collect();
                match chain::around::<$E>(Level::current(), &sizes) {
                    Some(around) => {
                        let work = sizes.iter().map(conv_method::work).sum();
                        Ok(for_work(work, || chain::forward(around, x, links)))
                    }
                    None => link_by_link::<$E, _>(self, x, links),
                }
            }

            fn conv_moments(
                &self,
                size: ConvSize,
                x: &CpuBuf<$E>,
                kernel: &CpuKernel<$E>,
                bias: Option<&CpuBuf<$E>>,
                before: Option<Activation>,
            ) -> Result<ConvMoments<CpuBuf<$E>>, Error> {
                Ok(for_work(conv_method::work(&size), || {
                    tail::conv_moments(size, x, kernel, bias, before)
                }))
            }

            fn conv_backward_data(
                &self,
                size: ConvSize,
                kernel: &CpuKernel<$E>,
                dy: &CpuBuf<$E>,
                others: Option<CpuBuf<$E>>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(for_work(conv_method::work(&size), || {
                    tail::conv_backward_data(size, kernel, dy, others)
                }))
            }

            fn conv_backward_weight(
                &self,
                size: ConvSize,
                x: &CpuBuf<$E>,
                dy: &CpuBuf<$E>,
                gradient: &mut CpuKernelGradient<$E>,
            ) -> Result<(), Error> {
                for_work(conv_method::work(&size), || {
                    conv::backward_weight(size, x, dy, gradient)
                });
                Ok(())
            }

            fn bias_backward(&self, size: RowSize, dy: &CpuBuf<$E>, dbias: &mut CpuBuf<$E>) -> Result<(), Error> {
                norm::bias_backward(size, dy, dbias);
                Ok(())
            }

            fn moments(&self, size: RowSize, x: &CpuBuf<$E>) -> Result<(CpuBuf<$E>, CpuBuf<$E>), Error> {
                Ok(fused::statistics(size, x))
            }

            fn norm_coefficients(
                &self,
                mean: &CpuBuf<$E>,
                variance: &CpuBuf<$E>,
                scale: &CpuBuf<$E>,
                shift: &CpuBuf<$E>,
                eps: f64,
            ) -> Result<(CpuBuf<$E>, CpuBuf<$E>), Error> {
                Ok(fused::factor_and_offset(mean, variance, scale, shift, eps))
            }

            fn norm_apply(
                &self,
                size: RowSize,
                after: Option<Activation>,
                x: Cow<'_, CpuBuf<$E>>,
                factor: &CpuBuf<$E>,
                offset: &CpuBuf<$E>,
                residual: Option<&CpuBuf<$E>>,
            ) -> Result<CpuBuf<$E>, Error> {
                let y = tail::apply(size, after, x, factor, offset, residual);
                #[cfg(feature = "signs")]
                signs::note(after, &y);
                Ok(y)
            }

            fn norm_recall(
                &self,
                size: RowSize,
                tail: Tail,
                x: &CpuBuf<$E>,
                factor: &CpuBuf<$E>,
                offset: &CpuBuf<$E>,
                residual: Option<&CpuBuf<$E>>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(tail::recall(size, tail, x, factor, offset, residual))
            }

            fn norm_backward(
                &self,
                norm: NormBackward<'_, CpuBuf<$E>>,
                dy: CpuBuf<$E>,
                residual: bool,
                dscale: &mut CpuBuf<$E>,
                dshift: &mut CpuBuf<$E>,
            ) -> Result<(CpuBuf<$E>, Option<CpuBuf<$E>>), Error> {
                Ok(tail::backward(norm, dy, residual, dscale, dshift))
            }

            fn joins_norm(&self, size: ConvSize) -> bool {
                conv_method::pointwise(&size).is_some_and(|size| joined::pays(&size))
            }

            fn conv_norm_backward(
                &self,
                norm: NormBackward<'_, CpuBuf<$E>>,
                conv: JoinedConv<'_, CpuBuf<$E>, CpuKernel<$E>>,
                dy: CpuBuf<$E>,
                gradients: JoinedGradients<'_, CpuBuf<$E>, CpuKernelGradient<$E>>,
            ) -> Result<MapGradient<CpuBuf<$E>>, Error> {
                match conv_method::pointwise(&conv.size) {
                    Some(size) => Ok(joined::backward(size, norm, conv, dy, gradients)),
                    None => one_by_one::<$E, _>(self, norm, conv, dy, gradients),
                }
            }

            fn blend_statistics(
                &self,
                running: &CpuBuf<$E>,
                batch: &CpuBuf<$E>,
                momentum: f64,
                factor: f64,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(norm::blend_statistics(running, batch, momentum, factor))
            }

            fn layer_norm_forward(
                &self,
                size: RowSize,
                x: &CpuBuf<$E>,
                scale: &CpuBuf<$E>,
                shift: &CpuBuf<$E>,
                eps: f64,
            ) -> Result<LayerNormOutput<CpuBuf<$E>>, Error> {
                Ok(norm::layer_norm_forward(size, x, scale, shift, eps))
            }

            fn layer_norm_backward(
                &self,
                size: RowSize,
                x: &CpuBuf<$E>,
                mean: &CpuBuf<$E>,
                inverse_std: &CpuBuf<$E>,
                scale: &CpuBuf<$E>,
                dy: &CpuBuf<$E>,
                dscale: &mut CpuBuf<$E>,
                dshift: &mut CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(norm::layer_norm_backward(
                    size,
                    x,
                    mean,
                    inverse_std,
                    scale,
                    dy,
                    dscale,
                    dshift,
                ))
            }

            fn attention_forward(
                &self,
                size: AttentionSize,
                q: &CpuBuf<$E>,
                k: &CpuBuf<$E>,
                v: &CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(attention::forward(size, q, k, v))
            }

            fn attention_backward(
                &self,
                size: AttentionSize,
                q: &CpuBuf<$E>,
                k: &CpuBuf<$E>,
                v: &CpuBuf<$E>,
                dy: &CpuBuf<$E>,
            ) -> Result<[CpuBuf<$E>; 3], Error> {
                Ok(attention::backward(size, q, k, v, dy))
            }

            fn attention_to_past(
                &self,
                size: AttentionSize,
                q: &CpuBuf<$E>,
                k: &CpuBuf<$E>,
                v: &CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(attention_past::forward(size, q, k, v))
            }

            fn write_rows(
                &self,
                size: RowSize,
                rows: &CpuBuf<$E>,
                first: usize,
                to: &mut CpuBuf<$E>,
            ) -> Result<(), Error> {
                let places = first * size.channels..(first + size.rows) * size.channels;
                let to = to.get_mut(places).ok_or(Error::WrongLength)?;
                to.copy_from_slice(rows.get(..to.len()).ok_or(Error::WrongLength)?);
                Ok(())
            }

            fn gather_rows(&self, size: RowSize, table: &CpuBuf<$E>, ids: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                rows::gather(size, table, ids)
            }

            fn scatter_add_rows(
                &self,
                size: RowSize,
                dy: &CpuBuf<$E>,
                ids: &CpuBuf<$E>,
                dtable: &mut CpuBuf<$E>,
            ) -> Result<(), Error> {
                rows::scatter_add(size, dy, ids, dtable)
            }

            fn add_to_rows(&self, size: RowSize, x: CpuBuf<$E>, row: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(elementwise::add_to_rows(size, x, row))
            }

            fn activation_forward(&self, kind: Activation, x: CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                let y = activation::activation_forward(kind, x);
                #[cfg(feature = "signs")]
                signs::note(Some(kind), &y);
                Ok(y)
            }

            fn activation_backward(
                &self,
                kind: Activation,
                saved: &CpuBuf<$E>,
                dy: CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(activation::activation_backward(kind, saved, dy))
            }

            fn pool_forward(&self, kind: PoolKind, size: PoolSize, x: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(pool::pool_forward(kind, size, x))
            }

            fn pool_backward(
                &self,
                kind: PoolKind,
                size: PoolSize,
                x: &CpuBuf<$E>,
                dy: &CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(pool::pool_backward(kind, size, x, dy))
            }

            fn global_pool_forward(&self, kind: PoolKind, size: MapSize, x: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(pool::global_pool_forward(kind, size, x))
            }

            fn global_pool_backward(
                &self,
                kind: PoolKind,
                size: MapSize,
                x: Option<&CpuBuf<$E>>,
                dy: &CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(pool::global_pool_backward(kind, size, x, dy))
            }

            fn add(&self, a: CpuBuf<$E>, b: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(elementwise::add(a, b))
            }

            fn multiply(&self, a: CpuBuf<$E>, b: &CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(elementwise::multiply(a, b))
            }

            fn gate_forward(
                &self,
                size: MapSize,
                x: &CpuBuf<$E>,
                gate: &CpuBuf<$E>,
                residual: Option<&CpuBuf<$E>>,
                after: Option<Activation>,
            ) -> Result<CpuBuf<$E>, Error> {
                let mut y = CpuBuf::scratch(size.len());
                fused::gate(
                    size,
                    x,
                    gate,
                    residual.map(|residual| &residual[..]),
                    after,
                    &mut y,
                );
                #[cfg(feature = "signs")]
                signs::note(after, &y);
                Ok(y)
            }

            fn gate_backward(
                &self,
                size: MapSize,
                x: &CpuBuf<$E>,
                gate: &CpuBuf<$E>,
                output: Option<&CpuBuf<$E>>,
                mut dy: CpuBuf<$E>,
                residual: bool,
            ) -> Result<(CpuBuf<$E>, CpuBuf<$E>, Option<CpuBuf<$E>>), Error> {
                let mut dx = CpuBuf::scratch(size.len());
                let dgate = fused::gate_gradient(size, x, gate, output.map(|y| &y[..]), &mut dy, &mut dx);
                Ok((dx, dgate, residual.then_some(dy)))
            }

            fn slices(&self, images: usize, largest: usize) -> Option<Slices> {
                // The reference precision may cut its sums in other ways.
                let single = TypeId::of::<$E>() == TypeId::of::<f32>();
                let bytes = largest.saturating_mul(size_of::<$E>());
                single.then(|| slices::slices(images, bytes)).flatten()
            }

            fn concat(
                &self,
                rows: usize,
                left: usize,
                right: usize,
                a: &CpuBuf<$E>,
                b: &CpuBuf<$E>,
            ) -> Result<CpuBuf<$E>, Error> {
                Ok(elementwise::concat(rows, left, right, a, b))
            }

            fn split(
                &self,
                rows: usize,
                left: usize,
                right: usize,
                x: &CpuBuf<$E>,
            ) -> Result<(CpuBuf<$E>, CpuBuf<$E>), Error> {
                Ok(elementwise::split(rows, left, right, x))
            }

            fn dropout(&self, p: f64, seed: u64, x: CpuBuf<$E>) -> Result<CpuBuf<$E>, Error> {
                Ok(elementwise::dropout(p, seed, x))
            }
        }
    };
}

executor!(f32);
executor!(f64);
