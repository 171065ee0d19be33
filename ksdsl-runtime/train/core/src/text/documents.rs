//! Texts of documents of their own: no window is of two of them.

use crate::loss::IGNORED;
use crate::source::TokenBatch;

/// Where the documents of a text end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// In the training tokens.
    pub training: Vec<usize>,
    /// In the validation tokens.
    pub validation: Vec<usize>,
}

/// Tokens of a document that are predicted in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The place of the first token.
    pub(super) start: usize,
    /// The number of targets, which begin one place later.
    pub(super) targets: usize,
}

/// The windows of documents that end at these places. Each document begins one; every token but its first is the target of one.
pub(super) fn spans(ends: &[usize], length: usize) -> Vec<Span> {
    let (mut spans, mut start) = (Vec::new(), 0);
    for &end in ends {
        while start + 1 < end {
            let targets = length.max(1).min(end - 1 - start);
            spans.push(Span { start, targets });
            start += targets;
        }
        start = end;
    }
    spans
}

/// Windows of `length` tokens. What a document leaves of a window is token 0, and has no target.
pub(super) fn padded(tokens: &[u32], spans: impl IntoIterator<Item = Span>, length: usize) -> TokenBatch {
    let mut batch = TokenBatch {
        length,
        ..TokenBatch::default()
    };
    for Span { start, targets } in spans {
        let ids = tokens[start..start + targets].iter().map(|&id| id as f32);
        batch.ids.extend(ids.chain((targets..length).map(|_| 0.0)));
        let own = tokens[start + 1..=start + targets].iter().copied();
        batch.targets.extend(own.chain((targets..length).map(|_| IGNORED)));
    }
    batch
}
