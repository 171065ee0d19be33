//! The summary for people: what the network is, a table of its layers, what it costs, and who
//! shares what.

use super::fold::{Row, fold};
use super::grid::{Grid, Look, fill};
use super::output::plural;
use super::path_range::parse;
use crate::ir::{Path, join_sizes};
use crate::paths::compress;
pub(super) use crate::summary::thousands;
use crate::summary::{LayerSummary, LoopSummary, Setting, SharedKernel, Summary};

/// How the summary is laid out.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Whether every layer has its own row.
    pub(super) all: bool,
    /// The longest line in characters.
    pub(super) width: usize,
    /// The lines of the screen, if the summary goes to one.
    pub(super) height: Option<usize>,
    pub(super) colour: bool,
}

/// The indentation of what does not fit into a line of costs.
const COSTS: usize = 15;

/// The whole summary. Totals come first if the screen is too small for all of it.
pub(super) fn table(summary: &Summary, layout: Layout) -> String {
    let heading = fill(&heading(summary), layout.width, 4);
    let layers = outline(&rows(summary, layout.all), summary, layout);
    let costs: Vec<String> = costs(summary, layout.all)
        .iter()
        .map(|line| fill(line, layout.width, COSTS))
        .collect();
    let mut totals = vec![costs.join("\n")];
    if !summary.groups.is_empty() {
        totals.push(shared_kernels(&summary.groups).text(layout.width, layout.colour));
    }
    if !summary.mappings.is_empty() {
        let lines = summary.mappings.iter();
        let lines: Vec<String> = lines.map(|line| fill(&line.to_string(), layout.width, 4)).collect();
        totals.push(format!("mappings of visits to kernels\n{}", lines.join("\n")));
    }
    let totals = totals.join("\n\n");
    // With the blank lines between the parts and the line of the next prompt.
    let lines = [&heading, &layers, &totals]
        .iter()
        .map(|part| part.lines().count() + 1)
        .sum::<usize>();
    match layout.height.is_some_and(|height| lines > height) {
        true => format!("{heading}\n\n{totals}\n\n{layers}\n"),
        false => format!("{heading}\n\n{layers}\n\n{totals}\n"),
    }
}

/// The whole summary in Markdown.
pub(super) fn markdown(summary: &Summary, all: bool) -> String {
    let mut parts = vec![
        format!("**{}**", heading(summary)),
        costs(summary, true)
            .iter()
            .map(|line| format!("- {}: {}", line[..COSTS].trim_end(), &line[COSTS..]))
            .collect::<Vec<_>>()
            .join("\n"),
        flat(&rows(summary, all), summary).markdown(),
    ];
    if !summary.groups.is_empty() {
        parts.push(shared_kernels(&summary.groups).markdown());
    }
    if !summary.mappings.is_empty() {
        let lines: Vec<String> = summary.mappings.iter().map(|line| format!("- {line}")).collect();
        parts.push(lines.join("\n"));
    }
    parts.join("\n\n") + "\n"
}

fn heading(summary: &Summary) -> String {
    let setting = |(name, value): (&String, &Setting)| format!("{name} = {value}");
    let settings: Vec<String> = summary.settings.iter().map(setting).collect();
    format!(
        "{}({})  {} -> {}",
        summary.name,
        settings.join(", "),
        summary.input_in_words(),
        summary.output_in_words()
    )
}

/// The rows of the table, in the order of the forward pass.
fn rows(summary: &Summary, all: bool) -> Vec<Row> {
    let counts = |layer: &&LayerSummary| all || layer.unshared > 0 || layer.macs > 0;
    let rows: Vec<Row> = summary.layers.iter().filter(counts).map(Row::new).collect();
    if all { rows } else { fold(rows) }
}

/// The columns that follow those which name a layer; those of the last line are numbers.
const COLUMNS: [&str; 7] = [
    "output",
    "kernel",
    "algorithm",
    "group",
    "stored",
    "unshared",
    "multiply-adds",
];

fn cells(row: &Row) -> [String; COLUMNS.len()] {
    [
        row.output.clone(),
        row.kernel.clone(),
        row.algorithm.to_owned(),
        row.group.clone(),
        amount(row.stored, row.unshared > 0),
        amount(row.unshared, row.unshared > 0),
        amount(row.macs, row.macs > 0),
    ]
}

fn add_total(grid: &mut Grid, summary: &Summary, names: usize) {
    let parameters = summary.parameters;
    let total = [parameters.trainable, parameters.unshared, summary.macs].map(thousands);
    let mut cells = vec![String::new(); names + COLUMNS.len() - total.len()];
    "total".clone_into(&mut cells[0]);
    cells.extend(total);
    grid.rows.push((cells, Look::Bold));
}

