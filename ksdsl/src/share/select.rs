//! Layer paths and the selectors that match them.

mod fitting;
#[cfg(feature = "train")]
mod keys;

#[cfg(feature = "train")]
pub(crate) use keys::{below, place};

use crate::ast::{Segment as Pattern, Selector};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::ir::{LayerId, Path, Segment};
use crate::source::Span;
use crate::value::{Env, eval_int};
use std::collections::{HashMap, HashSet};

/// A place in the tree of paths.
pub(super) type NodeId = usize;

/// All layer paths as a tree.
pub(super) struct Index {
    nodes: Vec<PathNode>,
}

#[derive(Default)]
struct PathNode {
    /// The place above, and the segment that leads from there to here.
    above: Option<(NodeId, Segment)>,
    children: Vec<NodeId>,
    by_segment: HashMap<Segment, NodeId>,
    layer: Option<LayerId>,
}

/// What a selector matched.
pub(super) struct Match {
    pub(super) node: NodeId,
    pub(super) layer: Option<LayerId>,
}

/// A step of a selector with its numbers computed.
enum PathStep<'s> {
    Name(&'s str, Span),
    Deep,
    Index(i64, Span),
    AnyIndex,
    Range(Option<i64>, Option<i64>, Span),
}

impl Index {
    pub(super) fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        let mut index = Index {
            nodes: vec![PathNode::default()],
        };
        for (id, path) in paths.into_iter().enumerate() {
            let mut at = 0;
            for segment in &path.0 {
                at = match index.nodes[at].by_segment.get(segment) {
                    Some(child) => *child,
                    None => index.add(at, segment),
                };
            }
            index.nodes[at].layer = Some(id);
        }
        index
    }

    fn add(&mut self, parent: NodeId, segment: &Segment) -> NodeId {
        let child = self.nodes.len();
        self.nodes.push(PathNode {
            above: Some((parent, segment.clone())),
            ..PathNode::default()
        });
        self.nodes[parent].children.push(child);
        self.nodes[parent].by_segment.insert(segment.clone(), child);
        child
    }

    /// All layers at or below a place.
    pub(super) fn layers_below(&self, node: NodeId, layers: &mut Vec<LayerId>) {
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            layers.extend(self.nodes[node].layer);
            stack.extend(&self.nodes[node].children);
        }
    }

    /// The path of a place.
    pub(super) fn path(&self, node: NodeId) -> Path {
        let mut segments = Vec::new();
        let mut at = node;
        while let Some((above, segment)) = &self.nodes[at].above {
            segments.push(segment.clone());
            at = *above;
        }
        segments.reverse();
        Path(segments)
    }

    /// The place of a path.
    pub(super) fn find(&self, path: &Path) -> Option<NodeId> {
        path.0
            .iter()
            .try_fold(0, |at, segment| self.nodes[at].by_segment.get(segment).copied())
    }

    /// The places above a place, from the inside out.
    pub(super) fn above(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let next = |node: NodeId| self.nodes[node].above.as_ref().map(|(above, _)| *above);
        std::iter::successors(next(node), move |node| next(*node))
    }

    /// The number of segments its path has.
    pub(super) fn depth(&self, node: NodeId) -> usize {
        self.above(node).count()
    }

    /// The places below `node` that are in `wanted`, but not below another such.
    pub(super) fn outermost(&self, node: NodeId, wanted: &HashSet<NodeId>, budget: &mut usize) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut stack = self.nodes[node].children.clone();
        while let Some(node) = stack.pop() {
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            match wanted.contains(&node) {
                true => found.push(node),
                false => stack.extend(&self.nodes[node].children),
            }
        }
        found
    }

    /// The segments directly below a place.
    fn segments(&self, node: NodeId) -> impl Iterator<Item = &Segment> {
        let children = self.nodes[node].children.iter();
        children.filter_map(|child| self.nodes[*child].above.as_ref().map(|(_, segment)| segment))
    }

    /// What is directly below a place, as text: names, and indices as one range.
    pub(super) fn children(&self, node: NodeId) -> Vec<String> {
        let mut texts = Vec::new();
        let count = self.indices(node);
        if count > 0 {
            texts.push(if count == 1 {
                "`[0]`".to_owned()
            } else {
                format!("`[0]` to `[{}]`", count - 1)
            });
        }
        texts.extend(self.names(node).map(|name| format!("`{name}`")));
        texts
    }

    fn names(&self, node: NodeId) -> impl Iterator<Item = &str> {
        self.segments(node).filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        })
    }

    /// Whether blocks or iterations stand directly below a place.
    pub(super) fn has_indices(&self, node: NodeId) -> bool {
        self.indices(node) > 0
    }

    fn indices(&self, node: NodeId) -> usize {
        self.segments(node)
            .filter(|segment| matches!(segment, Segment::Index(_)))
            .count()
    }

    /// The places a selector matches; matching nothing is reported unless layers are missing
    /// because of other errors.
    pub(super) fn select(
        &self,
        selector: &Selector,
        env: &Env,
        incomplete: bool,
        budget: &mut usize,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Match> {
        let Some(steps) = steps(selector, env, diagnostics) else {
            return Vec::new();
        };
        let mut here = vec![0];
        for (at, step) in steps.iter().enumerate() {
            let next = self.advance(&here, step, budget);
            if *budget == 0 {
                return Vec::new();
            }
            if next.is_empty() || self.beyond(&here, step) {
                if !incomplete {
                    let diagnostic = self.nothing(selector, &here, step);
                    diagnostics.push(match self.fitting(selector, &here, &steps, at) {
                        Some(path) => diagnostic.write(selector.span, path),
                        None => diagnostic,
                    });
                }
                return Vec::new();
            }
            here = next;
        }
        here.into_iter()
            .map(|node| Match {
                node,
                layer: self.nodes[node].layer,
            })
            .collect()
    }

    fn advance(&self, here: &[NodeId], step: &PathStep<'_>, budget: &mut usize) -> Vec<NodeId> {
        let mut next = Vec::new();
        let mut seen = HashSet::new();
        for node in here {
            *budget = budget.saturating_sub(1);
            match step {
                PathStep::Deep => self.descend(*node, &mut seen, &mut next, budget),
                PathStep::Name(name, _) if !name.contains('*') => {
                    let segment = Segment::Name((*name).to_owned());
                    next.extend(self.nodes[*node].by_segment.get(&segment));
                }
                _ => {
                    let children = &self.nodes[*node].children;
                    *budget = budget.saturating_sub(children.len());
                    next.extend(
                        children
                            .iter()
                            .zip(self.segments(*node))
                            .filter_map(|(child, segment)| step.matches(segment).then_some(*child)),
                    );
                }
            }
            if *budget == 0 {
                break;
            }
        }
        next
    }

    /// A place and everything below it.
    fn descend(&self, node: NodeId, seen: &mut HashSet<NodeId>, next: &mut Vec<NodeId>, budget: &mut usize) {
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            if *budget == 0 || !seen.insert(node) {
                continue;
            }
            *budget -= 1;
            stack.extend(self.nodes[node].children.iter().rev());
            next.push(node);
        }
    }

    /// Whether a range ends after the last index of every place it is applied to.
    fn beyond(&self, here: &[NodeId], step: &PathStep<'_>) -> bool {
        let PathStep::Range(_, Some(to), _) = step else {
            return false;
        };
        let longest = here.iter().map(|node| self.indices(*node)).max().unwrap_or(0);
        usize::try_from(*to).is_ok_and(|to| to > longest)
    }

    /// The error for a selector that matches nothing, with what there is instead.
    fn nothing(&self, selector: &Selector, here: &[NodeId], step: &PathStep<'_>) -> Diagnostic {
        let node = here.first().copied().unwrap_or(0);
        let path = self.path(node);
        let place = if path.0.is_empty() {
            "the network".to_owned()
        } else {
            format!("`{path}`")
        };
        let indices = self.indices(node);
        match step {
            PathStep::Index(index, span) if indices > 0 => Diagnostic::error(
                Code::IndexOutOfRange,
                *span,
                format!("the index {index} is out of bounds for {place}"),
            )
            .label(format!("it has {indices}, counted from 0"))
            .help(format!("use an index from 0 to {}", indices - 1)),
            PathStep::Range(from, Some(to), span) if indices > 0 && from.unwrap_or(0) >= *to => {
                let text = format!("the range {}..{to} is empty", from.unwrap_or(0));
                Diagnostic::error(Code::IndexOutOfRange, *span, text)
                    .label("the end of a range is exclusive")
                    .help(format!("use a range within 0..{indices}"))
            }
            PathStep::Range(from, to, span) if indices > 0 => {
                let text = |end: &Option<i64>| end.map_or(String::new(), |end| end.to_string());
                Diagnostic::error(
                    Code::IndexOutOfRange,
                    *span,
                    format!("the range {}..{} is out of bounds for {place}", text(from), text(to)),
                )
                .label(format!("it has {indices}, counted from 0"))
                .help(format!("use a range within 0..{indices}"))
            }
            _ => {
                let span = match step {
                    PathStep::Name(_, span) | PathStep::Index(_, span) | PathStep::Range(_, _, span) => *span,
                    _ => selector.span,
                };
                let near = match step {
                    PathStep::Name(name, _) => {
                        nearest(name, self.names(node)).map(|near| format!("did you mean `{near}`?"))
                    }
                    _ => None,
                };
                let below = self.children(node).into_iter().take(8).collect::<Vec<_>>().join(", ");
                let exists = if below.is_empty() {
                    format!("{place} is a layer")
                } else {
                    format!("{place} has {below}")
                };
                Diagnostic::error(Code::MatchesNothing, span, "this path matches no layer")
                    .label(format!("not found in {place}"))
                    .help(near.map_or(exists.clone(), |near| format!("{near} {exists}")))
            }
        }
    }
}

