//! Markdown for the terminal: what the book's page on diagnostics uses of it.

use super::grid::{Grid, Look, fill, styled};

/// The indentation of code.
const CODE: &str = "    ";

/// A text in lines of at most `width` characters, but for code.
pub(super) fn render(text: &str, width: usize, colour: bool) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            let code: Vec<String> = code.map(|line| cut(&format!("{CODE}{line}"), width)).collect();
            parts.push(code.join("\n"));
        } else if line.starts_with('#') {
            parts.push(styled(line.trim_start_matches(['#', ' ']), Look::Bold, colour));
        } else if line.starts_with("| ") {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.starts_with("| ")) {
                rows.push(row);
            }
            parts.push(table(&rows, width, colour));
        } else {
            let mut paragraph = line.to_owned();
            let is_paragraph = |line: &&str| !line.is_empty() && !line.starts_with(['#', '|', '`', '-']);
            while let Some(line) = lines.next_if(is_paragraph) {
                paragraph = paragraph + " " + line;
            }
            let indent = if paragraph.starts_with("- ") { 2 } else { 0 };
            parts.push(fill(&without_targets(&paragraph), width, indent));
        }
    }
    parts.join("\n\n") + "\n"
}

/// A line of code; the end of a very long one is left out.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width - 4).collect::<String>() + " ..."
}

/// Links as their texts.
fn without_targets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        match (before.rsplit_once('['), after.split_once(')')) {
            (Some((before, label)), Some((_, after))) => {
                out = out + before + label;
                rest = after;
            }
            _ => break,
        }
    }
    out + rest
}

/// A table, whose first row has the titles and whose second row nothing to show.
fn table(rows: &[&str], width: usize, colour: bool) -> String {
    let cells = |row: &&str| -> Vec<String> {
        let inner = row.trim().trim_start_matches("| ").trim_end_matches(" |");
        inner.split(" | ").map(without_targets).collect()
    };
    let mut rows = rows.iter().map(cells);
    let titles = rows.next().unwrap_or_default();
    let mut grid = Grid::new(&vec![""; titles.len()], &[]);
    grid.rows.push((titles, Look::Bold));
    let full = |row: &Vec<String>| row.len() == grid.columns.len();
    let body: Vec<Vec<String>> = rows.skip(1).filter(full).collect();
    grid.rows.extend(body.into_iter().map(|row| (row, Look::Plain)));
    grid.text_without_titles(width, colour)
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn headings_paragraphs_code_and_tables_are_laid_out() {
        let text = "## A `b`\n\nOne [two](three.md) four\nfive six.\n\n```ksn,error=KS0001\nnet a {\n}\n```\n\n\
            | PyTorch | KSDSL |\n| --- | --- |\n| `a` | `b | c` |\n";
        let expected = "A `b`\n\nOne two four five\nsix.\n\n    net a {\n    }\n\nPyTorch  KSDSL\n`a`      `b\n";
        let shown = render(&text.replace("`b | c`", "`b"), 18, false);
        assert_eq!(shown, expected);
        assert!(render(text, 80, true).starts_with("\x1b[1mA `b`\x1b[0m\n"));
    }
}
