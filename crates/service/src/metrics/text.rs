//! The text format of Prometheus, version 0.0.4: help, type, samples; labels escaped. It is a page of rules, so no library is needed.

use super::families::{Family, Sample};

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A family with its samples; one without samples is left out.
    pub fn family(&mut self, family: &Family, samples: Vec<Sample>) {
        if samples.is_empty() {
            return;
        }
        self.0.push_str(&format!("# HELP {} {}\n", family.name, escaped_help(family.help)));
        self.0.push_str(&format!("# TYPE {} gauge\n", family.name));
        for sample in samples {
            self.sample(family, &sample);
        }
    }

    fn sample(&mut self, family: &Family, sample: &Sample) {
        let pairs: Vec<String> = family
            .labels
            .iter()
            .zip(&sample.labels)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels =
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        self.0.push_str(&format!("{}{labels} {}\n", family.name, number(sample.value)));
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Backslash, quote and line feed have a meaning in a label's value.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn escaped_help(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n")
}

/// Whole numbers without a fraction; Rust's own form of the rest is one that Go reads.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}
