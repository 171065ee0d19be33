//! What two descriptions of runs differ in.

use super::Description;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A value that two descriptions have not in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which: `recipe.rate`.
    pub name: String,
    /// In the folder, if it has it.
    pub stored: Option<String>,
    /// Asked for, if it is.
    pub asked: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, stored, asked } = self;
        let text = |value: &Option<String>| value.clone().unwrap_or("nothing".to_owned());
        write!(f, "`{name}` was {} and is now {}", text(stored), text(asked))
    }
}

/// All differences that matter. Versions do not, nor do comments and blanks of the specification.
pub(super) fn between(stored: &Description, asked: &Description) -> Vec<Difference> {
    let [mut stored, mut asked] = [stored, asked].map(leaves);
    let mut differences = Vec::new();
    for (name, value) in &stored {
        let other = asked.remove(name);
        if other.as_ref() != Some(value) {
            differences.push(difference(name, Some(value), other.as_ref()));
        }
    }
    stored.clear();
    differences.extend(asked.iter().map(|(name, value)| difference(name, None, Some(value))));
    differences
}

fn difference(name: &str, stored: Option<&Value>, asked: Option<&Value>) -> Difference {
    let [stored, asked] = match (name, stored, asked) {
        ("specification", Some(Value::String(stored)), Some(Value::String(asked))) => first_difference(stored, asked),
        _ => [stored, asked].map(|value| value.map(Value::to_string)),
    };
    let name = name.to_owned();
    Difference { name, stored, asked }
}

/// The words of two texts from the first on that differs.
fn first_difference(stored: &str, asked: &str) -> [Option<String>; 2] {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let (stored, asked) = (words(stored), words(asked));
    let same = stored.iter().zip(&asked).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(3);
    [stored, asked].map(|words| {
        let some: Vec<&str> = words.iter().skip(from).take(8).map(String::as_str).collect();
        Some(format!("`... {} ...`", some.join(" ")))
    })
}

/// The values of a description by their paths.
fn leaves(description: &Description) -> BTreeMap<String, Value> {
    let mut description = description.clone();
    description.specification = words(&description.specification);
    let value = serde_json::to_value(&description).expect("text, numbers and maps with text as keys");
    let mut leaves = BTreeMap::new();
    collect(String::new(), value, &mut leaves);
    leaves.retain(|name, _| !name.starts_with("versions"));
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

/// A specification without comments, its words separated by single blanks. The language has no strings, so
/// `//` and `/*` always begin a comment.
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

/// How long the comment is that the text begins with; comments nest.
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
    fn comments_and_blanks_do_not_count() {
        let text = "/// A net.\nnet a {\n  relu // x\r\n /* a /* b */ c */ conv(3 /* é */)\n}\n// end";
        assert_eq!(words(text), "net a { relu conv(3 ) }");
        assert_eq!(words("a / b /* open"), "a / b");
    }

    #[test]
    fn the_first_word_that_differs_is_shown_with_its_surroundings() {
        let [stored, asked] = first_difference("a b c d e f", "a b c d x f");
        assert_eq!(stored.unwrap(), "`... b c d e f ...`");
        assert_eq!(asked.unwrap(), "`... b c d x f ...`");
    }
}
