//! The channels of groups in turn.

use super::prelude::*;
use crate::steps::Move;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "channel_shuffle",
    doc: "the first channel of each group, then the second of each (Zhang et al. 2018)",
    params: &[param("groups", ParamKind::Size, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (channels, ..) = map_of("channel_shuffle", input)?;
        let groups = args.size("groups", 1);
        groups_divide([channels, channels], groups, Some("groups"))?;
        Ok(Some(Op::new(ChannelShuffle { groups })))
    }),
}];

/// The channels of groups in turn.
#[derive(Clone, Copy, Debug)]
pub struct ChannelShuffle {
    groups: u64,
}

impl Operation for ChannelShuffle {
    fn call(&self) -> Call {
        Call::new("channel_shuffle").with("groups", self.groups)
    }

    fn details(&self) -> Vec<String> {
        vec![format!("groups {}", self.groups)]
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let groups = rust::size(self.groups);
        to.composed(quote!(rt::op::ChannelShuffle { groups: #groups }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, [channels, height, width]) = (to.x(), onnx::map_sizes(to.shape()));
        let groups = onnx::long(self.groups);
        let x = to.reshape(&x, &[0, groups, channels / groups.max(1), height, width]);
        let x = to.transpose(&x, &[0, 2, 1, 3, 4]);
        to.reshape(&x, &[0, channels, height, width])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [positions, channels, groups] = [to.shape().pixels(), to.shape().channels(), self.groups].map(lower::count);
        let of_group = channels / groups.max(1);
        Ok(to.moves([Move {
            count: [positions, groups, of_group],
            from: [0, channels, of_group, 1],
            to: [0, channels, 1, groups],
        }]))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.channel_shuffle", vec![self.groups.to_string()]);
    }
}
