//! A progress bar on the terminal while a restore is at work.
//!
//! In: what a restore tells · Out: a bar on standard error · Touches: the terminal

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::report::{ObjectAction, ObjectReport};
use crate::engine::reach::Progress;

/// One bar: the wave, its count, the rate, and what is being waited for.
pub struct Bar(ProgressBar);

impl Default for Bar {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{prefix:>24} {wide_bar} {pos}/{len} {per_sec} {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn wave(&self, name: &str, objects: usize) {
        self.0.reset();
        self.0.set_prefix(name.to_owned());
        self.0.set_length(objects as u64);
        self.0.set_message("");
    }

    fn object(&self, report: &ObjectReport) {
        self.0.inc(1);
        if report.action == ObjectAction::Failed {
            let reason = report.reason.as_deref().unwrap_or_default();
            self.0.suspend(|| anstream::eprintln!("failed: {}: {reason}", report.key));
        }
    }

    fn waiting(&self, what: &str) {
        self.0.set_message(format!("waiting for {what}"));
    }
}
