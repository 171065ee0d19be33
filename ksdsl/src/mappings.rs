//! The mappings of visits to kernels, the places where visits share and what they may have of their own,
//! as the language knows them.
//!
//! Only names and parameters; `share` computes with them.

use crate::ops::{ParamDef, ParamKind};

/// A word of the language that a clause calls: a mapping, a place or a private part.
pub struct ClauseDef<K> {
    /// What it means.
    pub kind: K,
    /// Its name.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    /// Its parameters.
    pub params: &'static [ParamDef],
}

/// The word of this name.
pub fn find<K>(defs: &'static [ClauseDef<K>], name: &str) -> Option<&'static ClauseDef<K>> {
    defs.iter().find(|def| def.name == name)
}

/// What a mapping means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MappingKind {
    Sequential,
    Cycle,
    CycleRev,
    Random,
    Bank,
    Slices,
}

/// What a place means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PlaceKind {
    Uniform,
    Front,
    Middle,
    Back,
    Sandwich,
}

/// What a private part means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PrivateKind {
    Bias,
    Scale,
    LowRank,
}

const GROUPS: ParamDef = ParamDef {
    name: "groups",
    kind: ParamKind::Size,
    required: false,
};

const KERNELS: ParamDef = ParamDef {
    name: "kernels",
    kind: ParamKind::Size,
    required: true,
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

/// Every mapping after `into`; those of each visit to one of several kernels are given either the number of kernels or
/// the share rate.
pub const MAPPINGS: &[ClauseDef<MappingKind>] = &[
    ClauseDef {
        kind: MappingKind::Sequential,
        name: "sequential",
        doc: "consecutive visits share a kernel",
        params: &[GROUPS, RATE],
    },
    ClauseDef {
        kind: MappingKind::Cycle,
        name: "strided",
        doc: "the kernels in turn, cyclically (SPIN's name)",
        params: &[GROUPS, RATE],
    },
    ClauseDef {
        kind: MappingKind::Cycle,
        name: "cycle",
        doc: "the kernels in turn, cyclically (Takase & Kiyono's name)",
        params: &[GROUPS, RATE],
    },
    ClauseDef {
        kind: MappingKind::CycleRev,
        name: "cycle_rev",
        doc: "as `cycle`, with the last cycle reversed",
        params: &[GROUPS, RATE],
    },
    ClauseDef {
        kind: MappingKind::Random,
        name: "random",
        doc: "`sequential`, shuffled",
        params: &[GROUPS, RATE, SEED],
    },
    ClauseDef {
        kind: MappingKind::Bank,
        name: "bank",
        doc: "each visit uses its own learned combination of all kernels (Savarese & Maire 2019)",
        params: &[KERNELS],
    },
    ClauseDef {
        kind: MappingKind::Slices,
        name: "slices",
        doc: "each visit uses the first rows and columns of the largest kernel (Yu et al. 2019)",
        params: &[],
    },
];

/// Every part after `with private`.
pub const PRIVATE_PARTS: &[ClauseDef<PrivateKind>] = &[
    ClauseDef {
        kind: PrivateKind::Bias,
        name: "bias",
        doc: "each visit has its own bias; implies `kernel of`",
        params: &[],
    },
    ClauseDef {
        kind: PrivateKind::Scale,
        name: "scale",
        doc: "each visit scales the kernel by its own factor per output channel",
        params: &[],
    },
    ClauseDef {
        kind: PrivateKind::LowRank,
        name: "low_rank",
        doc: "each visit adds its own matrix of this rank to the kernel (as LoRA, without its factor alpha / rank)",
        params: &[RANK],
    },
];

/// Every place after `at`.
pub const PLACES: &[ClauseDef<PlaceKind>] = &[
    ClauseDef {
        kind: PlaceKind::Uniform,
        name: "uniform",
        doc: "all visits share",
        params: &[],
    },
    ClauseDef {
        kind: PlaceKind::Front,
        name: "front",
        doc: "the first visits share",
        params: &[AMOUNT],
    },
    ClauseDef {
        kind: PlaceKind::Middle,
        name: "middle",
        doc: "the visits in the middle share",
        params: &[AMOUNT],
    },
    ClauseDef {
        kind: PlaceKind::Back,
        name: "back",
        doc: "the last visits share",
        params: &[AMOUNT],
    },
    ClauseDef {
        kind: PlaceKind::Sandwich,
        name: "sandwich",
        doc: "all visits but the first and the last share",
        params: &[],
    },
];
