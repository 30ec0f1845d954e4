//! The doors of hooks: a cluster that is written to, its containers, and services.
//!
//! In: ports · Out: `Doors` · Touches: nothing

use super::calm::Calm;
use crate::domain::rules::Catalog;
use crate::engine::reach::Reach;
use crate::ports::exec::Exec;
use crate::ports::http::Http;

/// Everything hooks act through.
#[derive(Clone, Copy)]
pub struct Doors<'a> {
    /// The cluster.
    pub reach: Reach<'a>,
    /// Its containers.
    pub exec: &'a dyn Exec,
    /// Services.
    pub http: &'a dyn Http,
    /// Which containers are sidecars.
    pub catalog: &'a Catalog,
    /// Whether they should come to an end.
    pub calm: &'a Calm,
    /// Backstay's own namespace.
    pub home: &'a str,
}
