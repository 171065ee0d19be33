//! Layer paths in short: `s1[0..4].conv1` for four of them.

use crate::ir::{Path, Segment};
use std::collections::HashMap;
use std::fmt;

/// A path in which an index may stand for several in a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Name(String),
    /// Half open.
    Range(u32, u32),
}

#[cfg(feature = "train")]
impl Pattern {
    /// The checkpoint keys that it stands for.
    fn keys(&self) -> Vec<String> {
        self.0.iter().fold(vec![String::new()], |keys, piece| {
            let words: Vec<String> = match piece {
                Piece::Name(name) => vec![name.clone()],
                Piece::Range(from, to) => (*from..*to).map(|index| index.to_string()).collect(),
            };
            let longer = |key: &String| -> Vec<String> {
                let joint = if key.is_empty() { "" } else { "." };
                words.iter().map(|word| format!("{key}{joint}{word}")).collect()
            };
            keys.iter().flat_map(longer).collect()
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Piece::Name(name) if at == 0 => f.write_str(name)?,
                Piece::Name(name) => write!(f, ".{name}")?,
                Piece::Range(from, to) if *to == from + 1 => write!(f, "[{from}]")?,
                Piece::Range(from, to) => write!(f, "[{from}..{to}]")?,
            }
        }
        Ok(())
    }
}

/// Paths with runs of indices merged into half-open ranges, in the order of their first members; the
/// ranges mean the same as in a `share` clause.
pub fn compress<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Vec<String> {
    patterns(paths).iter().map(Pattern::to_string).collect()
}

/// The checkpoint keys of paths in the order in which their ranges list them: the last index changes first. Generated
/// models, whose code has the ranges, save their visits so.
#[cfg(feature = "train")]
pub(crate) fn keys_of_ranges<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Vec<String> {
    patterns(paths).iter().flat_map(Pattern::keys).collect()
}

fn patterns<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Vec<Pattern> {
    let mut patterns: Vec<Pattern> = paths.into_iter().map(pattern).collect();
    let longest = patterns.iter().map(|pattern| pattern.0.len()).max().unwrap_or(0);
    for position in (0..longest).rev() {
        patterns = join_at(patterns, position);
    }
    patterns
}

fn pattern(path: &Path) -> Pattern {
    let part = |segment: &Segment| match segment {
        Segment::Name(name) => Piece::Name(name.clone()),
        Segment::Index(index) => Piece::Range(*index, index + 1),
    };
    Pattern(path.0.iter().map(part).collect())
}

/// Joins patterns that differ in nothing but adjoining ranges at one position.
fn join_at(patterns: Vec<Pattern>, position: usize) -> Vec<Pattern> {
    let mut joined: Vec<Pattern> = Vec::new();
    let mut last: HashMap<Pattern, usize> = HashMap::new();
    for pattern in patterns {
        let Some(Piece::Range(from, to)) = pattern.0.get(position).cloned() else {
            joined.push(pattern);
            continue;
        };
        let mut rest = pattern.clone();
        rest.0[position] = Piece::Range(0, 0);
        if let Some(&at) = last.get(&rest)
            && let Some(Piece::Range(_, end)) = joined[at].0.get_mut(position)
            && *end == from
        {
            *end = to;
            continue;
        }
        last.insert(rest, joined.len());
        joined.push(pattern);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::compress;
    use crate::ir::{Path, Segment};

    fn path(text: &str) -> Path {
        let part = |word: &str| match word.parse() {
            Ok(index) => Segment::Index(index),
            Err(_) => Segment::Name(word.to_owned()),
        };
        Path(text.split('.').map(part).collect())
    }

    #[test]
    fn runs_become_ranges() {
        let paths: Vec<Path> = [
            "s1.0.conv2",
            "s1.1.conv1",
            "s1.1.conv2",
            "s1.2.conv1",
            "s1.2.conv2",
            "s1.4.conv1",
        ]
        .map(path)
        .to_vec();
        assert_eq!(compress(&paths), ["s1[0..3].conv2", "s1[1..3].conv1", "s1[4].conv1"]);
    }

    #[cfg(feature = "train")]
    #[test]
    fn keys_are_listed_range_by_range() {
        let paths = ["s.0.a", "s.0.b", "s.1.a", "s.1.b"].map(path);
        assert_eq!(super::keys_of_ranges(&paths), ["s.0.a", "s.1.a", "s.0.b", "s.1.b"]);
        let nested: Vec<Path> = (0..6).map(|i| path(&format!("s.{}.{}.conv", i / 3, i % 3))).collect();
        let keys: Vec<String> = (0..6).map(|i| format!("s.{}.{}.conv", i / 3, i % 3)).collect();
        assert_eq!(super::keys_of_ranges(&nested), keys);
    }

    #[test]
    fn nested_runs_become_one_pattern() {
        let paths: Vec<Path> = (0..6).map(|i| path(&format!("s.{}.{}.conv", i / 3, i % 3))).collect();
        assert_eq!(compress(&paths), ["s[0..2][0..3].conv"]);
    }
}
