//! Tables for the terminal and for Markdown.

/// Rows of text under a header. The first column is left-aligned, the others right.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut table = Self::default();
        table.add(header);
        table
    }

    pub fn add(&mut self, row: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }

    /// Columns parted by two spaces.
    pub fn to_text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let line: Vec<String> = (0..widths.len())
                .map(|column| pad(cell(row, column), widths[column], column))
                .collect();
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    pub fn to_markdown(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                text.push_str(&format!("| {} ", pad(cell(row, column), width, column)));
            }
            text.push_str("|\n");
            if i == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let end = if column == 0 { "-" } else { ":" };
                    text.push_str(&format!("| {}{end} ", "-".repeat(width.saturating_sub(1))));
                }
                text.push_str("|\n");
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        (0..columns)
            .map(|column| {
                let lengths = self
                    .rows
                    .iter()
                    .map(|row| cell(row, column).chars().count());
                lengths.max().unwrap_or(0)
            })
            .collect()
    }
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

fn pad(text: &str, width: usize, column: usize) -> String {
    if column == 0 {
        format!("{text:<width$}")
    } else {
        format!("{text:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["method", "loss"]);
        table.add(["dni", "0.5 ± 0.1"]);
        table
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(table().to_text(), "method       loss\ndni     0.5 ± 0.1\n");
    }

    #[test]
    fn markdown_has_a_rule_below_the_header() {
        assert_eq!(
            table().to_markdown(),
            "| method |      loss |\n| ------ | --------: |\n| dni    | 0.5 ± 0.1 |\n"
        );
    }
}
