//! What was measured, as a table for people and as JSON for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Times;
use crate::process;

/// Sections of figures.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
}

struct Section {
    title: String,
    load_average: f64,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    figure: Figure,
}

enum Figure {
    One {
        value: f64,
        unit: &'static str,
    },
    /// Percentiles in milliseconds.
    Times {
        p50: f64,
        p99: f64,
    },
    Words(&'static str),
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    /// Begins a section, and says so on standard error: a whole run takes minutes.
    pub(crate) fn section(&mut self, title: impl Into<String>) {
        let title = title.into();
        eprintln!("{title} …");
        self.sections.push(Section { title, load_average: process::load_average(), rows: Vec::new() });
    }

    /// One figure of the section.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &'static str) {
        self.row(name, Figure::One { value, unit });
    }

    /// Percentiles of the section.
    pub(crate) fn times(&mut self, name: &str, times: &mut Times) {
        let figure = Figure::Times { p50: times.percentile(500), p99: times.percentile(990) };
        self.row(name, figure);
    }

    /// Why there is no figure.
    pub(crate) fn note(&mut self, name: &str, words: &'static str) {
        self.row(name, Figure::Words(words));
    }

    fn row(&mut self, name: &str, figure: Figure) {
        if self.sections.is_empty() {
            self.section("Notes");
        }
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(Row { name: name.to_owned(), figure });
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({"cores": cores, "sections": self.sections.iter().map(Section::to_json).collect::<Vec<_>>()})
    }
}

impl Section {
    fn to_json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::to_json).collect();
        json!({"title": self.title, "load_average": self.load_average, "rows": rows})
    }
}

impl Row {
    fn to_json(&self) -> Value {
        match self.figure {
            Figure::One { value, unit } => json!({"name": self.name, "value": value, "unit": unit}),
            Figure::Times { p50, p99 } => json!({"name": self.name, "p50_ms": p50, "p99_ms": p99}),
            Figure::Words(words) => json!({"name": self.name, "note": words}),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "\n{} (load average {:.1})", section.title, section.load_average)?;
            for Row { name, figure } in &section.rows {
                match figure {
                    Figure::One { value, unit } => writeln!(f, "  {name:<62} {value:>12.2} {unit}")?,
                    Figure::Times { p50, p99 } => writeln!(f, "  {name:<62} {p50:>12.3} ms p50 {p99:>10.3} ms p99")?,
                    Figure::Words(words) => writeln!(f, "  {name:<62} {words}")?,
                }
            }
        }
        Ok(())
    }
}
