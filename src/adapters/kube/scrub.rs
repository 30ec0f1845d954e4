//! Takes the contents of objects out of what an API server says about them.
//!
//! A refused object is often quoted in the refusal: `data[k]: Invalid value: "hunter2": …`. What stays is the field,
//! the kind of mistake and the rule; names of fields, users, webhooks and so on stay quoted.
//!
//! In: a server's text · Out: one line that may be shown · Touches: nothing

use kube::core::Status;

use crate::domain::object::Resource;

/// What a refusal may be quoting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Anything but secrets on purpose.
    Plain,
    /// A secret, wherever the text is not known to be harmless.
    Secret,
    /// Nothing: the request carried no object and asked for none.
    None,
}

impl Content {
    /// What objects of this type hold: kinds named after secrets, tokens and credentials are taken for secret.
    pub fn of(resource: &Resource) -> Self {
        let kind = resource.gvk.kind.to_ascii_lowercase();
        let secret = ["secret", "token", "credential", "password"].iter().any(|word| kind.contains(word));
        if secret { Self::Secret } else { Self::Plain }
    }
}

/// Longest text that is passed on, in characters.
const LONGEST: usize = 600;

/// Most fields of a refusal that are named.
const MOST: usize = 8;

/// What an API server says, as one line without contents: the causes where it names fields, else its message.
pub fn words(status: &Status, content: Content) -> String {
    let causes = status.details.iter().flat_map(|d| &d.causes).filter(|c| !c.field.is_empty());
    let named: Vec<String> = causes
        .map(|cause| match line(&cause.message, content) {
            text if text.starts_with(&cause.field) => text,
            text => format!("{}: {text}", cause.field),
        })
        .collect();
    match named.len() {
        0 => line(&status.message, content),
        n if n > MOST => format!("{}; and {} more", named[..MOST].join("; "), n - MOST),
        _ => named.join("; "),
    }
}

/// One text of an API server as one line without contents, cut to a length that a person reads.
pub fn line(text: &str, content: Content) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut first = lines.next().unwrap_or_default().to_owned();
    if first.ends_with("errors:") {
        first = std::iter::once(first).chain(lines.take(MOST).map(Into::into)).collect::<Vec<_>>().join(" ");
    }
    let clean = match content {
        Content::None => first,
        Content::Plain | Content::Secret => unquoted(&without_values(&first), content),
    };
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Words of the server after which it repeats a value, up to `: ` outside of quotes and brackets.
const REPEATS: [&str; 4] = ["Invalid value", "Unsupported value", "Duplicate value", "Not found"];

/// Words after which everything up to the end may be content.
const DUMPS: [&str; 4] = [", got &", "error found in #", "valueUnstructured", ", got: "];

fn without_values(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((at, word)) =
        REPEATS.iter().filter_map(|word| Some((rest.find(&format!("{word}: "))?, *word))).min()
    {
        let value = &rest[at + word.len() + 2..];
        out.push_str(&rest[..at + word.len()]);
        rest = &value[end_of_value(value)..];
    }
    out.push_str(rest);
    let cut = DUMPS.iter().filter_map(|word| out.find(word)).min();
    if let Some(cut) = cut {
        out.truncate(cut);
    }
    out
}

/// Where a repeated value ends: at the first `: ` outside of quotes and brackets, else at the end.
fn end_of_value(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '`') => quote = Some(c),
            (None, '{' | '[' | '(') => depth += 1,
            (None, '}' | ']' | ')') => depth = depth.saturating_sub(1),
            (None, ':') if depth == 0 && text[at..].starts_with(": ") => return at,
            (Some(_) | None, _) => {}
        }
    }
    text.len()
}

/// Words before a quoted text that is a name and no content.
const NAMED: [&str; 30] = [
    "field",
    "version",
    "kind",
    "resource",
    "group",
    "webhook",
    "namespace",
    "user",
    "policy",
    "binding",
    "container",
    "with",
    "using",
    "subresource",
    "podsecurity",
    "volume",
    "configmap",
    "configmaps",
    "secret",
    "secrets",
    "pods",
    "services",
    "namespaces",
    "kubernetes",
    "type",
    "verb",
    "finalizer",
    "manager",
    "plural",
    "strategy",
];

