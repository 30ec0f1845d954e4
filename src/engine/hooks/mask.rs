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

/// Texts that look like secrets whatever they are: what follows a telling name, passwords in addresses, bearer tokens, tokens
/// in three parts, private keys.
static PATTERNS: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    let pattern = |text: &str| Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"));
    [
        (pattern(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)"), STARS),
        (pattern(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), "${1}***"),
        (pattern(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"), STARS),
        (pattern(r"(://[^\s/:@]*:)[^\s/@]+@"), "${1}***@"),
        (
            pattern(
                r#"(?i)([A-Za-z0-9_.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)["']?\s*(?:=|:|\bis\b)\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;]+)"#,
            ),
            "${1}***",
        ),
    ]
});

impl Mask {
    /// A mask over these values, each in the forms in which programs print it: as it is, line by line, in base64, and as part
    /// of an address.
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
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for value in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), STARS);
            }
        }
        if cut {
            text = self.without_rest(text);
        }
        for (pattern, shown) in PATTERNS.iter() {
            if let Cow::Owned(masked) = pattern.replace_all(&text, *shown) {
                text = masked;
            }
        }
        text.retain(|c| !c.is_control() || c == '\n' || c == '\t');
        let from = text.len().saturating_sub(KEPT);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let mark = if cut || from > 0 { "…" } else { "" };
        format!("{mark}{}", text[from..].trim_end())
    }

    /// A text that begins in the middle: the end of a secret may stand at its beginning.
    fn without_rest(&self, text: String) -> String {
        let rest = |value: &String| {
            let ends = value.char_indices().map(|(at, _)| &value[at..]).skip(1);
            ends.filter(|end| text.starts_with(end)).map(str::len).max()
        };
        match self.0.iter().filter_map(rest).max() {
            Some(length) => format!("{STARS}{}", &text[length..]),
            None => text,
        }
    }
}

fn forms(value: &[u8]) -> Vec<String> {
    let mut forms =
        vec![STANDARD.encode(value), STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
    if let Ok(text) = std::str::from_utf8(value) {
        let trimmed = text.trim();
        forms.extend([text.to_owned(), trimmed.to_owned()]);
        forms.extend(trimmed.lines().map(str::trim).filter(|line| line.len() >= 8).map(str::to_owned));
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
            ("Authorization: Bearer abcdefghijk.l", "Authorization: Bearer ***"),
            ("the password is letmein now", "the password is *** now"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "***"),
            ("dumped 3 tables in 2 s", "dumped 3 tables in 2 s"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn the_rest_of_a_secret_at_a_cut_goes_too() {
        let mask = Mask::new([b"correct horse battery".to_vec()]);
        assert_eq!(mask.mask(b"rse battery and more", true), "…*** and more");
        assert_eq!(mask.mask(b"more", true), "…more");
    }

    #[test]
    fn a_text_ends_after_4_kib_and_has_no_control_characters() {
        let long = format!("{}\x1b[31mend\r\n", "ä".repeat(10_000));
        let shown = Mask::default().mask(long.as_bytes(), false);
        assert!(shown.len() <= KEPT + 3 && shown.starts_with('…') && shown.ends_with("[31mend"));
    }
}