fn grid(names: &[&'static str]) -> Grid {
    let titles: Vec<&'static str> = names.iter().copied().chain(COLUMNS).collect();
    Grid::new(&titles, &COLUMNS[4..])
}

/// One row per layer, with its path.
fn flat(rows: &[Row], summary: &Summary) -> Grid {
    let mut grid = grid(&["path", "layer"]);
    for row in rows {
        let names = [row.path.to_string(), row.layer.to_owned()];
        grid.rows
            .push((names.into_iter().chain(cells(row)).collect(), Look::Plain));
    }
    add_total(&mut grid, summary, 2);
    grid.remove_empty("group");
    grid
}

/// Layers below the stages and blocks that they are in. Where that is too wide, columns that can be had otherwise are
/// left out.
fn outline(rows: &[Row], summary: &Summary, layout: Layout) -> String {
    let mut grid = grid(&["layer"]);
    let paths: Vec<Vec<String>> = rows.iter().map(|row| row.path.segments()).collect();
    let common = |a: usize, b: Option<usize>| {
        let other: &[String] = b.and_then(|b| paths.get(b)).map_or(&[], Vec::as_slice);
        let shortest = paths[a].len().min(other.len()).saturating_sub(1);
        paths[a]
            .iter()
            .zip(other)
            .take(shortest)
            .take_while(|(mine, theirs)| mine == theirs)
            .count()
    };
    for (at, row) in rows.iter().enumerate() {
        let before = common(at, at.checked_sub(1));
        let depth = before.max(common(at, Some(at + 1)));
        for (level, name) in paths[at].iter().enumerate().take(depth).skip(before) {
            let mut cells = vec![String::new(); 1 + COLUMNS.len()];
            cells[0] = "  ".repeat(level) + name;
            grid.rows.push((cells, Look::Plain));
        }
        let name = paths[at][depth..].join(".");
        let label = if is_label(&paths[at][paths[at].len() - 1], row.layer) {
            format!("{name}: {}", row.layer)
        } else {
            name
        };
        let look = if row.unshared == 0 { Look::Dim } else { Look::Plain };
        let names = ["  ".repeat(depth) + &label];
        grid.rows.push((names.into_iter().chain(cells(row)).collect(), look));
    }
    add_total(&mut grid, summary, 1);
    grid.remove_empty("group");
    for column in ["algorithm", "unshared"] {
        if grid.width() > layout.width {
            grid.remove(column);
        }
    }
    grid.text(layout.width, layout.colour)
}

/// Whether a name says more than the operation: not `conv` and `conv_2` of a `conv`.
fn is_label(name: &str, layer: &str) -> bool {
    let rest = name.split('[').next().and_then(|name| name.strip_prefix(layer));
    let number = |rest: &str| {
        rest.strip_prefix('_')
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    !rest.is_some_and(|rest| rest.is_empty() || number(rest))
}

/// Lines of a name, up to [`COSTS`], and what it amounts to.
fn costs(summary: &Summary, all: bool) -> Vec<String> {
    let parameters = summary.parameters;
    let memory = summary.memory;
    let sharing = match parameters.trainable == parameters.unshared {
        true => " (sharing saves nothing)".to_owned(),
        false => format!(
            " ({} without sharing: {:.1} % saved)",
            thousands(parameters.unshared),
            100.0 * summary.saving()
        ),
    };
    let batch = usize::try_from(memory.batch).unwrap_or(usize::MAX);
    let threads = match memory.threads {
        1 => String::new(),
        threads => format!(" on {threads} threads"),
    };
    let number = thousands(summary.layers.len() as u64);
    let layers = match all {
        true => number,
        false => format!("{number} (--all lists every layer)"),
    };
    let mut lines = vec![
        format!("layers         {layers}"),
        format!("parameters     {}{sharing}", thousands(parameters.trainable)),
        format!(
            "multiply-adds  {} per {}{}",
            thousands(summary.macs),
            summary.item,
            loops(summary)
        ),
        format!(
            "memory         model {} (f32); peak {}{}: inference {} ({} prepared), training {}",
            bytes(memory.model_bytes.into()),
            match batch {
                1 => format!("per {}", summary.item),
                _ => format!("for {}", plural(batch, summary.item)),
            },
            threads,
            bytes(memory.inference_bytes),
            bytes(memory.prepared_bytes),
            bytes(memory.training_bytes)
        ),
    ];
    lines.extend(summary.budget.map(|budget| {
        let more = 100.0 * budget.recomputed_macs as f64 / (3.0 * summary.macs.max(1) as f64);
        format!(
            "budget         training {} instead of {}, with {} multiply-adds per {} computed again: {more:.1} % more",
            bytes(budget.training_bytes),
            bytes(memory.training_bytes),
            thousands(u64::try_from(budget.recomputed_macs).unwrap_or(u64::MAX)),
            summary.item,
        )
    }));
    lines.extend(summary.decoding.map(|decoding| {
        format!(
            "decoding       weights{} {} from memory and {} from a cache of {} per token; keys and values {} when full",
            match decoding.weight_type {
                "f32" => String::new(),
                narrow => format!(" ({narrow})"),
            },
            bytes(decoding.bytes_from_memory.into()),
            bytes(decoding.bytes_from_cache.into()),
            bytes(decoding.assumed_cache_bytes.into()),
            bytes(decoding.key_value_bytes.into())
        )
    }));
    lines
}

/// How often the loops run that the counts are of.
fn loops(summary: &Summary) -> String {
    let of = |one: &LoopSummary| format!("`{}` {} times", one.name, one.most);
    let all: Vec<String> = summary.loops.iter().map(of).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(" (loops at their maximum: {})", all.join(", ")),
    }
}

fn shared_kernels(groups: &[SharedKernel]) -> Grid {
    let mut grid = Grid::new(
        &["shared kernel", "shape", "parameters", "visits", "used by"],
        &["parameters", "visits"],
    );
    for group in groups {
        let visits: Vec<Path> = group.visits.iter().map(|path| parse(path)).collect();
        let name = match group.parts.as_slice() {
            ["kernel"] | ["kernel", "bias"] => group.name.clone(),
            parts => format!("{} ({})", group.name, parts.join(", ")),
        };
        let cells = [
            name,
            join_sizes(&group.shape),
            thousands(group.parameters),
            group.visits.len().to_string(),
            compress(&visits).join(" "),
        ];
        grid.rows.push((cells.into(), Look::Plain));
    }
    grid
}

/// A number, or an empty cell if it does not apply.
fn amount(number: u64, shown: bool) -> String {
    if shown { thousands(number) } else { String::new() }
}

/// `4.7 MiB`.
pub(super) fn bytes(bytes: u128) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB", "RiB", "QiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // The power of 1024 below the number; tenths are exact enough in f64.
    let power = units.len().min(bytes.ilog2() as usize / 10);
    format!("{:.1} {}", bytes as f64 / 1024f64.powi(power as i32), units[power - 1])
}