/// Replaces quoted text that is not known to be a name.
fn unquoted(text: &str, content: Content) -> String {
    let (text, rule) = text.split_once("supported values: ").unwrap_or((text, ""));
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((at, quote)) = opening(rest, content) {
        let inside = &rest[at + 1..];
        let length = closing(inside, quote);
        let before = &rest[..at];
        let word =
            before.trim_end_matches([' ', ':', '=']).rsplit([' ', '(', ',', '[']).next().unwrap_or_default();
        out.push_str(before);
        if NAMED.contains(&word.to_ascii_lowercase().as_str()) {
            out.push_str(&rest[at..(at + 1 + length + 1).min(rest.len())]);
        } else {
            out.push('…');
        }
        rest = inside.get(length + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    if !rule.is_empty() {
        out.push_str("supported values: ");
        out.push_str(rule);
    }
    out
}

/// The next quote that opens a text. Single quotes and backticks hold examples and rules, except perhaps in a secret.
fn opening(text: &str, content: Content) -> Option<(usize, char)> {
    let quotes: &[char] = if content == Content::Secret { &['"', '\'', '`'] } else { &['"'] };
    text.char_indices().find(|(_, c)| quotes.contains(c))
}

/// Length of the text before the closing quote, or of all of it where there is none.
fn closing(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, content: Content) -> String {
        line(text, content)
    }

    #[test]
    fn values_go_and_fields_and_rules_stay() {
        for (text, shown) in [
            (
                r#"data[k]: Invalid value: "hunter2: \"x\": y": a valid config key must consist of alphanumeric characters"#,
                "data[k]: Invalid value: a valid config key must consist of alphanumeric characters",
            ),
            (
                r#"spec: Invalid value: {"password":"hunter2","n":{"a: b":1}}: must be small"#,
                "spec: Invalid value: must be small",
            ),
            (
                r#"spec.type: Unsupported value: "hunter2": supported values: "ClusterIP", "NodePort""#,
                r#"spec.type: Unsupported value: supported values: "ClusterIP", "NodePort""#,
            ),
            (r#"spec.env[1].name: Duplicate value: "hunter2""#, "spec.env[1].name: Duplicate value"),
            (
                r#"unable to decode: parsing time "hunter2" as "2006": cannot parse"#,
                "unable to decode: parsing time … as …: cannot parse",
            ),
            (
                r#"failed to create typed patch object (a/b; /v1, Kind=C): .data.k: expected string, got &value.valueUnstructured{Value:"hunter2"}"#,
                "failed to create typed patch object (a/b; /v1, Kind=C): .data.k: expected string",
            ),
            (
                r#"strict decoding error: unknown field "spec.colour""#,
                r#"strict decoding error: unknown field "spec.colour""#,
            ),
            (
                "spec: Forbidden: pod updates may not change fields\n core.PodSpec{\n+ \"hunter2\"",
                "spec: Forbidden: pod updates may not change fields",
            ),
        ] {
            assert_eq!(said(text, Content::Plain), shown);
        }
    }

    #[test]
    fn in_secrets_every_kind_of_quote_is_taken_out() {
        assert_eq!(
            said("Secret in version \"v1\" is wrong: 'hunter2' and `hunter2` and \"hunter2", Content::Secret),
            "Secret in version \"v1\" is wrong: … and … and …"
        );
    }

    #[test]
    fn no_text_is_longer_than_a_person_reads() {
        assert_eq!(said(&"ä".repeat(10_000), Content::Plain).chars().count(), LONGEST + 1);
    }

    #[test]
    fn kinds_named_after_secrets_are_secret() {
        let resource = |kind: &str| Resource {
            gvk: crate::domain::object::Gvk::new("v1", kind),
            plural: String::new(),
            namespaced: true,
            verbs: Vec::new(),
            served: Vec::new(),
        };
        assert_eq!(Content::of(&resource("SealedSecret")), Content::Secret);
        assert_eq!(Content::of(&resource("ConfigMap")), Content::Plain);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in "\\PC*", quoted in "([\"'`{}\\[\\]: ]|Invalid value: |\\PC)*") {
            for content in [Content::Plain, Content::Secret, Content::None] {
                line(&text, content);
                line(&quoted, content);
            }
        }

        #[test]
        fn a_quoted_value_never_gets_through(value in "[a-z\"\\\\:{} ]{0,20}") {
            let value = format!("hunter2{value}hunter2");
            let text = format!("data[k]: Invalid value: {value:?}: must be small");
            proptest::prop_assert!(!line(&text, Content::Plain).contains("hunter2"));
            let text = format!("data[k]: some other rule about {value:?}");
            proptest::prop_assert!(!line(&text, Content::Plain).contains("hunter2"));
        }
    }
}
