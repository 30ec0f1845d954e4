//! `coverage`: what no policy covers in the live cluster.
//!
//! In: a policy repository, the cluster · Out: `Covered` · Touches: through `App`

use std::io::{self, Write};

use crate::app::wiring::App;
use crate::domain::coverage::{Coverage, Gap, What};
use crate::work::coverage;
use crate::work::failure::{Exit, Failure};
use crate::work::repository;

use super::done::Done;
use super::print::{Show, count, table};

/// Said wherever claims are counted.
const DATA: &str = "a claim is covered as an object: the data of its volume is not saved";

/// What policies cover, for people.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub struct Covered(Coverage);

impl Show for Covered {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        let Coverage { seen, uncovered, left_out, in_part, unknown } = &self.0;
        let seen = |what: What| seen.get(&what).copied().unwrap_or_default();
        let counted =
            [What::Namespace, What::Kind, What::Claim].map(|what| count(seen(what), &what.to_string()));
        if uncovered.is_empty() {
            writeln!(out, "looked at {}: {}", counted.join(", "), self.0)?;
        } else {
            section(out, "NOT COVERED", uncovered)?;
        }
        if quiet {
            return Ok(());
        }
        for (title, gaps) in [("COVERED IN PART", in_part), ("LEFT OUT ON PURPOSE", left_out)] {
            if !gaps.is_empty() {
                writeln!(out)?;
                section(out, title, gaps)?;
            }
        }
        writeln!(out)?;
        if !uncovered.is_empty() {
            let gone = uncovered.len();
            writeln!(out, "looked at {}: {gone} not covered", counted.join(", "))?;
        }
        for (version, reason) in unknown {
            writeln!(out, "note: the kinds of {version} are not known: {reason}")?;
        }
        writeln!(out, "note: {DATA}")
    }
}

fn section(out: &mut dyn Write, title: &str, gaps: &[Gap]) -> io::Result<()> {
    let row = |gap: &Gap| vec![gap.what.to_string(), gap.name.clone(), gap.reason.to_string()];
    let rows: Vec<Vec<String>> = gaps.iter().map(row).collect();
    table(out, &[title, "NAME", "WHY"], &rows)
}

/// Looks at the cluster.
pub async fn coverage(app: &App) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let found = coverage::coverage(app, &set).await?;
    let exit = if found.uncovered.is_empty() { Exit::Fine } else { Exit::Different };
    Ok(Done::new(exit, Covered(found)))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::domain::coverage::Reason;

    fn shown(coverage: Coverage) -> String {
        let mut out = Vec::new();
        Covered(coverage).show(&mut out, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn gap(what: What, name: &str, reason: Reason) -> Gap {
        Gap { what, name: name.into(), reason }
    }

    #[test]
    fn what_is_not_covered_comes_first_and_what_is_left_out_on_purpose_apart() {
        let daily = || "daily".to_owned();
        let label = "backstay.dev/exclude".to_owned();
        let coverage = Coverage {
            seen: [(What::Namespace, 3), (What::Kind, 60), (What::Claim, 1)].into(),
            uncovered: vec![
                gap(What::Namespace, "shop", Reason::Suspended { policy: daily() }),
                gap(What::Claim, "shop/data", Reason::Suspended { policy: daily() }),
            ],
            left_out: vec![gap(What::Namespace, "scratch", Reason::Labelled { label })],
            in_part: vec![gap(What::Namespace, "till", Reason::InPart { kinds: vec!["secrets".into()] })],
            unknown: [("metrics.k8s.io/v1beta1".to_owned(), "stale".to_owned())].into(),
        };
        assert_snapshot!(shown(coverage), @"
        NOT COVERED  NAME       WHY
        namespace    shop       only policy daily selects it, which is suspended
        claim        shop/data  only policy daily selects it, which is suspended

        COVERED IN PART  NAME  WHY
        namespace        till  no policy takes all of its secrets

        LEFT OUT ON PURPOSE  NAME     WHY
        namespace            scratch  it has the label backstay.dev/exclude=true

        looked at 3 namespaces, 60 kinds, 1 claim: 2 not covered
        note: the kinds of metrics.k8s.io/v1beta1 are not known: stale
        note: a claim is covered as an object: the data of its volume is not saved
        ");
    }

    #[test]
    fn where_all_is_covered_that_is_said() {
        let seen = [(What::Namespace, 1), (What::Kind, 60)].into();
        assert_snapshot!(shown(Coverage { seen, ..Coverage::default() }), @"
        looked at 1 namespace, 60 kinds, 0 claims: policies cover every namespace, kind and claim that is not left out on purpose

        note: a claim is covered as an object: the data of its volume is not saved
        ");
    }
}
