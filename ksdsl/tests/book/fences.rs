//! The fenced blocks of a chapter.

use ksdsl::source::Source;

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Fence {
    /// The words behind the opening fence.
    pub(crate) info: Vec<String>,
    /// Where it is, for messages.
    pub(crate) place: String,
    pub(crate) text: String,
}

impl Fence {
    pub(crate) fn is(&self, word: &str) -> bool {
        self.info.iter().any(|info| info == word)
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.info
            .iter()
            .find_map(|info| info.strip_prefix(name)?.strip_prefix('='))
    }

    /// The text as a source of its own.
    pub(crate) fn source(&self) -> Source {
        let text = match self.is("fragment") {
            true => format!("net fragment {{\ninput 3 x 32 x 32\n{}}}\n", self.text),
            false => self.text.clone(),
        };
        Source::new(self.place.clone(), text)
    }
}

/// The fenced blocks of a chapter.
pub(crate) fn fences(chapter: &str, text: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut open: Option<Fence> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(fence)) => fences.push(fence),
            (Some(info), None) => {
                open = Some(Fence {
                    info: info.split(',').map(str::to_owned).collect(),
                    place: format!("{chapter}:{}", number + 1),
                    text: String::new(),
                });
            }
            (None, Some(mut fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
                open = Some(fence);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{chapter}: a block is never closed");
    fences
}
