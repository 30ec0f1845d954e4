//! Takes secrets out of what commands print, before anybody can see it.
//!
//! In: secret values · Out: `Mask`, masked text · Touches: nothing

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;

/// Values that are shorter stay: `a` would be everywhere.
const SHORTEST: usize = 4;

/// Larger values are looked for as they are and line by line only.
const LARGE: usize = 64 * 1024;

/// Bytes of a masked text that are kept.
const KEPT: usize = 4 * 1024;

/// What stands in place of a secret.
const STARS: &str = "***";

/// Values that must not be seen. Its `Debug` shows none.
#[derive(Clone, Default)]
pub struct Mask(Vec<String>);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({})", self.0.len())
    }
}

/// Texts that look like secrets whatever they are: private keys, what follows a telling name or option, passwords in addresses,
/// bearer tokens, tokens in three parts.
static PATTERNS: LazyLock<[(Regex, &str); 7]> = LazyLock::new(|| {
    let pattern = |text: &str| Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"));
    let names =
        "pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key";
    let quoted = r#""(?:\\.|[^"\\\n])*"?|'[^'\n]*'?"#;
    [
        (pattern(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)"), STARS),
        (pattern(r#"(?i)(\bauthorization["']?\s*[:=]\s*)[^\n]+"#), "${1}***"),
        (pattern(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), "${1}***"),
        (pattern(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"), STARS),
        (pattern(r"(://[^\s/:@]*:)[^\s/@]+@"), "${1}***@"),
        (pattern(r"(?i)((?:^|\s)(?:-u|--user)[= ]\s*[^\s:]+:)\S+"), "${1}***"),
        (
            // After `=` and an option a value ends at a space, after `:` and `is` at the end of the line or a comma.
            pattern(&format!(
                r#"(?i)((?:[A-Za-z0-9_.-]*(?:{names})[A-Za-z0-9_]*["']?\s*=\s*|--[a-z-]*(?:{names})[= ]\s*))(?:{quoted}|[^\s,;]+)|((?:[A-Za-z0-9_.-]*(?:{names})["']?\s*(?::|\bis\b)\s*))(?:{quoted}|[^\n,;}}]+)"#
            )),
            "${1}${2}***",
        ),
    ]
});

impl Mask {
    /// A mask over these values, each in the forms in which programs print it: as it is, line by line, in base64 in one line and
    /// in several, and as part of an address or of JSON.
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut forms: Vec<String> = values.into_iter().flat_map(|value| forms(&value)).collect();
        forms.retain(|form| form.len() >= SHORTEST);
        // The longest first: a value that is part of another one must not break it up.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// The text without secrets and control characters; `cut` says that something before it is missing. The last 4 KiB are
    /// given back.
    pub fn mask(&self, bytes: &[u8], cut: bool) -> String {
        let mut text = plain(&String::from_utf8_lossy(bytes));
        for value in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), STARS);
            }
        }
        text = self.without_ends(text, cut);
        for (pattern, shown) in PATTERNS.iter() {
            if let Cow::Owned(masked) = pattern.replace_all(&text, *shown) {
                text = masked;
            }
        }
        let from = text.len().saturating_sub(KEPT);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let mark = if cut || from > 0 { "…" } else { "" };
        if text.is_empty() {
            return text;
        }
        format!("{mark}{}", text[from..].trim_end())
    }

    /// A text that begins or ends in the middle: a part of a secret may stand there.
    fn without_ends(&self, text: String, cut: bool) -> String {
        let trimmed = text.trim_end();
        if trimmed.len() >= SHORTEST && self.0.iter().any(|value| value.contains(trimmed)) {
            return STARS.to_owned();
        }
        let mut text = text;
        let starts = |value: &String| {
            let ends = value.char_indices().map(|(at, _)| &value[at..]).skip(1);
            ends.filter(|end| end.len() >= SHORTEST && text.starts_with(end)).map(str::len).max()
        };
        if let Some(length) = self.0.iter().filter_map(starts).max().filter(|_| cut) {
            text = format!("{STARS}{}", &text[length..]);
        }
        let trimmed = text.trim_end();
        let ends = |value: &String| {
            let starts = value.char_indices().map(|(at, _)| &value[..at]);
            starts.filter(|start| start.len() >= SHORTEST && trimmed.ends_with(start)).map(str::len).max()
        };
        match self.0.iter().filter_map(ends).max() {
            Some(length) => format!("{}{STARS}", &trimmed[..trimmed.len() - length]),
            None => text,
        }
    }
}

/// The text without what a terminal does not show.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect()
}

