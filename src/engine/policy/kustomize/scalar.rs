//! Writes one plain value the way kustomize's YAML writer does: which quotes, and where long lines are broken.
//!
//! In: a text or number · Out: YAML text · Touches: nothing
//!
//! Source: go-yaml v2.4, `resolve.go` and `emitterc.go`.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::object::Json;

/// Where a line is broken: at the first space behind this column.
const WIDTH: usize = 80;

/// How a text may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Text that is written, with its current column.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    column: usize,
}

impl Page {
    /// All that was written.
    pub fn finish(mut self) -> String {
        self.line();
        self.text
    }

    /// Writes a text as it is.
    pub fn push(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn put(&mut self, c: char) {
        self.text.push(c);
        self.column = if is_break(c) { 0 } else { self.column + 1 };
    }

    /// Ends the line, if something is on it.
    pub fn line(&mut self) {
        if self.column > 0 {
            self.put('\n');
        }
    }

    /// Begins a line with spaces, unless it has begun already.
    pub fn indent(&mut self, indent: usize) {
        self.line();
        self.push(&" ".repeat(indent));
    }

    /// Writes a plain value; texts of many lines go on at the indent.
    pub fn value(&mut self, value: &Json, indent: usize) {
        match value {
            Json::String(text) => match style(text) {
                Style::Plain => self.folded(text, indent),
                Style::Single => self.single(text, Some(indent)),
                Style::Double => self.double(text, Some(indent)),
                Style::Literal => self.literal(text, indent),
            },
            Json::Number(number) => self.push(&number_text(number)),
            other => self.push(&other.to_string()),
        }
    }

    /// Writes the name of a field; it stays on its line.
    pub fn key(&mut self, text: &str) {
        match style(text) {
            _ if Scan::of(text).breaks => self.double(text, None),
            Style::Plain => self.push(text),
            Style::Single => self.single(text, None),
            Style::Double | Style::Literal => self.double(text, None),
        }
    }

    fn folded(&mut self, text: &str, indent: usize) {
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (i, c) in chars.iter().enumerate() {
            if *c == ' ' && !spaces && self.column > WIDTH && chars.get(i + 1) != Some(&' ') {
                self.indent(indent);
            } else {
                self.put(*c);
            }
            spaces = *c == ' ';
        }
    }

    fn single(&mut self, text: &str, indent: Option<usize>) {
        let chars: Vec<char> = text.chars().collect();
        let (mut spaces, mut breaks) = (false, false);
        self.put('\'');
        for (i, c) in chars.iter().enumerate() {
            let inner = i > 0 && i + 1 < chars.len() && chars.get(i + 1) != Some(&' ');
            match indent {
                Some(indent) if *c == ' ' && !spaces && self.column > WIDTH && inner => self.indent(indent),
                _ if is_break(*c) => self.put(*c),
                _ => {
                    if let (true, Some(indent), false) = (breaks, indent, *c == ' ') {
                        self.push(&" ".repeat(indent));
                    }
                    if *c == '\'' {
                        self.put('\'');
                    }
                    self.put(*c);
                }
            }
            (spaces, breaks) = (*c == ' ', is_break(*c));
        }
        self.put('\'');
    }

    fn double(&mut self, text: &str, indent: Option<usize>) {
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        self.put('"');
        for (i, c) in chars.iter().enumerate() {
            if !is_printable(*c) || is_break(*c) || *c == '"' || *c == '\\' {
                self.push(&escaped(*c));
            } else if let (' ', false, Some(indent)) = (*c, spaces, indent)
                && self.column > WIDTH
                && i > 0
                && i + 1 < chars.len()
            {
                self.indent(indent);
                if chars[i + 1] == ' ' {
                    self.put('\\');
                }
            } else {
                self.put(*c);
            }
            spaces = *c == ' ';
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        let mut last = text.chars().rev();
        let (end, before) = (last.next().is_some_and(is_break), last.next());
        self.put('|');
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.put('2');
        }
        match (end, before) {
            (false, _) => self.put('-'),
            (true, None) => self.put('+'),
            (true, Some(c)) if is_break(c) => self.put('+'),
            (true, Some(_)) => {}
        }
        self.put('\n');
        let mut start = true;
        for c in text.chars() {
            if start && !is_break(c) {
                self.push(&" ".repeat(indent));
            }
            self.put(c);
            start = is_break(c);
        }
    }
}

/// What stands in a text that forbids a way of writing it.
#[expect(clippy::struct_excessive_bools, reason = "each forbids other ways of writing")]
#[derive(Debug, Default)]
struct Scan {
    marks: bool,
    breaks: bool,
    special: bool,
    outer: bool,
    trailing_space: bool,
    break_space: bool,
    space_break: bool,
}

impl Scan {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut scan = Self { marks: text.starts_with("---") || text.starts_with("..."), ..Self::default() };
        let blank = |c: Option<&char>| c.is_none_or(|c| *c == ' ' || *c == '\t');
        let mut before = None;
        for (i, c) in chars.iter().enumerate() {
            let (first, last) = (i == 0, i + 1 == chars.len());
            let followed = blank(chars.get(i + 1));
            let after_space = before.is_none_or(|b: char| b == ' ' || b == '\t' || is_break(b));
            scan.marks |= match c {
                '#' => after_space,
                ':' => followed,
                '?' | '-' if first => followed,
                _ => first && ",[]{}&*!|>'\"%@`".contains(*c),
            };
            scan.special |= !is_printable(*c);
            if *c == ' ' {
                scan.outer |= first || last;
                scan.trailing_space |= last;
                scan.break_space |= before.is_some_and(is_break);
            } else if is_break(*c) {
                scan.breaks = true;
                scan.outer |= first || last;
                scan.space_break |= before == Some(' ');
            }
            before = Some(*c);
        }
        scan
    }
}

