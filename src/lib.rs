//! Backstay keeps a Kubernetes cluster restorable from Git.
//!
//! This file is the floor plan. A room may use only rooms listed above it; `floors.rs` is the test.

/// FLOOR 1: the nouns. No I/O, no async, no clock, no randomness.
pub mod domain {
    pub mod catalog;
    pub mod change;
    pub mod document;
    pub mod duration;
    pub mod hook;
    pub mod identity;
    pub mod location;
    pub mod object;
    pub mod policy;
    pub mod report;
    pub mod restore_request;
    pub mod retention;
    pub mod schedule;
    pub mod selection;
    pub mod snapshot;
}

/// FLOOR 2: the doors to the world. Traits only.
pub mod ports {
    pub mod bucket;
    pub mod clock;
    pub mod cluster;
    pub mod git;
}

#[cfg(test)]
mod floors;
