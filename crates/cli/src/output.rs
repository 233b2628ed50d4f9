//! Results on standard output: text, JSON and plain tables.

use std::io::{self, Write};

use mp_data::Line;
use mp_train::folder::OutputFile;
use serde::Serialize;

pub(crate) use mp_train::watch::report::{short, thousands};

/// Prints lines.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    for line in text.trim_end_matches('\n').split('\n') {
        writeln!(io::stdout(), "{}", Line(line))?;
    }
    Ok(())
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // As it is: a program reads it, and JSON has escapes of its own.
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// As [`text`], where standard output is free for it, and to standard error where the file is written there.
pub(crate) fn text_beside<'f>(file: impl Into<Option<&'f OutputFile>>, lines: &str) -> anyhow::Result<()> {
    if !file.into().is_some_and(OutputFile::is_standard_output) {
        return text(lines);
    }
    for line in lines.trim_end_matches('\n').split('\n') {
        writeln!(io::stderr(), "{}", Line(line))?;
    }
    Ok(())
}

/// As [`json`], where standard output is free for it, and to standard error where the file is written there.
pub(crate) fn json_beside(file: Option<&OutputFile>, value: &impl Serialize) -> anyhow::Result<()> {
    if !file.is_some_and(OutputFile::is_standard_output) {
        return json(value);
    }
    writeln!(io::stderr(), "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// How a column's cells stand.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells under a heading, padded to columns. What would break a line, or turn it around, is escaped.
pub(crate) struct Table {
    align: Vec<Align>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let mut table = Self {
            align: columns.iter().map(|(_, align)| *align).collect(),
            widths: vec![0; columns.len()],
            rows: Vec::new(),
        };
        table.row(columns.iter().map(|(name, _)| (*name).to_owned()));
        table
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // Names of files and classes come from anywhere.
        let cells: Vec<String> = cells.into_iter().map(|cell| Line(&cell).to_string()).collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = cell.chars().count().max(*width);
        }
        self.rows.push(cells);
    }

    pub(crate) fn print(mut self) -> anyhow::Result<()> {
        self.print_so_far()
    }

    /// Prints the rows that have come since the last time; columns may grow from one time to the next.
    pub(crate) fn print_so_far(&mut self) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            text(&self.render())?;
            self.rows.clear();
        }
        Ok(())
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&self.widths).zip(&self.align).map(|((cell, &width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// The beginning and the end of a text that is too long to be read.
pub(crate) fn shortened(text: &str) -> String {
    const BEGINNING: usize = 1500;
    const END: usize = 500;
    let count = text.chars().count();
    if count <= 2 * (BEGINNING + END) {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(count - END).collect();
    format!("{beginning} ... ({} more characters) ... {end}", count - BEGINNING - END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_and_lines_are_not() {
        let mut table = Table::new(&[("name", Align::Left), ("count", Align::Right), ("what", Align::Left)]);
        table.row(["a".to_owned(), "1,000".to_owned(), "x".to_owned()]);
        table.row(["long".to_owned(), "2".to_owned(), "yz".to_owned()]);
        assert_eq!(table.render(), "name  count  what\na     1,000  x\nlong      2  yz\n");
    }

    #[test]
    fn a_cell_stays_one_line() {
        let mut table = Table::new(&[("name", Align::Left)]);
        table.row(["a\nb\u{1b}[31m".to_owned()]);
        assert_eq!(table.render(), "name\na\\nb\\u{1b}[31m\n");
    }

    #[test]
    fn counts_are_grouped_or_shortened() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([999, 1000, 40_813_184].map(short), ["999", "1.0 k", "40.8 M"]);
    }

    #[test]
    fn a_text_without_end_is_cut_in_the_middle() {
        assert_eq!(shortened(&"a".repeat(4000)), "a".repeat(4000));
        let cut = shortened(&format!("begin{}end", "é".repeat(100_000)));
        assert!(cut.starts_with("begin") && cut.ends_with("end") && cut.contains("... (98008 more characters) ..."));
        assert!(cut.chars().count() < 2100);
    }
}