fn style(text: &str) -> Style {
    let scan = Scan::of(text);
    let unquotable = scan.break_space || scan.space_break || scan.special;
    if text.contains('\n') {
        let block = !(scan.trailing_space || scan.space_break || scan.special);
        return if block { Style::Literal } else { Style::Double };
    }
    match () {
        () if !is_text(text) => Style::Double,
        () if !(scan.outer || scan.breaks || scan.marks || unquotable) => Style::Plain,
        () if !unquotable => Style::Single,
        () => Style::Double,
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escaped(c: char) -> String {
    match c {
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\u{85}' => "\\N".into(),
        '\u{a0}' => "\\_".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        other => match u32::from(other) {
            code @ 0..=0xff => format!("\\x{code:02X}"),
            code @ 0x100..=0xffff => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        },
    }
}

/// Words that YAML 1.1 takes for truth values, nothing, or numbers.
const WORDS: [&str; 39] = [
    "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO",
    "false", "False", "FALSE", "off", "Off", "OFF", "", "~", "null", "Null", "NULL", ".nan", ".NaN", ".NAN",
    ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
];

static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
    let integer = "[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+)";
    let float = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?";
    Regex::new(&format!("^({integer}|{float})$")).expect("the pattern is a regular expression")
});

static SEXAGESIMAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")
        .expect("the pattern is a regular expression")
});

static DATES: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})([.,][0-9]+)?";
    let pattern = format!(
        "^([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})([Tt]{time}(Z|[-+][0-9]{{2}}:[0-9]{{2}})| {time})?$"
    );
    Regex::new(&pattern).expect("the pattern is a regular expression")
});

/// Whether a YAML 1.1 reader takes an unquoted text for a text.
fn is_text(text: &str) -> bool {
    let number = match text.chars().next() {
        Some('.') => NUMBERS.is_match(text) && text.parse::<f64>().is_ok_and(f64::is_finite),
        Some('0'..='9' | '+' | '-') => is_number(&text.replace('_', "")),
        _ => false,
    };
    !(WORDS.contains(&text) || number || SEXAGESIMAL.is_match(text) || is_date(text))
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let based = digits.len() > 2
        && digits.starts_with('0')
        && digits[1..].starts_with(|c: char| c.is_ascii_alphabetic());
    if !NUMBERS.is_match(text) {
        return false;
    }
    if based && !digits[1..].starts_with(['e', 'E']) {
        let radix = match &digits[1..2] {
            "x" | "X" => 16,
            "o" | "O" => 8,
            _ => 2,
        };
        return u64::from_str_radix(&digits[2..], radix).is_ok();
    }
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_date(text: &str) -> bool {
    let Some(found) = DATES.captures(text) else { return false };
    let number = |index: usize| found.get(index).and_then(|part| part.as_str().parse::<i16>().ok());
    let small = |index: usize| number(index).and_then(|n| i8::try_from(n).ok()).unwrap_or(-1);
    let below = |index: usize, limit: i16| number(index).is_none_or(|n| n < limit);
    let day = jiff::civil::Date::new(number(1).unwrap_or(-1), small(2), small(3));
    let times = [(5, 24), (6, 60), (7, 60), (10, 24), (11, 60), (12, 60)];
    day.is_ok() && times.into_iter().all(|(index, limit)| below(index, limit))
}

/// A number as Go prints it: whole ones without a point, large and small ones with an exponent.
fn number_text(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    #[expect(clippy::float_cmp, reason = "a whole number is exactly its whole part")]
    let whole = float == float.trunc() && float.abs() < 1e21;
    let plain = format!("{float:.0}");
    if whole && (plain.parse::<i64>().is_ok() || plain.parse::<u64>().is_ok()) {
        return if plain == "-0" { "0".into() } else { plain };
    }
    let exact = format!("{float:e}");
    let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
