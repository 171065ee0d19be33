//! The channels of groups in turn.

use super::channels::taken;
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// The first channel of each group, then the second of each, and so on (Zhang et al. 2018, section 3.1): PyTorch's
/// `channel_shuffle`.
#[derive(Clone, Copy, Debug)]
pub struct ChannelShuffle {
    /// Groups; they divide the channels.
    pub groups: usize,
}

impl Operation for ChannelShuffle {
    const NAMES: &'static [&'static str] = &["channel_shuffle"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let groups = call.size("groups")?;
        (groups > 0).then_some(Self { groups })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (groups, each) = (self.groups, x.size.channels / self.groups);
        let sources = (0..groups * each).map(|to| Some(to % groups * each + to / groups));
        taken(x, sources.collect())
    }
}
