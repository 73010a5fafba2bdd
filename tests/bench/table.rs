//! What was measured, beside what it should be.

use std::fmt::Display;

/// What a figure should be, in the figure's own unit.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// For the reader.
    None,
}

/// Prints figures as they come, and counts.
pub(crate) struct Table {
    judged: usize,
    met: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { judged: 0, met: 0 }
    }

    /// Lines of this figure follow.
    pub(crate) fn begin(&mut self, figure: &str) {
        println!("{figure:<48} {:>14} {:>14}", "measured", "target");
    }

    /// One measured value. It is judged as it was measured, and printed with that many places.
    pub(crate) fn line(&mut self, what: &str, measured: f64, places: usize, unit: &str, target: Target) {
        let met = match target {
            Target::AtMost(most) => Some(measured <= most),
            Target::AtLeast(least) => Some(measured >= least),
            Target::None => None,
        };
        let should = match target {
            Target::AtMost(most) => format!("<= {most}"),
            Target::AtLeast(least) => format!(">= {least}"),
            Target::None => String::new(),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        self.judged += usize::from(met.is_some());
        self.met += usize::from(met == Some(true));
        println!("  {what:<46} {measured:>14.places$} {should:>14}  {unit:<10} {verdict}");
    }

    /// Something to know about the lines above.
    pub(crate) fn note(&self, text: impl Display) {
        println!("  ({text})");
    }

    pub(crate) fn met(&self) -> usize {
        self.met
    }

    pub(crate) fn judged(&self) -> usize {
        self.judged
    }
}
