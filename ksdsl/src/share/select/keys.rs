//! Selectors on the keys of tensors: as in `share` clauses, and the names of a layer's tensors as one more segment.

use super::Index;
use crate::diag::{Code, Diagnostics};
use crate::ir::{Path, Segment};
use crate::parse;
use crate::value::Env;
use std::collections::BTreeSet;

/// The keys that patterns match, or that are below what they match.
///
/// # Errors
/// If a pattern is none, or matches nothing; what is there instead.
pub(crate) fn below(patterns: &[String], keys: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    let keys: Vec<&String> = keys.iter().collect();
    let paths: Vec<Path> = keys.iter().map(|key| place(key)).collect();
    let index = Index::new(&paths);
    let mut found = Vec::new();
    for pattern in patterns {
        let selector = parse::selector(pattern)
            .ok_or_else(|| format!("`{pattern}` is no path, such as `head`, `body[0..2].conv` or `**.bias`"))?;
        let mut diagnostics = Diagnostics::default();
        // Each step visits each place once.
        let mut budget = usize::MAX;
        let matches = index.select(&selector, &Env::default(), false, &mut budget, &mut diagnostics);
        if let Some(diagnostic) = diagnostics.into_sorted().into_iter().next() {
            let what = match diagnostic.code {
                Code::MatchesNothing => "it matches no tensor".to_owned(),
                _ => diagnostic.message,
            };
            let help = diagnostic.help.map_or(String::new(), |help| format!("; {help}"));
            return Err(format!("`{pattern}`: {what}{help}"));
        }
        // Names and what cannot be computed are reported where the language has them.
        if matches.is_empty() {
            return Err(format!("`{pattern}`: its indices must be numbers"));
        }
        matches
            .iter()
            .for_each(|matched| index.layers_below(matched.node, &mut found));
    }
    Ok(found.into_iter().map(|at| keys[at].clone()).collect())
}

/// The path that a key stands for: `s1[2].conv1.weight` for `s1.2.conv1.weight`.
pub(crate) fn place(key: &str) -> Path {
    let segment = |word: &str| match word.parse() {
        Ok(index) => Segment::Index(index),
        Err(_) => Segment::Name(word.to_owned()),
    };
    Path(key.split('.').map(segment).collect())
}

#[cfg(test)]
mod tests {
    use super::below;

    fn of(patterns: &[&str]) -> Result<Vec<String>, String> {
        let keys = [
            "body.0.conv.bias",
            "body.0.conv.weight",
            "body.1.conv.bias",
            "body.1.conv.weight",
            "body.2.conv.weight",
            "head.bias",
            "head.weight",
            "shared.body.weight",
        ];
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let found = below(&patterns, &keys.map(str::to_owned).into())?;
        Ok(found.into_iter().collect())
    }

    #[test]
    fn a_pattern_selects_tensors_at_or_below_its_matches() {
        assert_eq!(of(&["head"]).unwrap(), ["head.bias", "head.weight"]);
        assert_eq!(
            of(&["**.bias"]).unwrap(),
            ["body.0.conv.bias", "body.1.conv.bias", "head.bias"]
        );
        assert_eq!(of(&["body[1..].conv.w*", "head.bias"]).unwrap().len(), 3);
        assert_eq!(of(&["body[*]"]).unwrap(), of(&["body"]).unwrap());
        assert_eq!(of(&["shared"]).unwrap(), ["shared.body.weight"]);
        assert_eq!(of(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_matches_nothing_is_explained() {
        let error = |pattern| of(&["head", pattern]).unwrap_err();
        assert_eq!(
            error("haed"),
            "`haed`: it matches no tensor; did you mean `head`? the network has `body`, `head`, `shared`"
        );
        assert!(error("head.weigth").contains("did you mean `weight`? `head` has `bias`, `weight`"));
        assert!(error("body[3]").contains("the index 3 is out of bounds for `body`; use an index from 0 to 2"));
        assert!(error("body.conv").contains("`body` has `[0]` to `[2]`"));
        assert_eq!(error("body[n]"), "`body[n]`: its indices must be numbers");
        assert!(error("body[1 / 0]").starts_with("`body[1 / 0]`: "));
        for broken in ["", "head,", "head weight", "body[", "1", "head.", "**.", "// head"] {
            assert!(error(broken).contains("is no path"), "{broken}");
        }
    }
}
