//! `ksn sweep FILE`

use super::output::Terminal;
use super::specs::{Outset, Specs, Usage, finish};
use super::start::StartOptions;
use super::{Choice, setting, study};
use crate::value::Value;
use ksdsl_train_core::program::{Done, sweep};
use std::path::PathBuf;
use std::process::ExitCode;

/// The most networks of a sweep.
pub(super) const MOST: usize = 10_000;

/// The arguments of `ksn sweep`.
#[derive(clap::Args)]
pub(super) struct Sweep {
    /// The specification file, or a study (.toml), which states networks, data, recipe and seeds
    file: PathBuf,
    /// Select a network by name
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Set a parameter of the network to each of several values: a sweep trains all combinations (repeatable)
    #[arg(long, value_name = "NAME=VALUE,...", value_parser = values)]
    set: Vec<Values>,
    #[command(flatten)]
    start: StartOptions,
    #[command(flatten)]
    options: sweep::Options,
}

/// A parameter and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub(super) name: String,
    pub(super) values: Vec<Value>,
}

/// `depth=2,4,8`; commas within brackets belong to a value.
fn values(text: &str) -> Result<Values, String> {
    let (name, list) = text
        .split_once('=')
        .ok_or("expected name=value,..., such as depth=2,4")?;
    let mut values = Vec::new();
    for text in separated(list) {
        let (_, value) = setting(&format!("{name}={text}"))?;
        if values.contains(&value) {
            return Err(format!("`{text}` is given twice"));
        }
        values.push(value);
    }
    let name = name.trim().to_owned();
    Ok(Values { name, values })
}

/// The parts between commas that are in no brackets.
fn separated(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// All combinations; the last parameter changes first.
///
/// # Errors
/// If there are more than [`MOST`].
pub(super) fn combinations(of: &[Values]) -> Result<Vec<Vec<(String, Value)>>, String> {
    let count = of
        .iter()
        .try_fold(1usize, |count, set| count.checked_mul(set.values.len()));
    if count.is_none_or(|count| count > MOST) {
        return Err(format!("a sweep trains at most {MOST} networks: give fewer values"));
    }
    let longer = |all: Vec<Vec<(String, Value)>>, next: &Values| -> Vec<Vec<(String, Value)>> {
        let with = |chosen: &Vec<(String, Value)>, value: &Value| {
            let own = (next.name.clone(), value.clone());
            chosen.iter().cloned().chain([own]).collect()
        };
        let more = |chosen: Vec<(String, Value)>| {
            let all: Vec<_> = next.values.iter().map(|value| with(&chosen, value)).collect();
            all
        };
        all.into_iter().flat_map(more).collect()
    };
    Ok(of.iter().fold(vec![Vec::new()], longer))
}

impl Sweep {
    /// Trains the network with all combinations of the values.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(self.done(terminal), terminal)
    }

    fn done(&self, terminal: &Terminal) -> Done {
        if self.file.extension().is_some_and(|extension| extension == "toml") {
            return self.study(terminal);
        }
        let twice = |at: usize| self.set[..at].iter().any(|other| other.name == self.set[at].name);
        if let Some(at) = (0..self.set.len()).find(|at| twice(*at)) {
            let name = &self.set[at].name;
            let list = format!("`--set {name}` is given twice: write all values in one, such as `--set {name}=2,4`");
            return Err(Usage(list).into());
        }
        let values = combinations(&self.set).map_err(Usage)?;
        let choice = Choice {
            net: self.net.clone(),
            set: Vec::new(),
        };
        let outset = Outset {
            begin: None,
            start: self.start.read(),
        };
        let specs = Specs::read((&self.file, &choice, &outset), &values, terminal)?;
        let names: Vec<String> = self.set.iter().map(|set| set.name.clone()).collect();
        sweep::run(&specs, &self.options, &names)
    }

    fn study(&self, terminal: &Terminal) -> Done {
        if self.net.is_some() || !self.set.is_empty() || self.start.is_given() || self.options.describes_a_run() {
            let options = "--out, --threads, --device, --precision and --on-usr1";
            let file = self.file.display();
            return Err(Usage(format!(
                "the study `{file}` states networks, data, recipe and seeds: besides it, only {options} can be given"
            ))
            .into());
        }
        study::run(&self.file, &self.options, terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::{Values, combinations, values};
    use crate::value::Value;

    #[test]
    fn lists_are_split_at_commas_outside_brackets() {
        let given = values("widths=[16, 32],[64]").unwrap();
        assert_eq!(given.name, "widths");
        let texts: Vec<String> = given.values.iter().map(Value::to_string).collect();
        assert_eq!(texts, ["[16, 32]", "[64]"]);
        assert_eq!(values("depth=2,2").unwrap_err(), "`2` is given twice");
        assert!(values("depth=2,").unwrap_err().contains("is not a value"));
        assert!(values("depth").is_err());
    }

    #[test]
    fn combinations_are_all_and_ordered() {
        let sets: Vec<Values> = ["depth=2,4", "share=true,false"]
            .map(|text| values(text).unwrap())
            .into();
        let all = combinations(&sets).unwrap();
        let texts: Vec<String> = all
            .iter()
            .map(|chosen| chosen.iter().map(|(name, value)| format!("{name}={value} ")).collect())
            .collect();
        let expected = [
            "depth=2 share=true ",
            "depth=2 share=false ",
            "depth=4 share=true ",
            "depth=4 share=false ",
        ];
        assert_eq!(texts, expected);
        assert_eq!(combinations(&[]).unwrap(), [Vec::new()]);
        let many = values("depth=1,2,3,4,5,6,7,8,9,10").unwrap();
        assert!(combinations(&vec![many.clone(); 4]).is_ok());
        assert!(
            combinations(&vec![many; 5])
                .unwrap_err()
                .contains("at most 10000 networks")
        );
    }
}
