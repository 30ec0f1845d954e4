//! Writes a change set for people: a header line per object, then the fields that differ with both values.
//!
//! In: `ChangeSet`, `Palette` · Out: text · Touches: nothing

use std::fmt::Write;

use anstyle::Style;
use similar::{ChangeTag, TextDiff};

use crate::domain::change::{Change, ChangeKind, ChangeSet, FieldChange};
use crate::domain::object::Json;
use crate::engine::yaml;

/// Unchanged lines shown around a change inside a text of many lines.
const CONTEXT: usize = 2;

/// The styles of the parts of a diff; every style is plain by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    /// The line that names an object.
    pub header: Style,
    /// The line that names a field.
    pub path: Style,
    /// What only the later state has.
    pub added: Style,
    /// What only the earlier state has.
    pub removed: Style,
}

/// The whole change set as text, ending with a line of counts.
pub fn text(set: &ChangeSet, palette: &Palette) -> String {
    let mut page = Page { out: String::new(), palette };
    if !set.is_empty() {
        page.line("--- ", &set.from, palette.removed);
        page.line("+++ ", &set.to, palette.added);
    }
    for change in &set.changes {
        page.object(change);
    }
    for unknown in &set.unknown {
        page.line("? ", unknown, palette.header);
    }
    let count = |kind| set.count(kind);
    let (changed, added, removed) =
        (count(ChangeKind::Changed), count(ChangeKind::Added), count(ChangeKind::Removed));
    page.line(
        "",
        &format!("{changed} changed, {added} added, {removed} removed, {} equal", set.equal),
        Style::new(),
    );
    page.out
}

/// One object's change as text.
pub fn object(change: &Change, palette: &Palette) -> String {
    let mut page = Page { out: String::new(), palette };
    page.object(change);
    page.out
}

struct Page<'a> {
    out: String,
    palette: &'a Palette,
}

impl Page<'_> {
    fn line(&mut self, mark: &str, text: &str, style: Style) {
        let text = printable(text);
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{style}{mark}{text}{style:#}");
    }

    fn object(&mut self, change: &Change) {
        let mark = match change.change {
            ChangeKind::Added => "+ ",
            ChangeKind::Removed => "- ",
            ChangeKind::Changed => "~ ",
        };
        self.line(mark, &change.key.to_string(), self.palette.header);
        for field in &change.fields {
            self.field(field);
        }
    }

    fn field(&mut self, field: &FieldChange) {
        let palette = self.palette;
        self.line("    ", &field.path, palette.path);
        let before = field.before.as_ref().map(lines).unwrap_or_default();
        let after = field.after.as_ref().map(lines).unwrap_or_default();
        if before.len() < 2 || after.len() < 2 {
            for line in &before {
                self.line("    - ", line, palette.removed);
            }
            for line in &after {
                self.line("    + ", line, palette.added);
            }
            return;
        }
        let (before, after): (Vec<&str>, Vec<&str>) =
            (before.iter().map(String::as_str).collect(), after.iter().map(String::as_str).collect());
        let diff = TextDiff::from_slices(&before, &after);
        for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            if number > 0 {
                self.line("      ", "…", Style::new());
            }
            for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
                match line.tag() {
                    ChangeTag::Equal => self.line("      ", line.value(), Style::new()),
                    ChangeTag::Delete => self.line("    - ", line.value(), palette.removed),
                    ChangeTag::Insert => self.line("    + ", line.value(), palette.added),
                }
            }
        }
    }
}

/// A value as people write it: a text as its lines, anything else as YAML.
fn lines(value: &Json) -> Vec<String> {
    let text = match value {
        Json::String(text) if !text.is_empty() => text.clone(),
        other => yaml::emit(other).unwrap_or_else(|_| other.to_string()),
    };
    text.lines().map(str::to_owned).collect()
}

/// Control characters of an object's content must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() && c != '\t' { c.escape_default().collect() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::domain::object::ObjectKey;

    fn set(change: ChangeKind, fields: Vec<(&str, Json, Json)>) -> ChangeSet {
        let some = |value: Json| (!value.is_null()).then_some(value);
        let fields = fields.into_iter().map(|(path, before, after)| FieldChange {
            path: path.into(),
            before: some(before),
            after: some(after),
        });
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        ChangeSet {
            from: "snapshot a".into(),
            to: "cluster b".into(),
            changes: vec![Change { key, change, fields: fields.collect() }],
            equal: 7,
            unknown: vec!["secrets: forbidden".into()],
        }
    }

    #[test]
    fn a_changed_object_shows_both_values_of_each_field() {
        let fields = vec![
            ("/spec/replicas", json!(2), json!(3)),
            (
                "/spec/template/spec/containers/name=web/env",
                json!(null),
                json!([{"name": "A", "value": "1"}]),
            ),
            ("/metadata/labels/team", json!(""), json!("blue")),
        ];
        assert_snapshot!(text(&set(ChangeKind::Changed, fields), &Palette::default()), @r#"
        --- snapshot a
        +++ cluster b
        ~ Deployment.apps shop/web
            /spec/replicas
            - 2
            + 3
            /spec/template/spec/containers/name=web/env
            + - name: A
            +   value: "1"
            /metadata/labels/team
            - ""
            + blue
        ? secrets: forbidden
        1 changed, 0 added, 0 removed, 7 equal
        "#);
    }

    #[test]
    fn texts_of_many_lines_are_compared_line_by_line() {
        let before = "one\ntwo\nthree\nfour\nfive\n";
        let after = "one\ntwo\nthree\n4\nfive\n";
        let fields = vec![("/data/app.conf", json!(before), json!(after))];
        assert_snapshot!(text(&set(ChangeKind::Changed, fields), &Palette::default()), @"
        --- snapshot a
        +++ cluster b
        ~ Deployment.apps shop/web
            /data/app.conf
              two
              three
            - four
            + 4
              five
        ? secrets: forbidden
        1 changed, 0 added, 0 removed, 7 equal
        ");
    }

    #[test]
    fn content_cannot_steer_the_terminal() {
        let fields = vec![("/data/a", json!(null), json!("\u{1b}[31mred"))];
        let shown = text(&set(ChangeKind::Added, fields), &Palette::default());
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
