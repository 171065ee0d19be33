//! The summary for people: what the network is, a table of its layers, what it costs, and who
//! shares what.

use super::fold::{Row, fold};
use super::output::{Terminal, plural};
use super::path_range::parse;
use crate::ir::{Path, join_sizes};
use crate::paths::compress;
use crate::summary::{LayerSummary, LoopSummary, MappingSummary, Setting, SharedKernel, Summary};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table};

/// The whole summary; `all` lists every layer in its own row.
pub(super) fn table(summary: &Summary, all: bool, terminal: &Terminal) -> String {
    let mut parts = vec![heading(summary), layers(summary, all, terminal), costs(summary, all)];
    if !summary.groups.is_empty() {
        parts.push(shared_kernels(&summary.groups, terminal));
    }
    if !summary.mappings.is_empty() {
        let lines: Vec<String> = summary.mappings.iter().map(MappingSummary::to_string).collect();
        parts.push(format!("mappings of visits to kernels\n{}", lines.join("\n")));
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

fn layers(summary: &Summary, all: bool, terminal: &Terminal) -> String {
    let counts = |layer: &&LayerSummary| all || layer.unshared > 0 || layer.macs > 0;
    let rows: Vec<Row> = summary.layers.iter().filter(counts).map(Row::new).collect();
    let rows = if all { rows } else { fold(rows) };
    let header = [
        "path",
        "layer",
        "output",
        "kernel",
        "algorithm",
        "group",
        "stored",
        "unshared",
        "multiply-adds",
    ];
    let mut table = new_table(&header, terminal);
    for row in &rows {
        let cells = [
            Cell::new(&row.path),
            Cell::new(row.layer),
            Cell::new(&row.output),
            Cell::new(&row.kernel),
            Cell::new(row.algorithm),
            Cell::new(&row.group),
            Cell::new(amount(row.stored, row.unshared > 0)),
            Cell::new(amount(row.unshared, row.unshared > 0)),
            Cell::new(amount(row.macs, row.macs > 0)),
        ];
        let dim = row.unshared == 0;
        table.add_row(cells.map(|cell| if dim { cell.add_attribute(Attribute::Dim) } else { cell }));
    }
    let parameters = summary.parameters;
    let total = [parameters.trainable, parameters.unshared, summary.macs].map(thousands);
    let cells = ["total", "", "", "", "", ""]
        .into_iter()
        .chain(total.iter().map(String::as_str));
    table.add_row(cells.map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
    numbers(&mut table, 6..9);
    text(&table)
}

fn costs(summary: &Summary, all: bool) -> String {
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
    let images = usize::try_from(memory.batch).unwrap_or(usize::MAX);
    let threads = match memory.threads {
        1 => String::new(),
        threads => format!(" on {threads} threads"),
    };
    let number = thousands(summary.layers.len() as u64);
    let layers = match all {
        true => number,
        false => format!("{number} (--all lists every layer)"),
    };
    [
        format!("layers         {layers}"),
        format!("parameters     {}{sharing}", thousands(parameters.trainable)),
        format!("multiply-adds  {} per image{}", thousands(summary.macs), loops(summary)),
        format!(
            "memory         model {} (f32); peak {}{}: inference {} ({} prepared), training {}",
            bytes(memory.model_bytes.into()),
            match images {
                1 => "per image".to_owned(),
                _ => format!("for {}", plural(images, "image")),
            },
            threads,
            bytes(memory.inference_bytes),
            bytes(memory.prepared_bytes),
            bytes(memory.training_bytes)
        ),
    ]
    .join("\n")
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

fn shared_kernels(groups: &[SharedKernel], terminal: &Terminal) -> String {
    let header = ["shared kernel", "shape", "parameters", "visits", "used by"];
    let mut table = new_table(&header, terminal);
    for group in groups {
        let visits: Vec<Path> = group.visits.iter().map(|path| parse(path)).collect();
        let name = match group.parts.as_slice() {
            ["kernel"] | ["kernel", "bias"] => group.name.clone(),
            parts => format!("{} ({})", group.name, parts.join(", ")),
        };
        table.add_row([
            name,
            join_sizes(&group.shape),
            thousands(group.parameters),
            group.visits.len().to_string(),
            compress(&visits).join(" "),
        ]);
    }
    numbers(&mut table, 2..4);
    text(&table)
}

fn new_table(header: &[&str], terminal: &Terminal) -> Table {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(NOTHING.header_separator(line).bottom_border(line));
    table.set_header(header.iter().map(|word| Cell::new(word).add_attribute(Attribute::Bold)));
    if terminal.fit {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.width().map(|width| table.set_width(width));
    }
    table.force_no_tty();
    if terminal.colour {
        table.enforce_styling();
    }
    table
}

/// Numeric columns: right-aligned, and never wrapped.
fn numbers(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// The table without trailing spaces.
fn text(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A number, or an empty cell if it does not apply.
fn amount(number: u64, shown: bool) -> String {
    if shown { thousands(number) } else { String::new() }
}

/// `1,223,002`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `4.7 MiB`.
fn bytes(bytes: u128) -> String {
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
    use super::{bytes, thousands};

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
