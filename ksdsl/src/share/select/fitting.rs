//! The path that fits where the one written does not.

use super::{Index, NodeId, PathStep};
use crate::ast::Selector;
use crate::ir::Segment;
use crate::share::advice::text_of;

/// Places that are looked at for a path that fits better than the one written.
const FITTING_PLACES: usize = 1_000;

impl Index {
    /// The path with one or two more segments, or one less, where it stops matching, if that fits.
    pub(super) fn fitting(
        &self,
        selector: &Selector,
        here: &[NodeId],
        steps: &[PathStep<'_>],
        at: usize,
    ) -> Option<String> {
        let first = *here.first()?;
        let mut budget = FITTING_PLACES;
        let written = |range: std::ops::Range<usize>| text_of(&selector.segments[range]);
        let before = written(0..at).filter(|before| !before.is_empty())?;
        let dot = |rest: String| match rest.starts_with('[') {
            true => rest,
            false => format!(".{rest}"),
        };
        if at + 1 < steps.len() && self.matches(first, &steps[at + 1..], &mut budget) {
            return Some(before + &dot(written(at + 1..steps.len())?));
        }
        if matches!(steps[at], PathStep::Name("*", _)) && self.has_indices(first) {
            let mut below = self.nodes[first].children.iter();
            if below.any(|child| self.matches(*child, &steps[at + 1..], &mut budget)) {
                let rest = written(at + 1..steps.len())?;
                return Some(before + "[*]" + &if rest.is_empty() { rest } else { dot(rest) });
            }
        }
        let mut places = vec![(first, String::new())];
        for _ in 0..2 {
            let below = |(node, path): &(NodeId, String)| {
                let children = self.nodes[*node].children.iter().copied().zip(self.segments(*node));
                let path = path.clone();
                let child = move |(child, segment): (NodeId, &Segment)| match segment {
                    Segment::Name(name) => (child, format!("{path}.{name}")),
                    Segment::Index(_) => (child, format!("{path}[*]")),
                };
                children.map(child).collect::<Vec<_>>()
            };
            places = places.iter().flat_map(below).take(FITTING_PLACES).collect();
            let mut fits = places.iter();
            if let Some((_, path)) = fits.find(|(node, _)| self.matches(*node, &steps[at..], &mut budget)) {
                return Some(before + path + &dot(written(at..steps.len())?));
            }
        }
        None
    }

    /// Whether steps lead from a place to a layer.
    fn matches(&self, node: NodeId, steps: &[PathStep<'_>], budget: &mut usize) -> bool {
        let mut here = vec![node];
        for step in steps {
            here = self.advance(&here, step, budget);
        }
        *budget > 0 && here.iter().any(|node| self.nodes[*node].layer.is_some())
    }
}
