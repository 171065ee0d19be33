//! The mappings of visits to kernels, the places where visits share and what they may have of their own,
//! as the language knows them.
//!
//! Only names and parameters; `share` computes with them.

use crate::ops::{ParamDef, ParamKind};

/// A mapping, a place or a private part.
pub struct MappingDef {
    /// Its name.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    /// Its parameters.
    pub params: &'static [ParamDef],
}

const GROUPS: ParamDef = ParamDef {
    name: "groups",
    kind: ParamKind::Size,
    required: false,
};

const RATE: ParamDef = ParamDef {
    name: "rate",
    kind: ParamKind::Size,
    required: false,
};

const SEED: ParamDef = ParamDef {
    name: "seed",
    kind: ParamKind::Whole,
    required: false,
};

const RANK: ParamDef = ParamDef {
    name: "rank",
    kind: ParamKind::Size,
    required: true,
};

const AMOUNT: ParamDef = ParamDef {
    name: "visits",
    kind: ParamKind::Amount,
    required: true,
};

/// Every mapping after `into`; each is given either the number of kernels or the share rate.
pub const MAPPINGS: &[MappingDef] = &[
    MappingDef {
        name: "sequential",
        doc: "consecutive visits share a kernel",
        params: &[GROUPS, RATE],
    },
    MappingDef {
        name: "strided",
        doc: "the kernels in turn, cyclically (SPIN's name)",
        params: &[GROUPS, RATE],
    },
    MappingDef {
        name: "cycle",
        doc: "the kernels in turn, cyclically (Takase & Kiyono's name)",
        params: &[GROUPS, RATE],
    },
    MappingDef {
        name: "cycle_rev",
        doc: "as `cycle`, with the last cycle reversed",
        params: &[GROUPS, RATE],
    },
    MappingDef {
        name: "random",
        doc: "`sequential`, shuffled",
        params: &[GROUPS, RATE, SEED],
    },
];

/// Every part after `with private`.
pub const PRIVATE_PARTS: &[MappingDef] = &[
    MappingDef {
        name: "bias",
        doc: "each visit has its own bias; implies `kernel of`",
        params: &[],
    },
    MappingDef {
        name: "scale",
        doc: "each visit scales the kernel by its own factor per output channel",
        params: &[],
    },
    MappingDef {
        name: "low_rank",
        doc: "each visit adds its own matrix of this rank to the kernel (as LoRA, without its factor alpha / rank)",
        params: &[RANK],
    },
];

/// Every place after `at`.
pub const PLACES: &[MappingDef] = &[
    MappingDef {
        name: "uniform",
        doc: "all visits share",
        params: &[],
    },
    MappingDef {
        name: "front",
        doc: "the first visits share",
        params: &[AMOUNT],
    },
    MappingDef {
        name: "middle",
        doc: "the visits in the middle share",
        params: &[AMOUNT],
    },
    MappingDef {
        name: "back",
        doc: "the last visits share",
        params: &[AMOUNT],
    },
    MappingDef {
        name: "sandwich",
        doc: "all visits but the first and the last share",
        params: &[],
    },
];
