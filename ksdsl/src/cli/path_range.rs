//! Layer paths that differ in their indices only: `mixer[0..16].pointwise`.

use crate::ir::{Path, Segment};
use std::fmt;

/// All paths between two, index by index; both belong to it.
#[derive(Clone, Debug)]
pub(super) struct PathRange {
    first: Path,
    last: Path,
}

impl PathRange {
    /// The range of a single path.
    pub(super) fn new(path: Path) -> Self {
        PathRange {
            last: path.clone(),
            first: path,
        }
    }

    /// The segment whose index goes on in `next`, if that is all the two differ in.
    pub(super) fn continued_by(&self, next: &PathRange) -> Option<usize> {
        let at = only_difference(&self.first, &next.first)?;
        let consecutive = match (&self.last.0[at], &next.first.0[at]) {
            (Segment::Index(last), Segment::Index(first)) => last.checked_add(1) == Some(*first),
            _ => false,
        };
        (consecutive && only_difference(&self.last, &next.last) == Some(at)).then_some(at)
    }

    /// Its parts between dots, with the indices behind them: `mixer[0..16]`, `pointwise`.
    pub(super) fn segments(&self) -> Vec<String> {
        let mut segments: Vec<String> = Vec::new();
        for (first, last) in self.first.0.iter().zip(&self.last.0) {
            match (first, last, segments.last_mut()) {
                (Segment::Name(name), _, _) => segments.push(name.clone()),
                (Segment::Index(first), Segment::Index(last), segment) => {
                    let index = match first == last {
                        true => format!("[{first}]"),
                        false => format!("[{first}..{}]", u64::from(*last) + 1),
                    };
                    match segment {
                        Some(segment) => segment.push_str(&index),
                        None => segments.push(index),
                    }
                }
                // Ranges differ in indices only.
                (Segment::Index(_), Segment::Name(_), _) => {}
            }
        }
        segments
    }

    /// Goes on to the end of `next`.
    pub(super) fn extend(&mut self, next: &PathRange) {
        self.last.clone_from(&next.last);
    }
}

fn only_difference(a: &Path, b: &Path) -> Option<usize> {
    if a.0.len() != b.0.len() {
        return None;
    }
    let mut differing = (0..a.0.len()).filter(|at| a.0[*at] != b.0[*at]);
    let at = differing.next()?;
    differing.next().is_none().then_some(at)
}

/// With half-open ranges, as in the `share` clauses of the language.
impl fmt::Display for PathRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments().join("."))
    }
}

/// Reads a path as summaries write it: `s1[2].conv1`.
pub(super) fn parse(text: &str) -> Path {
    let words = text.split(['.', '[']).filter(|word| !word.is_empty());
    let segment = |word: &str| match word.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Segment::Index(index),
        _ => Segment::Name(word.to_owned()),
    };
    Path(words.map(segment).collect())
}

#[cfg(test)]
mod tests {
    use super::{PathRange, parse};

    /// What the ranges of the two paths make together, if anything.
    fn joined(a: &str, b: &str) -> Option<String> {
        let (mut range, next) = (PathRange::new(parse(a)), PathRange::new(parse(b)));
        range.continued_by(&next)?;
        range.extend(&next);
        Some(range.to_string())
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        for path in ["s1[2].conv1", "[0][12].conv", "head", "s1.up.conv_2"] {
            assert_eq!(parse(path).to_string(), path);
        }
    }

    #[test]
    fn one_index_may_go_on() {
        assert_eq!(joined("s1[1].conv", "s1[2].conv").as_deref(), Some("s1[1..3].conv"));
        assert_eq!(joined("[0]", "[1]").as_deref(), Some("[0..2]"));
        for next in [
            "s1[1].conv",
            "s1[3].conv",
            "s1[0].conv",
            "s2[2].conv",
            "s1[2].conv1",
            "s1[2]",
        ] {
            assert_eq!(joined("s1[1].conv", next), None, "{next}");
        }
    }

    #[test]
    fn ranges_of_the_same_indices_go_on_together() {
        let range = |from: &str, to: &str| {
            let mut range = PathRange::new(parse(from));
            range.extend(&PathRange::new(parse(to)));
            range
        };
        let inner = range("a[0][0]", "a[0][2]");
        assert_eq!(inner.to_string(), "a[0][0..3]");
        assert_eq!(inner.continued_by(&range("a[1][0]", "a[1][2]")), Some(1));
        assert_eq!(inner.continued_by(&range("a[1][0]", "a[1][1]")), None);
    }
}
