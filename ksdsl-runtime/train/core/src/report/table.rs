//! Tables for terminals.

use super::progress::percent;
use crate::metrics::{Evaluation, macro_mean};

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::HumanCount;

/// The maximum length of a class name in the confusion matrix.
const NAME: usize = 12;

/// A line above, one below, and one under the header.
const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// An empty table in this crate's style.
pub fn plain_table(header: impl IntoIterator<Item = impl Into<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    // Cells wrap on narrow terminals.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.into_iter().map(Into::into).collect::<Vec<String>>());
    table
}

/// Right-aligns the columns from `first` on, as usual for numbers.
pub fn right_aligned(mut table: Table, first: usize) -> Table {
    let columns = table.column_iter_mut().skip(first);
    columns.for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// An evaluation as a table with one row.
pub fn result_table(evaluation: &Evaluation) -> Table {
    if let Some(bits_per_byte) = evaluation.bits_per_byte() {
        return text_table(evaluation, bits_per_byte);
    }
    if let Some(cells) = evaluation.cells {
        return puzzle_table(evaluation, cells);
    }
    let scores = evaluation.scores();
    let mut table = plain_table(["images", "loss", "top-1", "top-5", "mean recall", "mean F1"]);
    table.add_row([
        HumanCount(evaluation.images as u64).to_string(),
        format!("{:.4}", evaluation.loss),
        percent(Some(evaluation.top1)),
        percent(evaluation.top5),
        percent(macro_mean(&scores, |score| score.recall)),
        percent(macro_mean(&scores, |score| score.f1)),
    ]);
    right_aligned(table, 0)
}

fn text_table(evaluation: &Evaluation, bits_per_byte: f64) -> Table {
    let mut table = plain_table(["tokens", "loss", "perplexity", "bits per byte", "top-1", "top-5"]);
    table.add_row([
        HumanCount(evaluation.images as u64).to_string(),
        format!("{:.4}", evaluation.loss),
        format!("{:.3}", evaluation.perplexity()),
        format!("{bits_per_byte:.4}"),
        percent(Some(evaluation.top1)),
        percent(evaluation.top5),
    ]);
    right_aligned(table, 0)
}

fn puzzle_table(evaluation: &Evaluation, cells: f64) -> Table {
    let mut table = plain_table(["puzzles", "loss", "solved", "cells right"]);
    table.add_row([
        HumanCount(evaluation.images as u64).to_string(),
        format!("{:.4}", evaluation.loss),
        percent(Some(evaluation.top1)),
        percent(Some(cells)),
    ]);
    right_aligned(table, 0)
}

/// Precision, recall, F1 and accuracy, one row per class.
pub fn score_table(evaluation: &Evaluation, classes: &[String]) -> Table {
    let mut table = plain_table(["class", "images", "precision", "recall", "F1", "accuracy"]);
    for (class, score) in evaluation.scores().iter().enumerate() {
        table.add_row([
            name(classes, class),
            HumanCount(score.images).to_string(),
            percent(score.precision),
            percent(score.recall),
            percent(score.f1),
            percent(score.accuracy),
        ]);
    }
    right_aligned(table, 1)
}

/// The confusion matrix: rows are true classes, columns predicted classes. Zeros are printed as dots, so that errors
/// stand out.
pub fn confusion_table(evaluation: &Evaluation, classes: &[String]) -> Table {
    let count = evaluation.classes();
    let short = |class: usize| name(classes, class).chars().take(NAME).collect::<String>();
    let header = std::iter::once("true \\ predicted".to_owned()).chain((0..count).map(short));
    let mut table = plain_table(header);
    for row in 0..count {
        let cells = (0..count).map(|column| match evaluation.confused(row, column) {
            0 => "·".to_owned(),
            count => count.to_string(),
        });
        table.add_row(std::iter::once(short(row)).chain(cells));
    }
    right_aligned(table, 1)
}

/// A class's name, or its index.
fn name(classes: &[String], class: usize) -> String {
    classes
        .get(class)
        .map_or_else(|| class.to_string(), |name| printable(name))
}

/// Replaces control characters, which could control the terminal, by `\u{fffd}`.
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\n' && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Meter;

    fn evaluation() -> Evaluation {
        let mut meter = Meter::new(2);
        meter.add(&[1.0f32, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0], &[0, 0, 1, 1]);
        meter.evaluation()
    }

    /// The words of a table, line by line.
    fn lines(table: &Table) -> Vec<String> {
        let text = table.to_string();
        let words = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.filter(|line| line.contains(char::is_alphanumeric)).collect()
    }

    #[test]
    fn classes_have_their_scores() {
        let classes = ["cat".to_owned(), "dog".to_owned()];
        // Two cats and one dog are predicted as cats.
        let expected = [
            "class images precision recall F1 accuracy",
            "cat 2 66.67 % 100.00 % 80.00 % 75.00 %",
            "dog 2 100.00 % 50.00 % 66.67 % 75.00 %",
        ];
        assert_eq!(lines(&score_table(&evaluation(), &classes)), expected);
        let expected = ["true \\ predicted cat dog", "cat 2 ·", "dog 1 1"];
        assert_eq!(lines(&confusion_table(&evaluation(), &classes)), expected);
    }

    #[test]
    fn names_do_not_control_terminals() {
        let classes = ["c\u{1b}[31mat\r".to_owned(), "dög\u{9b}".to_owned()];
        let text =
            score_table(&evaluation(), &classes).to_string() + &confusion_table(&evaluation(), &classes).to_string();
        assert!(
            text.contains("c\u{fffd}[31mat\u{fffd}") && text.contains("dög\u{fffd}"),
            "{text}"
        );
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    /// Two tokens, one predicted with e^1 against 1, one against: (0.3133 + 1.3133) / 2 nats each, of 2 bytes on average.
    #[test]
    fn the_result_of_a_language_model_is_in_bits_per_byte() {
        let mut meter = Meter::of_text(2, 2.0);
        meter.add(&[1.0f32, 0.0, 1.0, 0.0], &[0, 1]);
        let lines = lines(&result_table(&meter.evaluation()));
        assert_eq!(lines[0], "tokens loss perplexity bits per byte top-1 top-5");
        // e^0.81326 = 2.2553; 0.81326 / ln(2) / 2 = 0.58665.
        assert_eq!(lines[1], "2 0.8133 2.255 0.5866 50.00 % 100.00 %");
    }

    #[test]
    fn the_result_is_one_line() {
        let lines = lines(&result_table(&evaluation()));
        // Three are e^-1 apart from being sure, one e^1: ln(1 + e^-1) = 0.3133, ln(1 + e) = 1.3133.
        assert_eq!(lines[1], "4 0.5633 75.00 % 100.00 % 75.00 % 73.33 %");
    }
}
