//! Names and indices below one path.

use crate::ir::{Path, Segment};
use crate::source::Span;
use std::collections::HashMap;

/// What is named below a path so far.
pub(super) struct Level {
    pub(super) path: Path,
    taken: HashMap<String, Span>,
    counts: HashMap<&'static str, u32>,
    next_index: u32,
}

impl Level {
    pub(super) fn new(path: Path) -> Self {
        Level {
            path,
            taken: HashMap::new(),
            counts: HashMap::new(),
            next_index: 0,
        }
    }

    /// Takes a name; the place where it was taken before, if it was.
    pub(super) fn take(&mut self, name: &str, span: Span) -> Option<Span> {
        match self.taken.get(name) {
            Some(first) => Some(*first),
            None => {
                self.taken.insert(name.to_owned(), span);
                None
            }
        }
    }

    /// The path of a part that has no name of its own: `conv`, then `conv_2`, and so on.
    pub(super) fn unnamed(&mut self, kind: &'static str, span: Span) -> Path {
        loop {
            let count = self.counts.entry(kind).or_insert(0);
            *count += 1;
            let name = match *count {
                1 => kind.to_owned(),
                count => format!("{kind}_{count}"),
            };
            if self.take(&name, span).is_none() {
                return self.path.join(Segment::Name(name));
            }
        }
    }

    /// The path of the next block without a name: `[0]`, then `[1]`, and so on.
    pub(super) fn next_index(&mut self) -> Path {
        let index = self.next_index;
        self.next_index += 1;
        self.path.join(Segment::Index(index))
    }
}
