//! When a policy runs: cron text and time zone, parsed once.
//!
//! In: text · Out: `Schedule` · Touches: nothing

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::closest;

/// What happens when a run is due while another run of the policy is unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The due run is skipped and counted as missed.
    #[default]
    Forbid,
    /// The unfinished run is ended and the due one starts.
    Replace,
}

/// The schedules that have a name.
const NAMES: [&str; 7] = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];

/// From here a schedule must come due at least once: before a leap year, so that 29 February counts.
const PROBE: Timestamp = Timestamp::constant(1_672_531_200, 0);

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Not five fields, and none of the names.
    #[error("{0:?} is not a schedule: {1}")]
    Cron(String, String),
    /// Cron text that no date fulfils, such as 31 February.
    #[error("{0:?} never comes due: there is no such date")]
    Never(String),
    /// No IANA time zone.
    #[error("{0:?} is not an IANA time zone")]
    Zone(String),
}

impl BadSchedule {
    /// Whether the time zone is wrong, not the schedule.
    pub fn is_zone(&self) -> bool {
        matches!(self, Self::Zone(_))
    }

    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Cron(text, _) if text.starts_with('@') => {
                closest(text, NAMES).map_or_else(|| "one of ".to_owned() + &NAMES.join(", "), did_you_mean)
            }
            Self::Cron(..) => "five fields: minute hour day month weekday, such as `30 2 * * *`".into(),
            Self::Never(_) => "change day or month".into(),
            Self::Zone(name) => {
                let known: Vec<_> = zones().available().map(|zone| zone.to_string()).collect();
                let near = closest(name, known.iter().map(String::as_str));
                near.map_or_else(|| "write it as `Europe/Berlin`".into(), did_you_mean)
            }
        }
    }
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// When a policy runs: cron in a time zone.
///
/// A time that the clock skips in spring comes due once, right after the gap. A time that comes twice in autumn comes
/// due once when the hour is fixed, and both times when it is `*`.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads five fields (`30 2 * * *`) or a name (`@daily`), and an IANA time zone; absent: `UTC`.
    ///
    /// # Errors
    /// [`BadSchedule`], also for dates that never come.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, BadSchedule> {
        let zone = zone_named(zone.unwrap_or("UTC"))?;
        let bad = |reason: &str| BadSchedule::Cron(text.to_owned(), reason.to_owned());
        if text.contains('@') && !NAMES.contains(&text) {
            return Err(bad("there is no such name"));
        }
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.contains('@') {
            return Err(bad(&format!("it has {fields} fields, not 5")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| bad(&reason(&error)))?;
        let schedule = Self { cron, zone };
        schedule.next(PROBE).map(|_| schedule).ok_or_else(|| BadSchedule::Never(text.to_owned()))
    }

    /// The first time after this one at which the schedule comes due; `None` only at the end of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&after, false).ok().map(|zoned| zoned.timestamp())
    }
}

/// What the parser says, as a clause.
fn reason(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    text.trim_end_matches('.').to_lowercase()
}

/// The IANA time zone of this name.
///
/// # Errors
/// [`BadSchedule::Zone`] for anything else, offsets such as `+01:00` included.
pub fn zone_named(name: &str) -> Result<TimeZone, BadSchedule> {
    zones().get(name).map_err(|_| BadSchedule::Zone(name.to_owned()))
}

/// The zones that are part of the program: the same on every machine, and no file is read.
fn zones() -> TimeZoneDatabase {
    TimeZoneDatabase::bundled()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next times in a zone, as local text.
    fn times(text: &str, zone: &str, after: &str) -> Vec<String> {
        let schedule = Schedule::parse(text, Some(zone)).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..3 {
            at = schedule.next(at).unwrap();
            found.push(at.to_zoned(schedule.zone.clone()).strftime("%d %H:%M%:z").to_string());
        }
        found
    }

    #[test]
    fn a_schedule_is_cut_in_its_own_time_zone() {
        assert_eq!(
            times("30 2 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z"),
            ["02 02:30+05:30", "03 02:30+05:30", "04 02:30+05:30"]
        );
        assert_eq!(times("@daily", "UTC", "2026-01-01T00:00:00Z")[0], "02 00:00+00:00");
    }

    #[test]
    fn a_skipped_time_comes_due_right_after_the_gap() {
        let spring = times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert_eq!(spring, ["29 03:00+02:00", "30 02:30+02:00", "31 02:30+02:00"]);
    }

    #[test]
    fn a_doubled_time_comes_due_once_when_its_hour_is_fixed() {
        let autumn = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert_eq!(autumn, ["25 02:30+02:00", "26 02:30+01:00", "27 02:30+01:00"]);
        let every = times("30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z");
        assert_eq!(every, ["25 02:30+02:00", "25 02:30+01:00", "25 03:30+01:00"]);
    }

    #[test]
    fn the_leap_day_is_a_date_and_the_31st_of_february_is_none() {
        assert!(Schedule::parse("0 0 29 2 *", None).is_ok());
        let never = Schedule::parse("0 0 31 2 *", None).unwrap_err();
        assert_eq!(never, BadSchedule::Never("0 0 31 2 *".into()));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_what_to_write() {
        for text in [
            "",
            "* * * *",
            "0 0 0 * * *",
            "60 * * * *",
            "@dayly",
            "@every 5m",
            "@reboot",
            "TZ=UTC 0 0 * * *",
            "H 2 * * *",
            "a b c d e",
        ] {
            let error = Schedule::parse(text, None).unwrap_err();
            assert!(!error.is_zone() && !error.help().is_empty(), "{text}");
        }
        let zone = Schedule::parse("@daily", Some("Europe/Berln")).unwrap_err();
        assert_eq!((zone.is_zone(), zone.help().as_str()), (true, "did you mean `Europe/Berlin`?"));
        assert!(Schedule::parse("@daily", Some("+01:00")).is_err());
        assert_eq!(Schedule::parse("@dayly", None).unwrap_err().help(), "did you mean `@daily`?");
    }
}
