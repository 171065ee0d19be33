//! Tables of text that fit a width: cells that are too long go on in further lines.

/// A column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Whether it has numbers, which are aligned to the right and never wrapped.
    pub(super) is_number: bool,
}

/// How a row looks where there are colours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Dim,
    Bold,
}

/// A table.
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<(Vec<String>, Look)>,
}

/// Spaces between columns.
const GAP: usize = 2;
/// No column is made narrower than this.
const NARROWEST: usize = 10;

impl Grid {
    /// An empty table; `numbers` are the columns with numbers.
    pub(super) fn new(titles: &[&'static str], numbers: &[&str]) -> Self {
        let column = |title: &&'static str| Column {
            title,
            is_number: numbers.contains(title),
        };
        Grid {
            columns: titles.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Leaves a column out, if there is one of this title.
    pub(super) fn remove(&mut self, title: &str) {
        let Some(at) = self.columns.iter().position(|column| column.title == title) else {
            return;
        };
        self.columns.remove(at);
        for (cells, _) in &mut self.rows {
            cells.remove(at);
        }
    }

    /// Leaves a column out that has nothing in it.
    pub(super) fn remove_empty(&mut self, title: &str) {
        let Some(at) = self.columns.iter().position(|column| column.title == title) else {
            return;
        };
        if self.rows.iter().all(|(cells, _)| cells[at].is_empty()) {
            self.remove(title);
        }
    }

    /// The characters of its lines if nothing is wrapped.
    pub(super) fn width(&self) -> usize {
        line(&self.widths())
    }

    /// The widths of the columns in lines of at most `limit` characters: the widest gives way first.
    fn widths_within(&self, limit: usize) -> Vec<usize> {
        let mut widths = self.widths();
        while line(&widths) > limit {
            let wrapping = (0..widths.len()).filter(|at| !self.columns[*at].is_number && widths[*at] > NARROWEST);
            let Some(widest) = wrapping.max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(at, column): (usize, &Column)| {
            let rows = self.rows.iter().filter(|(cells, _)| !is_heading(cells));
            let cells = rows.map(|(cells, _)| length(&cells[at]));
            cells.chain([length(column.title)]).max().unwrap_or(0)
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    /// The table as text, whose lines have at most `limit` characters if that is possible.
    pub(super) fn text(&self, limit: usize, colour: bool) -> String {
        let widths = self.widths_within(limit);
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let rule = "─".repeat(line(&widths));
        let mut text = self.row(&titles, &widths, Look::Bold, colour) + "\n" + &rule;
        for (cells, look) in &self.rows {
            text = text + "\n" + &self.row(cells, &widths, *look, colour);
        }
        text + "\n" + &rule
    }

    /// The rows alone.
    pub(super) fn text_without_titles(&self, limit: usize, colour: bool) -> String {
        let widths = self.widths_within(limit);
        let rows = self
            .rows
            .iter()
            .map(|(cells, look)| self.row(cells, &widths, *look, colour));
        rows.collect::<Vec<_>>().join("\n")
    }

    fn row(&self, cells: &[String], widths: &[usize], look: Look, colour: bool) -> String {
        if is_heading(cells) {
            let lines = wrap(&cells[0], line(widths).max(NARROWEST));
            let lines = lines.iter().map(|line| styled(line, look, colour));
            return lines.collect::<Vec<_>>().join("\n");
        }
        let wrapped: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| wrap(cell, *width))
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let show = |line: usize| {
            let mut text = String::new();
            for ((column, cell), width) in self.columns.iter().zip(&wrapped).zip(widths) {
                let cell = cell.get(line).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(length(cell)));
                text += &if column.is_number {
                    blanks + cell
                } else {
                    cell.to_owned() + &blanks
                };
                text += &" ".repeat(GAP);
            }
            styled(text.trim_end(), look, colour)
        };
        (0..height).map(show).collect::<Vec<_>>().join("\n")
    }

    /// The table in Markdown.
    pub(super) fn markdown(&self) -> String {
        let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let titles = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let dashes = self
            .columns
            .iter()
            .map(|column| if column.is_number { "---:" } else { "---" });
        let mut lines = vec![row(titles), row(dashes.map(str::to_owned).collect())];
        for (cells, look) in &self.rows {
            let bold = |cell: &String| match cell.is_empty() || *look != Look::Bold {
                true => cell.replace('|', "\\|"),
                false => format!("**{}**", cell.replace('|', "\\|")),
            };
            lines.push(row(cells.iter().map(bold).collect()));
        }
        lines.join("\n")
    }
}

/// Whether a row has a name alone, which may stand in the columns behind it as well.
fn is_heading(cells: &[String]) -> bool {
    cells.len() > 2 && cells.iter().skip(1).all(String::is_empty)
}

/// The characters of a line with columns of these widths.
fn line(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// A line in a look, if there are colours.
pub(super) fn styled(line: &str, look: Look, colour: bool) -> String {
    match look {
        Look::Bold if colour => format!("\x1b[1m{line}\x1b[0m"),
        Look::Dim if colour => format!("\x1b[2m{line}\x1b[0m"),
        _ => line.to_owned(),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A cell in lines of at most `width` characters, of which the further ones are indented. Lines end behind a space, a
/// comma or an underscore, or before a dot or a bracket, if there is one.
fn wrap(cell: &str, width: usize) -> Vec<String> {
    let indent: String = cell.chars().take_while(|c| *c == ' ').chain("  ".chars()).collect();
    let indent = if indent.len() * 2 > width {
        String::new()
    } else {
        indent
    };
    let mut rest: Vec<char> = cell.chars().collect();
    let mut lines = Vec::new();
    while rest.len() > width {
        let start = if lines.is_empty() {
            rest.iter().take_while(|c| **c == ' ').count()
        } else {
            indent.len()
        };
        let may_end = |at: &usize| matches!(rest[at - 1], ' ' | ',' | '_') || matches!(rest[*at], '.' | '[' | ' ');
        let end = (start + 1..=width).rev().find(may_end).unwrap_or(width.max(start + 1));
        lines.push(rest[..end].iter().collect::<String>().trim_end().to_owned());
        let left: String = rest[end..].iter().collect();
        rest = format!("{indent}{}", left.trim_start()).chars().collect();
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// A text in lines of at most `limit` characters, broken at spaces; the further lines are indented. What `=` connects
/// stays together, and so do numbers and their units.
pub(super) fn fill(text: &str, limit: usize, indent: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for (number, word) in words(text).iter().enumerate() {
        if !line.trim().is_empty() && length(&line) + 1 + length(word) > limit {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent) + word;
        } else {
            // Runs of spaces stay.
            line += if number == 0 { "" } else { " " };
            line += word;
        }
    }
    lines.push(line);
    lines.join("\n")
}

/// The parts of a text between spaces at which a line may end.
fn words(text: &str) -> Vec<String> {
    let units = ["bytes", "KiB", "MiB", "GiB", "%"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_value = word == "=" || units.iter().any(|unit| word.starts_with(unit));
        match words.last_mut() {
            Some(last) if !last.is_empty() && (is_value || last.ends_with(" =")) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Grid, Look, fill, wrap};

    #[test]
    fn cells_are_wrapped_at_their_joints() {
        assert_eq!(wrap("s1[0].conv", 10), ["s1[0].conv"]);
        assert_eq!(wrap("s1[0].squeeze.reduce", 14), ["s1[0].squeeze", "  .reduce"]);
        assert_eq!(wrap("  conv1: conv", 10), ["  conv1:", "    conv"]);
        assert_eq!(wrap("mixer_pointwise.15", 13), ["mixer_", "  pointwise", "  .15"]);
        assert_eq!(wrap("abcdefghijklmn", 10), ["abcdefghij", "  klmn"]);
        // Every line is shorter than the rest, however narrow the column.
        assert_eq!(wrap("      abcdef", 3).concat().replace(' ', ""), "abcdef");
    }

    #[test]
    fn texts_are_filled_at_spaces() {
        assert_eq!(fill("a bb ccc", 80, 4), "a bb ccc");
        assert_eq!(fill("a bb ccc dddd", 6, 2), "a bb\n  ccc\n  dddd");
        assert_eq!(fill("memory    model 3", 12, 3), "memory\n   model 3");
        assert_eq!(fill("net(a = 1, b = 2)", 12, 2), "net(a = 1,\n  b = 2)");
        assert_eq!(fill("peak 4.2 MiB (1.0 KiB)", 10, 0), "peak\n4.2 MiB\n(1.0 KiB)");
    }

    #[test]
    fn wide_columns_are_made_narrower_first() {
        let mut grid = Grid::new(&["path", "count"], &["count"]);
        grid.rows
            .push((vec!["body.layer.conv.one".into(), "1,000".into()], Look::Plain));
        let expected =
            "path             count\n──────────────────────\nbody.layer.conv  1,000\n  .one\n──────────────────────";
        assert_eq!(grid.text(22, false), expected);
        assert_eq!(
            grid.markdown(),
            "| path | count |\n| --- | ---: |\n| body.layer.conv.one | 1,000 |"
        );
    }
}