impl PathStep<'_> {
    fn matches(&self, segment: &Segment) -> bool {
        match (self, segment) {
            (PathStep::Name(pattern, _), Segment::Name(name)) => wildcard(pattern, name),
            (PathStep::Index(wanted, _), Segment::Index(index)) => *wanted == i64::from(*index),
            (PathStep::AnyIndex, Segment::Index(_)) => true,
            (PathStep::Range(from, to, _), Segment::Index(index)) => {
                from.is_none_or(|from| from <= i64::from(*index)) && to.is_none_or(|to| i64::from(*index) < to)
            }
            _ => false,
        }
    }
}

fn steps<'s>(selector: &'s Selector, env: &Env, diagnostics: &mut Diagnostics) -> Option<Vec<PathStep<'s>>> {
    let mut end = |expr: &Option<crate::ast::Expr>| match expr {
        Some(expr) => eval_int(expr, env, diagnostics).map(Some),
        None => Some(None),
    };
    let mut steps = Vec::new();
    for segment in &selector.segments {
        steps.push(match segment {
            Pattern::Name(name) if name.value == "**" => PathStep::Deep,
            Pattern::Name(name) => PathStep::Name(&name.value, name.span),
            Pattern::AnyIndex(_) => PathStep::AnyIndex,
            Pattern::Index(expr) => PathStep::Index(end(&Some(expr.clone()))??, expr.span),
            Pattern::Range(from, to, span) => PathStep::Range(end(from)?, end(to)?, *span),
        });
    }
    Some(steps)
}

/// Whether `name` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards_match_whole_names() {
        assert!(wildcard("conv*", "conv1") && wildcard("*1", "conv1") && wildcard("*", "conv1"));
        assert!(wildcard("c*v*", "conv1") && wildcard("a*a", "aa"));
        assert!(!wildcard("conv*", "1conv") && !wildcard("*2", "conv1") && !wildcard("a*a", "a"));
    }
}