#[cfg(test)]
mod tests {
    use super::{Layout, bytes, is_label, table, thousands};
    use crate::spec::Spec;

    /// Where the totals and the table of layers begin.
    fn places(height: Option<usize>) -> (usize, usize, usize) {
        let text = "net a { input 4; repeat 3 { linear(4); relu } share isomorphic linear }";
        let summary = Spec::parse("a.ksn", text).summary().expect("a network");
        let layout = Layout {
            all: true,
            width: 80,
            height,
            colour: false,
        };
        let text = table(&summary, layout);
        let find = |word: &str| text.find(word).expect("the word");
        (find("\nparameters  "), find("\nlayer  "), text.lines().count())
    }

    /// On a screen with a line for the next prompt.
    #[test]
    fn totals_come_first_where_the_screen_is_too_small() {
        let (totals, layers, lines) = places(None);
        assert!(layers < totals);
        let (totals, layers, _) = places(Some(lines + 1));
        assert!(layers < totals);
        let (totals, layers, same) = places(Some(lines));
        assert!(totals < layers && same == lines);
    }

    #[test]
    fn names_of_kinds_are_no_labels() {
        assert!(!is_label("conv", "conv") && !is_label("conv_12", "conv") && !is_label("conv[3]", "conv"));
        assert!(is_label("conv1", "conv") && is_label("convert", "conv") && is_label("up", "linear"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1000, 1_223_002, u64::MAX].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,223,002", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn bytes_have_the_unit_below_them() {
        let texts = [0, 1023, 1024, 1536, 5 << 20, 1 << 64, 3 << 111].map(bytes);
        assert_eq!(
            texts,
            [
                "0 bytes",
                "1023 bytes",
                "1.0 KiB",
                "1.5 KiB",
                "5.0 MiB",
                "16.0 EiB",
                "6144.0 QiB"
            ]
        );
    }
}
