//! Strict JSON for files that people edit: unknown and duplicate keys are errors, with a suggestion of the nearest
//! known key.

mod node;

use ksdsl_files::TEXT_BYTES;
use node::{Node, Place};
use serde::Serialize;
use serde::de::{self, DeserializeOwned};
use std::fmt;
use std::path::Path;

/// An error in a JSON file.
#[derive(Debug)]
pub struct JsonError {
    /// The path in the file, such as `method.betas`; empty for the whole file.
    place: String,
    what: String,
}

/// Reads a value from a JSON file; see [`from_slice`].
///
/// # Errors
/// As [`from_slice`]; also if the file cannot be read. The error does not name the file.
pub fn read<T: DeserializeOwned + Serialize>(path: &Path) -> Result<T, JsonError> {
    let bytes = ksdsl_files::read(path, TEXT_BYTES).map_err(JsonError::new)?;
    from_slice(&bytes)
}

/// Parses a value from JSON text.
///
/// # Errors
/// If the text is not JSON, has unknown, duplicate or missing keys, or a value has another type. Errors about unknown
/// keys and variants suggest the nearest known name.
pub fn from_slice<T: DeserializeOwned + Serialize>(text: &[u8]) -> Result<T, JsonError> {
    let node: Node = serde_json::from_slice(text).map_err(JsonError::new)?;
    let place = Place {
        path: String::new(),
        node: node.clone(),
    };
    let value = T::deserialize(place)?;
    // Serde cannot refuse keys beside the tag of a variant without fields; what was read is what is written.
    let written = serde_json::to_value(&value).map_err(JsonError::new)?;
    node.is_within(&written, "").map(|()| value)
}

impl JsonError {
    fn new(what: impl fmt::Display) -> Self {
        Self {
            place: String::new(),
            what: what.to_string(),
        }
    }

    /// The same with its place, unless it has one.
    fn at(self, place: &str) -> Self {
        let place = if self.place.is_empty() {
            place.to_owned()
        } else {
            self.place
        };
        Self { place, ..self }
    }

    fn unknown(kind: &str, name: &str, known: &[&str]) -> Self {
        let hint = match (nearest(name, known), known) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, []) => format!("no {kind} is expected here"),
            (None, known) => format!("expected one of `{}`", known.join("`, `")),
        };
        Self::new(format!("unknown {kind} `{name}`; {hint}"))
    }
}

/// The known name that another one is likely to be a slip of.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    let nearest = known.iter().copied().min_by_key(|known| distance(known))?;
    // As many slips as a third of the letters.
    (3 * distance(&nearest) <= nearest.len().max(3)).then_some(nearest)
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.what),
            place => write!(f, "`{place}`: {}", self.what),
        }
    }
}

impl std::error::Error for JsonError {}

