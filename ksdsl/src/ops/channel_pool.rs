//! Pooling over the channels of each position.

use super::pool::PoolKind;
use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "channel_mean",
        doc: "the mean over the channels of each position: maps of one channel",
        params: &[],
        family: Family::Other,
        resolve: Resolve::One(|_, _| Ok(Some(Op::new(ChannelPool(PoolKind::Average))))),
    },
    LayerDef {
        name: "channel_max",
        doc: "the maximum over the channels of each position: maps of one channel",
        params: &[],
        family: Family::Other,
        resolve: Resolve::One(|_, _| Ok(Some(Op::new(ChannelPool(PoolKind::Max))))),
    },
];

/// Pooling over the channels of each position.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPool(PoolKind);

impl Operation for ChannelPool {
    fn call(&self) -> Call {
        Call::new(match self.0 {
            PoolKind::Max => "channel_max",
            PoolKind::Average => "channel_mean",
        })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        map_of(self.word(), inputs[0]).map(|_| inputs[0].with_channels(1))
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let max = self.0 == PoolKind::Max;
        to.composed(quote!(rt::op::ChannelPool { max: #max }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        to.reduce(self.0.onnx_reduction(), &x, &[1], true)
    }

    fn python(&self, to: &mut Python) {
        let x = to.x();
        match self.0 {
            // Not `amax`, which shares the gradient among equal maxima.
            PoolKind::Max => to.assign(&format!("{x}.max(1, keepdim=True).values")),
            PoolKind::Average => to.assign(&format!("{x}.mean(1, keepdim=True)")),
        }
    }
}
