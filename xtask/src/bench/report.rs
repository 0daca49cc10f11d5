//! The tables: figures, then nodekeep's ratios to every other tool.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::measure::Cost;
use super::rounds::{Figures, Results, Step};
use crate::error::Error;
use crate::place;

/// Between these lines a page's tables of this name are replaced.
fn markers(name: &str) -> [String; 2] {
    ["begin", "end"].map(|end| format!("<!-- {name}:{end} -->\n"))
}

/// Both tables as Markdown.
pub fn tables(results: &Results, steps: &[Step], runs: usize) -> String {
    let mut text = format!(
        "Medians (runs: {runs}): wall s / CPU s (user and system, all processes) / peak MB of the largest process.\n\n"
    );
    text.push_str(&header(steps, "repository MB"));
    for (name, figures) in results {
        let cells = steps.iter().map(|step| cell(figures, *step));
        let size = median(figures.repository_mb.clone()).map(|size| format!("{size:.0}"));
        text.push_str(&row(name, cells.chain([size])));
    }
    text.push_str(&ratios(results, steps));
    text.push_str(&failures(results));
    text
}

/// What failed: a table without it would flatter whoever failed.
fn failures(results: &Results) -> String {
    let each = results.iter().flat_map(|(_, figures)| &figures.failures);
    each.map(|text| format!("\nFailed, and not in the tables: {text}\n")).collect()
}

fn ratios(results: &Results, steps: &[Step]) -> String {
    let Some(((_, ours), others)) = results.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return String::new();
    };
    let mut text = String::from(
        "\nnodekeep's wall / CPU time divided by the other's; below 1 nodekeep needs less.\n\n",
    );
    text.push_str(&header(steps, "repository"));
    for (name, figures) in others {
        let cells = steps.iter().map(|step| ratio(ours, figures, *step));
        let sizes = median(ours.repository_mb.clone()).zip(median(figures.repository_mb.clone()));
        let size = sizes.map(|(our, their)| format!("{:.2}", our / their));
        text.push_str(&row(name, cells.chain([size])));
    }
    text
}

fn header(steps: &[Step], last: &str) -> String {
    let titles = steps.iter().map(|step| Some(step.title().to_owned()));
    let rules = (0..=steps.len()).map(|_| Some("---".to_owned()));
    row("", titles.chain([Some(last.to_owned())])) + &row("---", rules)
}

fn row(name: &str, cells: impl Iterator<Item = Option<String>>) -> String {
    let mut text = format!("| {name} |");
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(text, " {} |", cell.as_deref().unwrap_or("–"));
    }
    text.push('\n');
    text
}

fn cell(figures: &Figures, step: Step) -> Option<String> {
    let cost = middle(figures, step)?;
    Some(format!("{} / {} / {:.0}", seconds(cost.wall_s), seconds(cost.cpu_s), cost.peak_mb))
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2}") } else { format!("{seconds:.1}") }
}

fn ratio(ours: &Figures, theirs: &Figures, step: Step) -> Option<String> {
    let (our, their) = middle(ours, step).zip(middle(theirs, step))?;
    Some(format!("{:.2} / {:.2}", our.wall_s / their.wall_s, our.cpu_s / their.cpu_s))
}

/// The median of each figure of a step.
fn middle(figures: &Figures, step: Step) -> Option<Cost> {
    let costs = figures.costs.get(&step)?;
    let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
    Some(Cost {
        wall_s: of(|cost| cost.wall_s)?,
        cpu_s: of(|cost| cost.cpu_s)?,
        peak_mb: of(|cost| cost.peak_mb)?,
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[values.len() / 2 - 1], upper))
}

/// Writes the text to a file, between its markers of this name where it has them.
pub fn write_between(out: &Path, name: &str, text: &str) -> Result<(), Error> {
    let page = if out.exists() { place::read(out)? } else { String::new() };
    let page = insert(&page, name, text).unwrap_or_else(|| text.to_owned());
    fs::write(out, page).map_err(Error::file(out))
}

fn insert(page: &str, name: &str, text: &str) -> Option<String> {
    let [begin, end] = markers(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(walls: &[f64]) -> Figures {
        let costs = walls.iter().map(|&wall_s| Cost { wall_s, cpu_s: 2.0 * wall_s, peak_mb: 50.0 });
        let mut figures = Figures::default();
        figures.costs.insert(Step::First, costs.collect());
        figures.repository_mb = vec![100.0];
        figures
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn figures_and_ratios_stand_in_the_tables() {
        let results = vec![("nodekeep", figures(&[1.0, 9.0, 2.0])), ("tar", figures(&[4.0]))];
        let text = tables(&results, &[Step::First, Step::Check], 3);
        assert!(text.contains("| nodekeep | 2.00 / 4.00 / 50 | – | 100 |"), "{text}");
        assert!(text.contains("| tar | 0.50 / 0.50 | – | 1.00 |"), "{text}");
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = |text: &str| format!("a\n<!-- scale:begin -->\n{text}<!-- scale:end -->\nb\n");
        assert_eq!(insert(&page("old\n"), "scale", "new\n").unwrap(), page("new\n"));
        assert_eq!(insert(&page("old\n"), "bench", "new\n"), None);
    }
}
