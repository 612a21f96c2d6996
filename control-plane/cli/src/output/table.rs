//! Tables for people: aligned columns, nothing to parse.

use super::visible;

/// A cell's width, in characters: longer ones are cut, except in the last column.
const MAX_CELL: usize = 60;

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    headings: &'static [&'static str],
    rows: Vec<Vec<String>>,
    after: String,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &'static [&'static str]) -> Self {
        Self {
            headings,
            rows: Vec::new(),
            after: String::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| visible(&cell)).collect());
    }

    /// Text below the table.
    pub(crate) fn after(&mut self, text: &str) {
        self.after.push_str(text);
    }

    /// As text.
    pub(crate) fn render(&self) -> String {
        let last = self.headings.len().saturating_sub(1);
        let heading: Vec<String> = self.headings.iter().map(|&text| text.to_owned()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(&heading)
            .chain(&self.rows)
            .map(|row| {
                row.iter()
                    .enumerate()
                    .map(|(column, cell)| cut(cell, column < last))
                    .collect()
            })
            .collect();
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                lines
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for row in &lines {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}   "));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out + &self.after
    }
}

fn cut(cell: &str, cut: bool) -> String {
    let cell = if cell.is_empty() { "-" } else { cell };
    if cut && cell.chars().count() > MAX_CELL {
        cell.chars().take(MAX_CELL - 1).chain(['…']).collect()
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NAME", "URL"]);
        table.row(["a".into(), "http://x".into()]);
        table.row(["longer".into(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME     URL\na        http://x\nlonger   -\n"
        );
    }

    #[test]
    fn what_outsiders_sent_moves_no_cursor() {
        let mut table = Table::new(&["TYPE"]);
        table.row(["a\u{1b}[2J\nb".into()]);
        assert_eq!(table.render().lines().count(), 2);
        assert!(!table.render().contains('\u{1b}'));
    }
}
