//! Layer paths.

use std::fmt;

/// One segment of a layer path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// `s1`, `conv1`.
    Name(String),
    /// `[2]`.
    Index(u32),
}

/// A layer path such as `s1[2].conv1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// The path with one more segment.
    pub fn join(&self, segment: Segment) -> Path {
        let mut segments = self.0.clone();
        segments.push(segment);
        Path(segments)
    }

    /// The path as a checkpoint key: `s1.2.conv1`.
    pub fn key(&self) -> String {
        key(&self.0)
    }
}

/// Segments as a checkpoint key: `s1.2.conv1`.
pub fn key(segments: &[Segment]) -> String {
    let words: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Name(name) => name.clone(),
            Segment::Index(index) => index.to_string(),
        })
        .collect();
    words.join(".")
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if at == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
