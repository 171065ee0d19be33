//! The operations: what each allocates, see `crate::exec`.

use super::conv::Finish;
use super::{LEVEL, Meter, MeterBuf, MeterKernel, MeterKernelGradient};
use crate::{attention, chain, conv_method, fused, joined, slices};
use ksdsl_engine::exec::{
    ConvLink, ConvMoments, ConvTail, Exec, JoinedConv, JoinedGradients, LayerNormOutput, MapGradient, NormBackward,
    link_by_link, one_by_one,
};
use ksdsl_engine::loops::Loops;
use ksdsl_engine::size::{Activation, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Slices, Tail};
use std::borrow::Cow;
use std::convert::Infallible;

type Counted<T = MeterBuf> = Result<T, Infallible>;

impl Exec<f32> for Meter {
    type Err = Infallible;
    type Buf = MeterBuf;
    type Kernel = MeterKernel;
    type KernelGradient = MeterKernelGradient;

    fn upload(&self, values: Vec<f32>) -> Counted {
        Ok(self.outside(values.len()))
    }

    fn download(&self, buf: &MeterBuf) -> Counted<Vec<f32>> {
        Ok(vec![0.0; buf.len()])
    }

    fn kept(&self, values: MeterBuf) -> MeterBuf {
        self.outside(values.len())
    }

    fn zeroed(&self, len: usize) -> Counted {
        Ok(self.values(len))
    }

    fn nchw_to_nhwc(&self, size: MapSize, _: &MeterBuf) -> Counted {
        Ok(self.values(size.len()))
    }

    fn nhwc_to_nchw(&self, size: MapSize, _: &MeterBuf) -> Counted {
        Ok(self.values(size.len()))
    }

    fn compute(&self, loops: &Loops, _: &[&MeterBuf]) -> Counted {
        Ok(self.values(loops.len()))
    }

    fn kernel(&self, values: MeterBuf) -> MeterKernel {
        MeterKernel::new(values)
    }

    fn kernel_values(kernel: &MeterKernel) -> &MeterBuf {
        kernel.values()
    }

    fn gradient(&self, len: usize) -> Counted<MeterKernelGradient> {
        Ok(MeterKernelGradient::new(len))
    }

