//! How long: the durations of policy documents, such as `90s`, `1h30m`, `30d` or `2w`.
//!
//! In: text · Out: `Duration` · Touches: nothing

use std::{fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The texts that are durations, as a regular expression. Longer numbers would not fit into the type.
pub const PATTERN: &str = "^([0-9]{1,9}[wdhms])+$";

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write whole numbers with w, d, h, m or s, such as 1h30m")]
pub struct BadDuration(String);

impl Duration {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The length in seconds.
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// The same length for timers.
    pub const fn as_std(self) -> time::Duration {
        time::Duration::from_secs(self.0)
    }
}

impl FromStr for Duration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let bad = || BadDuration(text.to_owned());
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            let unit = rest[digits..].chars().next().ok_or_else(bad)?;
            let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
            total = number.checked_mul(*size).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
            rest = &rest[digits + 1..];
        }
        if text.is_empty() { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (name, size) in UNITS.into_iter().filter(|(name, _)| *name != 'w') {
            if left / size > 0 {
                write!(f, "{}{name}", left / size)?;
                left %= size;
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": PATTERN, "maxLength": 32})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_printed() {
        for (text, seconds, printed) in
            [("1h30m", 5_400, "1h30m"), ("2w", 1_209_600, "14d"), ("720h", 2_592_000, "30d"), ("0s", 0, "0s")]
        {
            let duration: Duration = text.parse().unwrap();
            assert_eq!((duration.as_seconds(), duration.to_string().as_str()), (seconds, printed), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "5", "h", "1.5h", "-1s", "1y", "99999999999999999999s", "18446744073709551615w", "1é"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
