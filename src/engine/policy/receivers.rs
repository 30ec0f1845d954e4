//! Reads the file of receivers, and names file and line of everything that is wrong with it.
//!
//! In: the text of a file · Out: `Receiver`s · Touches: nothing

use std::sync::LazyLock;

use super::check::{Part, Shape};
use super::node::Node;
use super::source;
use crate::domain::field::FieldError;
use crate::domain::problem::Problem;
use crate::domain::receiver::{Receiver, Receivers};
use crate::domain::schema::schema_of_type;
use crate::engine::yaml;

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema_of_type::<Receivers>()));

/// The receivers of a file.
///
/// # Errors
/// Every problem of it. None repeats an address or a header's value.
pub fn read(name: &str, text: &str) -> Result<Vec<Receiver>, Vec<Problem>> {
    let unreadable = |e: yaml::Error| vec![Problem::file(name, "cannot read YAML").at(e.line, e.column)];
    let nodes = source::read(text).map_err(unreadable)?;
    let [node] = nodes.as_slice() else {
        let message = format!("there are {} documents in it, not one", nodes.len());
        return Err(vec![Problem::file(name, message)]);
    };
    let tree = node.to_json();
    let misfits = SHAPE.misfits(&tree);
    let said = misfits.into_iter().filter(|misfit| misfit.part != Part::Said);
    let problems: Vec<Problem> = said.map(|misfit| problem(name, node, misfit.error, misfit.part)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let Ok(receivers) = serde_json::from_value::<Receivers>(tree) else {
        return Err(vec![Problem::file(name, "a field has a value that cannot be read")]);
    };
    let errors = receivers.check().into_iter();
    let problems: Vec<Problem> = errors.map(|error| problem(name, node, error, Part::Value)).collect();
    if problems.is_empty() { Ok(receivers.receivers) } else { Err(problems) }
}

fn problem(name: &str, node: &Node, error: FieldError, part: Part) -> Problem {
    let place = match part {
        Part::Key => node.key_at(&error.pointer),
        Part::Value | Part::Inside | Part::Said => node.value_at(&error.pointer),
    };
    Problem::field(name, (place.line, place.column), error)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn told(text: &str) -> String {
        match read("receivers.yaml", text) {
            Ok(receivers) => format!("{receivers:?}"),
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        }
    }

    #[test]
    fn receivers_are_read_and_their_secrets_are_not_shown() {
        let text = "receivers:\n- {name: team, type: slack, url: 'https://hooks.example.org/hunter2'}\n\
            - {name: own, type: webhook, url: 'http://own', on: [Normal, RunMissed], headers: {Authorization: hunter2}}\n";
        assert_snapshot!(told(text), @"[Receiver(team), Receiver(own)]");
        assert_eq!(read("receivers.yaml", text).unwrap()[0].on, ["Warning"]);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line_and_without_a_secret() {
        let text = "receivers:\n- name: team\n  type: slak\n  url: hunter2\n  uri: hunter2\n- {name: a, type: webhook}\n";
        assert_snapshot!(told(text), @r#"
        receivers.yaml:3:9: receivers[0].type: "slak" is none of slack, webhook, alertmanager
          help: did you mean `slack`?
        receivers.yaml:5:3: receivers[0].uri: there is no field `uri`
          help: did you mean `url`?
        receivers.yaml:6:3: receivers[1]: the field `url` is missing
        "#);
        let text = "receivers:\n- name: team\n  type: slack\n  url: hunter2\n  on: [BackupFaild]\n\
            - {name: team, type: webhook, url: 'ftp://hunter2', headers: {'x y': hunter2}}\n";
        assert_snapshot!(told(text), @r#"
        receivers.yaml:4:8: receivers[0].url: it is no address of the web
          help: write it whole, with `https://`
        receivers.yaml:5:8: receivers[0].on[0]: nothing is told as "BackupFaild"
          help: did you mean "BackupFailed"?
        receivers.yaml:6:10: receivers[1].name: there is a receiver "team" already
        receivers.yaml:6:36: receivers[1].url: it is no address of the web
          help: write it whole, with `https://`
        receivers.yaml:6:62: receivers[1].headers: "x y" is no name of a header
        "#);
        let text = "receivers:\n- {name: team, type: slack, url: [hunter2], headers: hunter2}\n";
        assert_snapshot!(told(text), @"
        receivers.yaml:2:54: receivers[0].headers: must be a mapping, not a text
        receivers.yaml:2:34: receivers[0].url: must be a text, not a list
        ");
        assert_snapshot!(told("receivers: [\n"), @"receivers.yaml:1:12: cannot read YAML");
    }
}
