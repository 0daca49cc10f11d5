//! The tables: a row for each size, and what each further file, snapshot or chunk costs.

use std::fmt::Write;

use super::super::measure::Cost;

/// One size.
#[derive(Debug)]
pub struct Row {
    /// How many.
    pub count: u64,
    /// What each step cost, in the order of the columns.
    pub steps: Vec<(&'static str, Cost)>,
    /// Size of the repository before anything was pruned.
    pub repository_mb: f64,
}

/// Everything measured of one kind of growth.
#[derive(Debug)]
pub struct Table {
    title: String,
    many: &'static str,
    one: &'static str,
    /// By size, the smallest first. All have the same steps.
    pub rows: Vec<Row>,
}

impl Table {
    /// An empty table; `many` and `one` are what is counted.
    pub fn new(title: &str, many: &'static str, one: &'static str) -> Self {
        Self { title: title.to_owned(), many, one, rows: Vec::new() }
    }

    /// The table as Markdown, with a last line of what each further one costs.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "**{}.** Wall s / CPU s (user and system) / peak MB; in the last line what each further {} costs, from the two largest sizes: microseconds of CPU / bytes of peak memory.\n\n",
            self.title, self.one
        );
        let Some(last) = self.rows.last() else {
            return text;
        };
        let titles = last.steps.iter().map(|(title, _)| (*title).to_owned());
        line(&mut text, self.many, titles, "repository MB");
        line(&mut text, "---", last.steps.iter().map(|_| "---".to_owned()), "---");
        for row in &self.rows {
            let cells = row.steps.iter().map(|(_, cost)| cell(cost));
            let size = format!("{:.0}", row.repository_mb);
            line(&mut text, &grouped(row.count), cells, &size);
        }
        if let Some((cells, size)) = self.growth() {
            line(&mut text, &format!("each further {}", self.one), cells.into_iter(), &size);
        }
        text
    }

    /// From the largest size but one to the largest, divided by what came to it: buffers and caches of a bounded size fill up before.
    fn growth(&self) -> Option<(Vec<String>, String)> {
        let [.., first, last] = &self.rows[..] else {
            return None;
        };
        let more = (last.count - first.count) as f64;
        let cells = first.steps.iter().zip(&last.steps).map(|((_, from), (_, to))| {
            let cpu_us = (to.cpu_s - from.cpu_s) * 1e6 / more;
            let peak_bytes = (to.peak_mb - from.peak_mb) * 1e6 / more;
            format!("{cpu_us:.1} µs / {peak_bytes:.0} B")
        });
        let size = format!("{:.0} B", (last.repository_mb - first.repository_mb) * 1e6 / more);
        Some((cells.collect(), size))
    }
}

fn line(text: &mut String, name: &str, cells: impl Iterator<Item = String>, last: &str) {
    let _ = write!(text, "| {name} |");
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(text, " {cell} |");
    }
    let _ = writeln!(text, " {last} |");
}

fn cell(cost: &Cost) -> String {
    let seconds = |s: f64| if s < 10.0 { format!("{s:.2}") } else { format!("{s:.1}") };
    format!("{} / {} / {:.0}", seconds(cost.wall_s), seconds(cost.cpu_s), cost.peak_mb)
}

/// A number with commas.
fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(count: u64, cpu_s: f64, peak_mb: f64) -> Row {
        let steps = vec![("check", Cost { wall_s: cpu_s, cpu_s, peak_mb })];
        Row { count, steps, repository_mb: count as f64 / 1e6 }
    }

    #[test]
    fn growth_is_what_the_larger_needs_more_for_each() {
        let mut table = Table::new("Chunks", "chunks", "chunk");
        table.rows = vec![row(10, 0.5, 9.0), row(1_000, 1.0, 10.0), row(1_001_000, 3.0, 74.0)];
        let text = table.markdown();
        assert!(text.contains("| chunks | check | repository MB |"), "{text}");
        assert!(text.contains("| 1,001,000 | 3.00 / 3.00 / 74 | 1 |"), "{text}");
        assert!(text.contains("| each further chunk | 2.0 µs / 64 B | 1 B |"), "{text}");
    }

    #[test]
    fn one_size_says_nothing_about_growth() {
        let mut table = Table::new("Chunks", "chunks", "chunk");
        table.rows = vec![row(1_000, 1.0, 10.0)];
        assert!(!table.markdown().contains("further chunk |"));
    }
}
