//! Numbers of what no policy covers, and of notifications.
//!
//! In: `Coverage`, results · Out: `Figures` · Touches: nothing

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::coverage::{Coverage, What};

/// A receiver and whether it was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverOutcome {
    receiver: String,
    outcome: &'static str,
}

/// These numbers.
#[derive(Default)]
pub struct Figures {
    namespaces: Gauge,
    volumes: Gauge,
    kinds: Gauge,
    notifications: Family<ReceiverOutcome, Counter>,
}

impl Figures {
    /// Gives them their names.
    pub fn register(&self, all: &mut Registry) {
        all.register("uncovered_namespaces", "Namespaces that no policy covers", self.namespaces.clone());
        all.register("uncovered_volumes", "Claims that no policy covers", self.volumes.clone());
        all.register("uncovered_kinds", "Kinds that no policy covers", self.kinds.clone());
        all.register("notifications", "News sent to receivers", self.notifications.clone());
    }

    /// What no policy covers; zero where nobody has looked yet.
    pub fn uncovered(&self, found: Option<&Coverage>) {
        let count = |what| found.map_or(0, |found| i64::try_from(found.count(what)).unwrap_or(i64::MAX));
        self.namespaces.set(count(What::Namespace));
        self.volumes.set(count(What::Claim));
        self.kinds.set(count(What::Kind));
    }

    /// A receiver was told, or not.
    pub fn notified(&self, receiver: &str, result: &Result<(), String>) {
        let outcome = if result.is_ok() { "Sent" } else { "Failed" };
        let of = ReceiverOutcome { receiver: receiver.to_owned(), outcome };
        self.notifications.get_or_create(&of).inc();
    }
}
