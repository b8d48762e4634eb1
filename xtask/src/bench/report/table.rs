//! Tables: rows of cells come in, Markdown or columns for a terminal go out.

/// A table with a heading.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::new();
        for (n, cells) in self.rows.iter().enumerate() {
            text += &format!("| {} |\n", cells.join(" | "));
            if n == 0 {
                text += &format!("|{}\n", " --- |".repeat(cells.len()));
            }
        }
        text
    }

    /// Columns as wide as what is in them.
    pub(super) fn to_terminal(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|cells| cells.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths);
            let cells: Vec<_> = cells.map(|(cell, &width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_in_both_ways() {
        let mut table = Table::new(&["load", "n"]);
        table.row(["echo64".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_markdown(), "| load | n |\n| --- | --- |\n| echo64 | 1 |\n");
        assert_eq!(table.to_terminal(), "load    n\necho64  1");
    }
}
