//! `ksn diff A [B]`

use super::fold::{Row, fold};
use super::grid::{Grid, Look, fill, styled};
use super::output::Terminal;
use super::path_range::parse;
use super::table::{bytes, thousands};
use super::{Choice, Status, setting};
use crate::diff::{Change, Changed, Count, Difference, GroupChange, Side, diff};
use crate::ir::{Network, join_sizes};
use crate::paths::compress;
use crate::spec::{Spec, SpecError};
use crate::summary::{LayerSummary, Summary};
use crate::value::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The arguments of `ksn diff`.
#[derive(clap::Args)]
pub(super) struct Diff {
    /// The first specification file
    before: PathBuf,
    /// The second specification file; the first again, if it is left out
    after: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Select the first network by name
    #[arg(long, value_name = "NAME")]
    net_a: Option<String>,
    /// Select the second network by name
    #[arg(long, value_name = "NAME")]
    net_b: Option<String>,
    /// Set a parameter of the first network only (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set_a: Vec<(String, Value)>,
    /// Set a parameter of the second network only (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set_b: Vec<(String, Value)>,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
    /// Batch size for the memory estimate
    #[arg(long, value_name = "IMAGES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
}

impl Diff {
    /// Prints the differences; `Invalid` where there are any, `Usage` where there is no network to compare.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let after = self.after.as_ref().unwrap_or(&self.before);
        let sides = [
            self.side(&self.before, &self.net_a, &self.set_a, terminal),
            self.side(after, &self.net_b, &self.set_b, terminal),
        ];
        let [Ok(before), Ok(after)] = sides else {
            // Both are reported.
            for error in sides.into_iter().filter_map(Result::err) {
                terminal.report(&error);
            }
            return Status::Usage;
        };
        let difference = diff((&before.0, &before.1), (&after.0, &after.1));
        let text = match self.json {
            true => serde_json::to_string_pretty(&difference).map(|json| json + "\n"),
            false => Ok(report(&difference, terminal)),
        };
        let printed = match text {
            Ok(text) => terminal.print(&text),
            Err(error) => terminal.fail(&format!("cannot write the differences as JSON: {error}")),
        };
        match difference.equal {
            true => printed,
            false => printed.max(Status::Invalid),
        }
    }

    fn side(
        &self,
        path: &Path,
        net: &Option<String>,
        set: &[(String, Value)],
        terminal: &Terminal,
    ) -> Result<(Network, Summary), SpecError> {
        let mut spec: Spec = self.choice.spec(path)?.batch(self.batch);
        if let Some(net) = net {
            spec = spec.network(net);
        }
        let spec = set
            .iter()
            .fold(spec, |spec, (name, value)| spec.set(name, value.clone()));
        let (network, warnings) = spec.compile_one()?;
        terminal.diagnostics(spec.source(), &warnings);
        let summary = spec.summarise(&network);
        Ok((network, summary))
    }
}

/// The differences for people.
fn report(difference: &Difference, terminal: &Terminal) -> String {
    let heading = format!("{}\n-> {}", side(&difference.before), side(&difference.after));
    let heading: Vec<String> = heading.lines().map(|line| fill(line, terminal.width, 4)).collect();
    if difference.equal {
        return heading.join("\n") + "\n\nno differences\n";
    }
    let mut parts = vec![
        heading.join("\n"),
        counts(&difference.counts).text(terminal.width, terminal.colour),
    ];
    parts.extend(layers(difference, terminal));
    let groups: Vec<String> = difference
        .groups
        .iter()
        .map(|group| group_lines(group, terminal))
        .collect();
    parts.extend(section("shared kernels", &groups, terminal));
    let mapping = |change: &Change| painted('~', &words(change), terminal);
    let mappings: Vec<String> = difference.mappings.iter().map(mapping).collect();
    parts.extend(section("mappings of visits to kernels", &mappings, terminal));
    parts.join("\n\n") + "\n"
}

fn side(side: &Side) -> String {
    let settings = side.settings.iter().map(|(name, value)| format!("{name} = {value}"));
    format!("{}({})", side.name, settings.collect::<Vec<_>>().join(", "))
}

fn section(title: &str, lines: &[String], terminal: &Terminal) -> Option<String> {
    (!lines.is_empty()).then(|| styled(title, Look::Bold, terminal.colour) + "\n" + &lines.join("\n"))
}

fn counts(counts: &[Count]) -> Grid {
    let mut grid = Grid::new(&["", "before", "after", "change"], &["before", "after", "change"]);
    for count in counts {
        let (name, show): (&str, fn(u128) -> String) = match count.what.strip_suffix(" bytes") {
            Some("model") => ("model", bytes),
            Some("inference") => ("peak of inference", bytes),
            Some(_) => ("peak of training", bytes),
            None => (count.what, |number| {
                thousands(u64::try_from(number).unwrap_or(u64::MAX))
            }),
        };
        let cells = [name.to_owned(), show(count.before), show(count.after), percent(count)];
        grid.rows.push((cells.into(), Look::Plain));
    }
    grid
}

