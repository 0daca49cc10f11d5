//! Metrics for Prometheus, made from the fleet's overview: every family once, with its help. [`rules`] and [`dashboard`] stand on the
//! same names, and a test holds the page of the documentation against them.

pub mod dashboard;
mod families;
pub mod push;
pub mod rules;
mod text;

use crate::fleet::overview::Overview;

pub use families::{FAMILIES, Family};

/// The content type of [`exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text that Prometheus scrapes. What is not known has no sample.
pub fn exposition(overview: &Overview) -> String {
    let mut to = text::Text::default();
    for family in FAMILIES {
        to.family(family, (family.samples)(overview));
    }
    to.finish()
}

/// The table of all families, for the documentation.
pub fn table() -> String {
    let mut text = "| Metric | Labels | What it says |\n|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            family.name,
            labels.join(", "),
            family.help
        ));
    }
    text
}

#[cfg(test)]
mod tests;
