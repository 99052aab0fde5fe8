//! Plain tables for the terminal: aligned columns, no lines, no control sequences.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};

/// Indents the rows under a heading.
pub(super) const INDENT: &str = "  ";

/// The text without control characters. A server chooses its status line, which must not move the
/// reader's cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Lays out rows: the first column to the left, all others to the right, two spaces between.
///
/// Widths are those of the content, never of the terminal: a number that is broken over two lines
/// is no number.
pub(super) fn columns(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(column, text)| {
            let alignment = if column == 0 {
                CellAlignment::Left
            } else {
                CellAlignment::Right
            };
            Cell::new(text).set_alignment(alignment)
        }));
    }
    for (column, layout) in table.column_iter_mut().enumerate() {
        layout.set_padding((if column == 0 { 0 } else { 2 }, 0));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let rows = [["streams", "15,000"], ["", ""], ["µ", "1"]];
        let text = columns(rows.map(|row| row.map(str::to_owned).to_vec()));
        assert_eq!(text, "streams  15,000\n\nµ             1\n");
    }

    #[test]
    fn control_characters_are_not_passed_on() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