/// `+12.5 %`; nothing for equal numbers.
fn percent(count: &Count) -> String {
    match (count.before, count.after) {
        (before, after) if before == after => String::new(),
        (0, _) => "new".to_owned(),
        (before, after) => format!("{:+.1} %", 100.0 * (after as f64 / before as f64 - 1.0)),
    }
}

fn layers(difference: &Difference, terminal: &Terminal) -> Option<String> {
    let mut lines: Vec<(char, String)> = difference.ports.iter().map(|port| ('~', words(port))).collect();
    for (sign, layers) in [('-', &difference.removed), ('+', &difference.added)] {
        let rows = layers.iter().map(|layer| Row::of_text(&layer.path, description(layer)));
        let rows = fold(rows.collect());
        lines.extend(rows.iter().map(|row| (sign, format!("{}  {}", row.path, row.kernel))));
    }
    let changed = difference
        .changed
        .iter()
        .map(|layer| (layer.path.as_str(), changes(layer)));
    let moved = difference
        .moved
        .iter()
        .map(|path| (path.as_str(), "runs in another order".to_owned()));
    for (text, paths) in by_text(changed.chain(moved)) {
        lines.push(('~', format!("{}  {text}", paths_in_words(&paths))));
    }
    if difference.connections {
        lines.push(('~', "layers are connected in another way".to_owned()));
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|(sign, line)| painted(*sign, line, terminal))
        .collect();
    section("layers", &lines, terminal)
}

/// The paths with the same text, in the order of the first of each.
fn by_text<'d>(changes: impl Iterator<Item = (&'d str, String)>) -> Vec<(String, Vec<&'d str>)> {
    let mut texts: Vec<(String, Vec<&str>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (path, text) in changes {
        let place = *places.entry(text.clone()).or_insert(texts.len());
        match texts.get_mut(place) {
            Some((_, paths)) => paths.push(path),
            None => texts.push((text, vec![path])),
        }
    }
    texts
}

fn paths_in_words(paths: &[&str]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| parse(path)).collect();
    compress(&paths).join(" ")
}

/// What changed of a layer. Counts follow from shapes, so they are listed only where no shape changed.
fn changes(layer: &Changed) -> String {
    let is_shape = |change: &&Change| matches!(change.what.as_str(), "input" | "output" | "kernel");
    let has_shapes = layer.changes.iter().any(|change| is_shape(&change));
    let is_count = |change: &Change| matches!(change.what.as_str(), "parameters" | "multiply-adds");
    let listed = layer.changes.iter().filter(|change| !has_shapes || !is_count(change));
    listed.map(words).collect::<Vec<_>>().join("; ")
}

/// `conv (kernel 3, pad 1) 3x8x8 -> 4x8x8 [shared]`.
fn description(layer: &LayerSummary) -> String {
    let details = match layer.details.as_str() {
        "" => String::new(),
        details => format!(" ({details})"),
    };
    let group = layer
        .group
        .as_ref()
        .map(|group| format!(" [{group}]"))
        .unwrap_or_default();
    format!(
        "{}{details} {} -> {}{group}",
        layer.op,
        join_sizes(&layer.input),
        join_sizes(&layer.output)
    )
}

/// `output 3x8x8 -> 4x8x8`.
fn words(change: &Change) -> String {
    if change.what == "initial values" {
        return "other initial values".to_owned();
    }
    let text = |text: &str| match text.parse() {
        _ if text.is_empty() => "none".to_owned(),
        Ok(number) if matches!(change.what.as_str(), "parameters" | "multiply-adds") => thousands(number),
        _ => text.to_owned(),
    };
    format!("{} {} -> {}", change.what, text(&change.before), text(&change.after))
}

fn group_lines(group: &GroupChange, terminal: &Terminal) -> String {
    let visits = |visits: &[String]| paths_in_words(&visits.iter().map(String::as_str).collect::<Vec<_>>());
    let mut parts: Vec<String> = group.changes.iter().map(words).collect();
    let sign = match group.state {
        "removed" => '-',
        "added" => '+',
        _ => '~',
    };
    for (word, paths) in [("without", &group.visits_removed), ("with", &group.visits_added)] {
        let word = if sign == '~' { word } else { "used by" };
        parts.extend((!paths.is_empty()).then(|| format!("{word} {}", visits(paths))));
    }
    painted(sign, &format!("{}  {}", group.name, parts.join("; ")), terminal)
}

/// A line of the report, which may take several.
fn painted(sign: char, line: &str, terminal: &Terminal) -> String {
    let line = fill(&format!("{sign} {line}"), terminal.width, 6);
    let code = match sign {
        '-' => 31,
        '+' => 32,
        _ => 33,
    };
    if terminal.colour {
        format!("\x1b[{code}m{line}\x1b[0m")
    } else {
        line
    }
}
