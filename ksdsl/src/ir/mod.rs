//! The resolved network: every layer with its path, shapes and parameters, the tree the forward
//! pass follows, and who shares what. All arithmetic is done; nothing refers to the text any more
//! but spans for messages.

mod layer;
mod network;
mod path;
mod shape;
mod walk;

pub use crate::ast::SharePart;
pub use crate::ops::{Init, Op, Part, Real, Tensor};
pub use ksdsl_files::keys::{COEFFICIENTS, LOW_RANK_A, LOW_RANK_B, SCALE};
pub use layer::{Layer, PrivateTensor, PrivateTensors, View, Visit};
pub use network::{
    Arm, Count, Group, GroupId, Join, Kept, LayerId, Loop, Mapping, Network, Node, Port, Scope, ScopeKind, ValueId,
    WrongCount,
};
pub use path::{Path, Segment, key};
pub(crate) use shape::in_words;
pub use shape::{Shape, join_sizes};
pub use walk::{Uses, Walk};