fn forms(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(text) = std::str::from_utf8(value) {
        let trimmed = text.trim();
        forms.extend([plain(text), plain(trimmed)]);
        forms.extend(trimmed.lines().map(|line| plain(line.trim())));
    }
    if value.len() > LARGE {
        return forms;
    }
    let whole = STANDARD.encode(value);
    for width in [64, 76] {
        let lines = whole.as_bytes().chunks(width).filter(|line| line.len() >= 8);
        forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    forms.extend([whole, STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)]);
    if let Ok(text) = std::str::from_utf8(value) {
        let trimmed = text.trim();
        forms.push(url::form_urlencoded::byte_serialize(trimmed.as_bytes()).collect());
        let quoted = serde_json::Value::from(trimmed).to_string();
        forms.push(quoted[1..quoted.len() - 1].to_owned());
        forms.push(STANDARD.encode(trimmed));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let values = ["hunter2", "p@ss \"word\"", "abc", "first line of it\nsecond line of it\n"];
        Mask::new(values.map(|value| value.as_bytes().to_vec())).mask(text.as_bytes(), false)
    }

    #[test]
    fn known_values_go_in_every_form() {
        for (text, shown) in [
            ("login hunter2 ok", "login *** ok"),
            ("aHVudGVyMg== and aHVudGVyMg", "*** and ***"),
            ("x p@ss \"word\" y", "x *** y"),
            (r#"{"k":"p@ss \"word\""}"#, r#"{"k":"***"}"#),
            ("x=p%40ss+%22word%22", "x=***"),
            ("second line of it", "***"),
            ("abcdef", "abcdef"),
            ("hunt\u{1}er2", "***"),
            ("login hunte", "login ***"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_goes_too() {
        for (text, shown) in [
            ("postgres://app:letmein@db:5432/shop", "postgres://app:***@db:5432/shop"),
            ("PGPASSWORD=letmein pg_dump", "PGPASSWORD=*** pg_dump"),
            ("password: \"let me in\", user: app", "password: ***, user: app"),
            ("Authorization: Bearer abcdefghijk.l", "Authorization: ***"),
            ("sent Bearer abcdefghijk.l", "sent Bearer ***"),
            ("the password is letmein now", "the password is ***"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "***"),
            (r#"{"password":"a b\"c d","user":"app"}"#, r#"{"password":***,"user":"app"}"#),
            ("password: correct horse battery", "password: ***"),
            ("DB_PASS=letmein x", "DB_PASS=*** x"),
            ("dump --password letmein --user app", "dump --password *** --user app"),
            ("Authorization: Token letmein", "Authorization: ***"),
            ("curl -u bob:letmein http://x", "curl -u bob:*** http://x"),
            ("dumped 3 tables in 2 s", "dumped 3 tables in 2 s"),
            ("the passenger list has 3 entries", "the passenger list has 3 entries"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn the_rest_of_a_secret_at_a_cut_goes_too() {
        let mask = Mask::new([b"correct horse battery".to_vec()]);
        assert_eq!(mask.mask(b"rse battery and more", true), "…*** and more");
        assert_eq!(mask.mask(b"more", true), "…more");
        assert_eq!(mask.mask(b"ry and more", true), "…ry and more", "two letters are everywhere");
        assert_eq!(mask.mask(b"", true), "");
    }

    #[test]
    fn a_value_that_is_longer_than_what_is_kept_is_not_shown_either() {
        let long: String =
            (0..40_000_u32).map(|n| char::from(b'a' + u8::try_from(n * n % 26).unwrap())).collect();
        let mask = Mask::new([long.clone().into_bytes()]);
        assert_eq!(mask.mask(&long.as_bytes()[20_000..], true), "…***");
        assert_eq!(mask.mask(&long.as_bytes()[10_000..20_000], true), "…***");
        let wrapped = STANDARD.encode("a value of 120 letters ".repeat(6));
        let lines: Vec<&str> =
            wrapped.as_bytes().chunks(76).map(|l| std::str::from_utf8(l).unwrap()).collect();
        let mask = Mask::new(["a value of 120 letters ".repeat(6).into_bytes()]);
        let shown = mask.mask(lines.join("\n").as_bytes(), false);
        assert!(shown.lines().all(|line| line == STARS), "{shown}");
    }

    #[test]
    fn a_text_ends_after_4_kib_and_has_no_control_characters() {
        let long = format!("{}\x1b[31mend\r\n", "ä".repeat(10_000));
        let shown = Mask::default().mask(long.as_bytes(), false);
        assert!(shown.len() <= KEPT + 3 && shown.starts_with('…') && shown.ends_with("[31mend"));
    }
}
