//! What must be equal for two operations to share tensors.

/// What must be equal for two operations to share tensors, besides whether they have a bias.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// What it is, in messages.
    pub what: &'static str,
    /// Named sizes.
    pub sizes: Vec<(&'static str, Vec<u64>)>,
    /// For what is shared as a whole, and only where a clause names it: this in words.
    pub whole: Option<&'static str>,
    /// For a kernel that has no row for each output channel, so that no visit scales it or adds to it: this in words.
    pub no_rows: Option<&'static str>,
    /// What it is as the transpose of another layer, if it can be one.
    pub transposed: Option<Transposed>,
    /// What must be equal for parts of one kernel, if a part of its kernel is a kernel.
    pub sliced: Option<Alike>,
}

/// What must be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// What it is, in messages.
    pub what: &'static str,
    /// Named sizes.
    pub sizes: Vec<(&'static str, Vec<u64>)>,
}

/// What a layer must have for another to be its transpose, the map that takes its outputs' shape to its inputs'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transposed {
    /// What must be equal.
    pub of: Alike,
    /// Whether rows and columns of the kernel change places for it. Those of a convolution and of the transposed
    /// convolution are stored alike.
    pub exchanged: bool,
}

impl Sharing {
    /// That of a norm over channels.
    pub(super) fn of_norm(what: &'static str, channels: u64) -> Option<Self> {
        Some(Sharing {
            what,
            sizes: vec![("number of channels", vec![channels])],
            whole: Some("a norm is shared as a whole"),
            ..Sharing::default()
        })
    }

    /// What must be equal for layers to use one kernel.
    pub(crate) fn alike(&self) -> Alike {
        Alike {
            what: self.what,
            sizes: self.sizes.clone(),
        }
    }

    /// Why a visit can have no factors or additions of its own for the kernel, if it cannot.
    pub(crate) fn refuses_rows(&self) -> Option<&'static str> {
        self.whole.or(self.no_rows)
    }
}