impl de::Error for JsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("key", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("value", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing key `{field}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::from_slice;
    use crate::Recipe;
    use crate::optim::Averaging;
    use crate::schedule::{Schedule, WarmUp};

    /// Every part of a recipe is there.
    fn recipe() -> Recipe {
        Recipe {
            steps: Some(7),
            warm_up: Some(WarmUp {
                epochs: 1.0,
                first: 0.1,
            }),
            average: Some(Averaging {
                decay: 0.9,
                statistics: Default::default(),
            }),
            patience: Some(2),
            clip: Some(1.0),
            ..Recipe::default()
        }
    }

    fn json(recipe: &Recipe) -> String {
        serde_json::to_string(recipe).unwrap()
    }

    #[track_caller]
    fn error(text: &str) -> String {
        from_slice::<Recipe>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        for schedule in [
            Schedule::Constant,
            Schedule::Cosine { last: 0.1 },
            Schedule::MultiStep {
                epochs: vec![1, 2],
                factor: 0.1,
            },
            Schedule::OneCycle(Default::default()),
        ] {
            for seed in [0, u64::MAX] {
                let recipe = Recipe {
                    schedule: schedule.clone(),
                    seed,
                    rate: 0.1 + 0.2,
                    ..recipe()
                };
                assert_eq!(from_slice::<Recipe>(json(&recipe).as_bytes()).unwrap(), recipe);
            }
        }
        for recipe in [Recipe::se_resnet(), Recipe::convmixer()] {
            assert_eq!(from_slice::<Recipe>(json(&recipe).as_bytes()).unwrap(), recipe);
        }
    }

    /// A slip in each key of the file in turn, and each key once more with a slip.
    #[test]
    fn every_key_with_a_slip_is_told_with_the_right_one() {
        let adam = Recipe {
            method: crate::optim::AdamW::default().into(),
            schedule: Schedule::MultiStep {
                epochs: vec![1, 2],
                factor: 0.1,
            },
            ..recipe()
        };
        let mut slips = 0;
        for text in [json(&recipe()), json(&adam)] {
            for (at, _) in text.match_indices("\":") {
                let start = text[..at].rfind('"').unwrap() + 1;
                let key = &text[start..at];
                // The tag names the kind of all others.
                if key == "kind" {
                    continue;
                }
                let slip = format!("{}{}", key, &key[key.len() - 1..]);
                let expected = format!("unknown key `{slip}`; did you mean `{key}`?");
                let renamed = format!("{}{slip}{}", &text[..start], &text[at..]);
                let added = format!("{}\"{slip}\":0,{}", &text[..start - 1], &text[start - 1..]);
                for text in [renamed, added] {
                    let error = error(&text);
                    assert!(error.ends_with(&expected), "{error}, not {expected}");
                    slips += 1;
                }
            }
        }
        assert!(slips > 100, "{slips}");
    }

    /// Those that users tried.
    ///
    /// Elsewhere: <https://github.com/unslothai/unsloth/pull/10452>,
    /// <https://github.com/niznik-dev/cruijff_kit/pull/505>
    #[test]
    fn slips_of_users_are_told_with_their_place() {
        let text = json(&recipe());
        let slip = |from: &str, to: &str| error(&text.replace(&format!("\"{from}\":"), &format!("\"{to}\":")));
        assert_eq!(slip("clip", "cilp"), "unknown key `cilp`; did you mean `clip`?");
        assert_eq!(
            slip("patience", "patients"),
            "unknown key `patients`; did you mean `patience`?"
        );
        assert_eq!(
            slip("average", "averages"),
            "unknown key `averages`; did you mean `average`?"
        );
        assert_eq!(
            slip("momentum", "momentumm"),
            "`method`: unknown key `momentumm`; did you mean `momentum`?"
        );
        let expected = "`augment`: unknown key `rotation`; expected one of `crop`, `flip`, `rand_augment`, ";
        assert!(slip("erase", "rotation").starts_with(expected));
    }

    #[test]
    fn other_mistakes_are_told_with_their_place() {
        let text = json(&recipe());
        let constant = r#""schedule":{"kind":"constant","last":0.5}"#;
        let at = text.find("\"schedule\"").unwrap();
        let end = at + text[at..].find('}').unwrap() + 1;
        let error_of = |part: &str| error(&format!("{}{part}{}", &text[..at], &text[end..]));
        assert_eq!(
            error_of(constant),
            "`schedule`: unknown key `last`; expected one of `kind`"
        );
        assert_eq!(
            error_of(r#""schedule":{"kind":"cosin","last":0.5}"#),
            "`schedule.kind`: unknown value `cosin`; did you mean `cosine`?"
        );
        let twice = error(&text.replacen("\"seed\":", "\"seed\":1,\"seed\":", 1));
        assert!(twice.starts_with("duplicate key `seed`"), "{twice}");
        assert_eq!(error(&text.replace("\"seed\":0,", "")), "missing key `seed`");
        let kind = error(&text.replace("\"crop\":0", "\"crop\":\"4\""));
        assert!(kind.starts_with("`augment.crop`: invalid type: string \"4\""), "{kind}");
        let many = json(&Recipe::convmixer()).replace("[0.9,0.999]", "[0.9,0.999,0.5]");
        assert!(error(&many).starts_with("`method`: "), "{}", error(&many));
        assert!(error("{").contains("line 1"));
    }
}