    fn gradient_values_mut<'g>(&self, gradient: &'g mut MeterKernelGradient) -> Counted<&'g mut MeterBuf> {
        Ok(gradient.plain(self))
    }

    fn gradient_values(&self, gradient: MeterKernelGradient) -> Counted {
        Ok(gradient.into_plain(self))
    }

    fn conv_forward(
        &self,
        size: ConvSize,
        _: &MeterBuf,
        kernel: &MeterKernel,
        _: Option<&MeterBuf>,
        tail: ConvTail<'_, MeterBuf>,
    ) -> Counted {
        let _affine = self.affine(size.output.channels, &tail);
        Ok(self.forward(&size, kernel, Finish::Nothing))
    }

    fn chains(&self, links: &[ConvSize]) -> bool {
        chain::pays::<f32>(LEVEL, links)
    }

    fn conv_chain(&self, x: &MeterBuf, links: &[ConvLink<'_, MeterBuf, MeterKernel>]) -> Counted {
        let sizes: Vec<_> = links.iter().map(|link| link.size).collect();
        match chain::around::<f32>(LEVEL, &sizes) {
            Some(around) => Ok(self.chain(around, x, links)),
            None => link_by_link::<f32, _>(self, x, links),
        }
    }

    fn conv_moments(
        &self,
        size: ConvSize,
        _: &MeterBuf,
        kernel: &MeterKernel,
        _: Option<&MeterBuf>,
        before: Option<Activation>,
    ) -> Counted<ConvMoments<MeterBuf>> {
        let activated = before.map(|_| self.values(size.output.len()));
        let output = self.forward(&size, kernel, Finish::Moments);
        let [mean, variance] = self.identity(size.output.channels);
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
        kernel: &MeterKernel,
        _: &MeterBuf,
        others: Option<MeterBuf>,
    ) -> Counted {
        let channels = size.input.channels;
        let _add = others
            .as_ref()
            .map(|_| (self.identity(channels), self.tiles(channels, 2)));
        Ok(self.backward_data(&size, kernel))
    }

    fn conv_backward_weight(
        &self,
        size: ConvSize,
        _: &MeterBuf,
        _: &MeterBuf,
        gradient: &mut MeterKernelGradient,
    ) -> Counted<()> {
        self.backward_weight(&size, gradient);
        Ok(())
    }

    fn bias_backward(&self, size: RowSize, _: &MeterBuf, _: &mut MeterBuf) -> Counted<()> {
        self.column_sums(size);
        Ok(())
    }

    fn moments(&self, size: RowSize, _: &MeterBuf) -> Counted<(MeterBuf, MeterBuf)> {
        let width = fused::Columns::new::<f32>(LEVEL, size.channels).width;
        self.tasks([width], size.rows);
        let [mean, variance] = self.identity(size.channels);
        Ok((mean, variance))
    }

    fn norm_coefficients(
        &self,
        mean: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: f64,
    ) -> Counted<(MeterBuf, MeterBuf)> {
        let [factor, offset] = self.identity(mean.len());
        Ok((factor, offset))
    }

    fn norm_apply(
        &self,
        size: RowSize,
        _: Option<Activation>,
        x: Cow<'_, MeterBuf>,
        _: &MeterBuf,
        _: &MeterBuf,
        _: Option<&MeterBuf>,
    ) -> Counted {
        let y = match x {
            Cow::Owned(y) => y,
            Cow::Borrowed(x) => self.values(x.len()),
        };
        self.tiles(size.channels, 2);
        Ok(y)
    }

    fn norm_recall(
        &self,
        size: RowSize,
        _: Tail,
        x: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: Option<&MeterBuf>,
    ) -> Counted {
        let y = self.values(x.len());
        self.tiles(size.channels, 2);
        Ok(y)
    }

    fn norm_backward(
        &self,
        norm: NormBackward<'_, MeterBuf>,
        dy: MeterBuf,
        residual: bool,
        _: &mut MeterBuf,
        _: &mut MeterBuf,
    ) -> Counted<(MeterBuf, Option<MeterBuf>)> {
        Ok(self.norm_gradient(&norm, dy, residual))
    }

    fn joins_norm(&self, size: ConvSize) -> bool {
        conv_method::pointwise(&size).is_some_and(|size| joined::pays(&size))
    }

    fn conv_norm_backward(
        &self,
        norm: NormBackward<'_, MeterBuf>,
        conv: JoinedConv<'_, MeterBuf, MeterKernel>,
        dy: MeterBuf,
        gradients: JoinedGradients<'_, MeterBuf, MeterKernelGradient>,
    ) -> Counted<MapGradient<MeterBuf>> {
        match conv_method::pointwise(&conv.size) {
            Some(size) => Ok(self.joined(&size, &norm, conv, dy, gradients)),
            None => one_by_one::<f32, _>(self, norm, conv, dy, gradients),
        }
    }

    fn blend_statistics(&self, running: &MeterBuf, _: &MeterBuf, _: f64, _: f64) -> Counted {
        Ok(self.values(running.len()))
    }

    fn layer_norm_forward(
        &self,
        size: RowSize,
        x: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: f64,
    ) -> Counted<LayerNormOutput<MeterBuf>> {
        let _pairs = self.values(2 * size.rows);
        let output = self.values(x.len());
        let [mean, inverse_std] = self.identity(size.rows);
        Ok(LayerNormOutput {
            output,
            mean,
            inverse_std,
        })
    }

    fn layer_norm_backward(
        &self,
        size: RowSize,
        x: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &mut MeterBuf,
        _: &mut MeterBuf,
    ) -> Counted {
        let _sums = self.layer_norm_sums(size);
        Ok(self.values(x.len()))
    }

    fn attention_forward(&self, size: AttentionSize, _: &MeterBuf, _: &MeterBuf, _: &MeterBuf) -> Counted {
        let y = self.values(size.len());
        self.tasks(attention::forward_scratch(LEVEL, &size), size.batch * size.heads);
        Ok(y)
    }

    fn attention_backward(
        &self,
        size: AttentionSize,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
        _: &MeterBuf,
    ) -> Counted<[MeterBuf; 3]> {
        let gradients = [size.len(), size.key_len(), size.key_len()].map(|len| self.values(len));
        self.tasks(attention::backward_scratch(LEVEL, &size), size.batch * size.key_heads);
        Ok(gradients)
    }

    fn gather_rows(&self, size: RowSize, _: &MeterBuf, ids: &MeterBuf) -> Counted {
        Ok(self.values(ids.len() * size.channels))
    }

    fn scatter_add_rows(&self, _: RowSize, _: &MeterBuf, _: &MeterBuf, _: &mut MeterBuf) -> Counted<()> {
        Ok(())
    }

    fn add_to_rows(&self, _: RowSize, x: MeterBuf, _: &MeterBuf) -> Counted {
        Ok(x)
    }

    fn activation_forward(&self, _: Activation, x: MeterBuf) -> Counted {
        Ok(x)
    }

    fn activation_backward(&self, _: Activation, _: &MeterBuf, dy: MeterBuf) -> Counted {
        Ok(dy)
    }

    fn pool_forward(&self, _: PoolKind, size: PoolSize, _: &MeterBuf) -> Counted {
        Ok(self.values(size.output.len()))
    }

    fn pool_backward(&self, _: PoolKind, size: PoolSize, _: &MeterBuf, _: &MeterBuf) -> Counted {
        Ok(self.values(size.input.len()))
    }

    fn global_pool_forward(&self, kind: PoolKind, size: MapSize, _: &MeterBuf) -> Counted {
        let y = self.values(size.batch * size.channels);
        if kind == PoolKind::Average {
            self.image_sums(size);
        }
        Ok(y)
    }

    fn global_pool_backward(&self, _: PoolKind, size: MapSize, _: Option<&MeterBuf>, _: &MeterBuf) -> Counted {
        Ok(self.values(size.len()))
    }

    fn add(&self, a: MeterBuf, _: &MeterBuf) -> Counted {
        Ok(a)
    }

    fn multiply(&self, a: MeterBuf, _: &MeterBuf) -> Counted {
        Ok(a)
    }

    fn gate_forward(
        &self,
        size: MapSize,
        _: &MeterBuf,
        _: &MeterBuf,
        _: Option<&MeterBuf>,
        _: Option<Activation>,
    ) -> Counted {
        let y = self.values(size.len());
        self.values(fused::gates_len(LEVEL, size));
        Ok(y)
    }

    fn gate_backward(
        &self,
        size: MapSize,
        _: &MeterBuf,
        _: &MeterBuf,
        _: Option<&MeterBuf>,
        dy: MeterBuf,
        residual: bool,
    ) -> Counted<(MeterBuf, MeterBuf, Option<MeterBuf>)> {
        let dx = self.values(size.len());
        let _gates = self.values(fused::gates_len(LEVEL, size));
        let sums = self.image_sums(size);
        let dgate = self.values(sums.len());
        Ok((dx, dgate, residual.then_some(dy)))
    }

    fn slices(&self, images: usize, largest: usize) -> Option<Slices> {
        slices::on_threads(self.tally.threads, images, largest.saturating_mul(size_of::<f32>()))
    }

    fn concat(&self, rows: usize, left: usize, right: usize, _: &MeterBuf, _: &MeterBuf) -> Counted {
        Ok(self.values(rows * (left + right)))
    }

    fn split(&self, rows: usize, left: usize, right: usize, _: &MeterBuf) -> Counted<(MeterBuf, MeterBuf)> {
        Ok((self.values(rows * left), self.values(rows * right)))
    }

    fn dropout(&self, _: f64, _: u64, x: MeterBuf) -> Counted {
        Ok(x)
    }
}
