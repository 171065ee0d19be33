//! Differences between two run descriptions.

use super::Description;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A value that differs between two descriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path, such as `recipe.rate`.
    pub name: String,
    /// The value in the folder, if there is one.
    pub stored: Option<String>,
    /// The requested value, if there is one.
    pub requested: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            stored,
            requested,
        } = self;
        let text = |value: &Option<String>| value.clone().unwrap_or("unset".to_owned());
        write!(f, "`{name}` was {} and is now {}", text(stored), text(requested))
    }
}

/// All relevant differences, ignoring versions, where the checkpoint of the first weights was, and comments and whitespace in
/// the specification.
pub(super) fn between(stored: &Description, requested: &Description) -> Vec<Difference> {
    let [mut stored, mut requested] = [stored, requested].map(leaves);
    let mut differences = Vec::new();
    for (name, value) in &stored {
        let other = requested.remove(name);
        if other.as_ref() != Some(value) {
            differences.push(difference(name, Some(value), other.as_ref()));
        }
    }
    stored.clear();
    differences.extend(
        requested
            .iter()
            .map(|(name, value)| difference(name, None, Some(value))),
    );
    differences
}

fn difference(name: &str, stored: Option<&Value>, requested: Option<&Value>) -> Difference {
    let [stored, requested] = match (name, stored, requested) {
        ("specification" | "beginning.specification", Some(Value::String(stored)), Some(Value::String(requested))) => {
            first_difference(stored, requested)
        }
        _ => [stored, requested].map(|value| value.map(Value::to_string)),
    };
    let name = name.to_owned();
    Difference {
        name,
        stored,
        requested,
    }
}

/// The words around the first difference of two texts.
fn first_difference(stored: &str, requested: &str) -> [Option<String>; 2] {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let (stored, requested) = (words(stored), words(requested));
    let same = stored.iter().zip(&requested).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(3);
    [stored, requested].map(|words| {
        let some: Vec<&str> = words.iter().skip(from).take(8).map(String::as_str).collect();
        Some(format!("`... {} ...`", some.join(" ")))
    })
}

/// The values of a description, by path.
fn leaves(description: &Description) -> BTreeMap<String, Value> {
    let mut description = description.clone();
    let beginning = description
        .beginning
        .as_mut()
        .map(|beginning| &mut beginning.specification);
    for text in beginning.into_iter().chain([&mut description.specification]) {
        *text = words(text);
    }
    let value = serde_json::to_value(&description).expect("text, numbers and maps with text as keys");
    let mut leaves = BTreeMap::new();
    collect(String::new(), value, &mut leaves);
    leaves.retain(|name, _| !name.starts_with("versions") && name != "weights.file");
    leaves
}

fn collect(path: String, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, value) in map {
                collect(format!("{path}{dot}{name}"), value, leaves);
            }
        }
        value => {
            leaves.insert(path, value);
        }
    }
}

/// A specification without comments, with single spaces between words. The language has no string literals, so `//` and
/// `/*` always begin a comment.
fn words(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        plain.push_str(&rest[..at]);
        plain.push(' ');
        let end = match rest[at..].starts_with("//") {
            true => rest[at..].find('\n'),
            false => block_comment(&rest[at..]),
        };
        rest = end.map_or("", |end| &rest[at + end..]);
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The length of the comment at the start of the text; comments nest.
fn block_comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < text.len() {
        let change = match &text.as_bytes()[at..at + 2] {
            b"/*" => 1,
            b"*/" => -1,
            _ => 0,
        };
        at += if change == 0 { 1 } else { 2 };
        depth += change;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{first_difference, words};

    #[test]
    fn comments_and_whitespace_are_ignored() {
        let text = "/// A net.\nnet a {\n  relu // x\r\n /* a /* b */ c */ conv(3 /* é */)\n}\n// end";
        assert_eq!(words(text), "net a { relu conv(3 ) }");
        assert_eq!(words("a / b /* open"), "a / b");
    }

    #[test]
    fn the_first_word_that_differs_is_shown_with_its_surroundings() {
        let [stored, requested] = first_difference("a b c d e f", "a b c d x f");
        assert_eq!(stored.unwrap(), "`... b c d e f ...`");
        assert_eq!(requested.unwrap(), "`... b c d x f ...`");
    }
}
