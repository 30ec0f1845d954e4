//! Faults of an API server, to order.
//!
//! In: which calls · Out: how they fail · Touches: nothing

use std::time::Duration;

use crate::ports::cluster::Error;

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Discovery.
    Discover,
    /// One page of a list.
    List,
    /// One object.
    Get,
    /// A create.
    Create,
    /// A server-side apply.
    Apply,
    /// A patch.
    Patch,
    /// A delete.
    Delete,
}

/// Calls that go wrong. Those of one verb and one kind: the first `after` go well, then `times` fail.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which calls.
    pub verb: Verb,
    /// Full name of the kind, such as `secrets` or `deployments.apps`; `None` for all.
    pub resource: Option<String>,
    /// How they fail.
    pub effect: Effect,
    /// How many calls go well first.
    pub after: u32,
    /// How many fail then.
    pub times: u32,
}

/// How a call fails.
#[derive(Clone, Debug)]
pub enum Effect {
    /// 429, with the seconds of Retry-After.
    TooMany(Option<Duration>),
    /// 500.
    Broken,
    /// The connection is lost.
    Unreachable,
    /// 403.
    Forbidden,
    /// 410 for a continue token; with or without a token to go on with.
    Expired {
        /// Whether the answer offers to go on in the present state.
        offers: bool,
    },
    /// It takes this long and works then.
    Slow(Duration),
    /// A webhook of this name does not answer.
    Webhook(String),
}

impl Fault {
    /// Every call of this verb for this kind fails.
    pub fn always(verb: Verb, resource: &str, effect: Effect) -> Self {
        Self { verb, resource: Some(resource.into()), effect, after: 0, times: u32::MAX }
    }

    /// The first calls of this verb for this kind fail.
    pub fn first(times: u32, verb: Verb, resource: &str, effect: Effect) -> Self {
        Self { times, ..Self::always(verb, resource, effect) }
    }

    /// Counts a call; `true` when it is one that goes wrong.
    pub fn strikes(&mut self, verb: Verb, resource: &str) -> bool {
        if self.verb != verb || self.resource.as_deref().is_some_and(|r| r != resource) || self.times == 0 {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        if self.times != u32::MAX {
            self.times -= 1;
        }
        true
    }
}

impl Effect {
    /// The error, for effects that are one; `resume` is the token for [`Effect::Expired`].
    pub fn error(&self, resource: &str, resume: Option<String>) -> Option<Error> {
        match self {
            Self::TooMany(after) => {
                Some(Error::Busy { reason: "429 too many requests".into(), after: *after })
            }
            Self::Broken => Some(Error::Busy { reason: "500 internal error".into(), after: None }),
            Self::Unreachable => Some(Error::Unreachable("connection reset".into())),
            Self::Forbidden => Some(Error::Forbidden(format!("this user cannot use {resource}"))),
            Self::Expired { offers } => Some(Error::Expired { next: resume.filter(|_| *offers) }),
            Self::Webhook(name) => {
                let reason = format!("Internal error occurred: failed calling webhook \"{name}\": no answer");
                Some(Error::Busy { reason, after: None })
            }
            Self::Slow(_) => None,
        }
    }
}
