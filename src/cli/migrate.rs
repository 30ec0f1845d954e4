//! `migrate`: what was written for another backup tool, in the words of Backstay.
//!
//! In: a file · Out: parts of documents · Touches: the file system, standard input

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::domain::problem::Problem;
use crate::engine::migrate::modifiers::{Converted, convert};
use crate::engine::migrate::velero_hooks::{self, ConvertedHooks};
use crate::engine::policy::origin::MAX_FILE;
use crate::engine::yaml;
use crate::work::failure::Failure;

use super::done::Done;
use super::migrate_args::{HooksFileArgs, ModifiersArgs};
use super::print::{Show, count};

/// YAML to be put under `spec` of a request; notes stand before it as comments.
impl Show for Converted {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        if !quiet {
            writeln!(out, "# From Velero's resource modifiers. Put it under `spec` of a RestoreRequest.")?;
            writeln!(
                out,
                "# An object that a transform does not fit is not restored; Velero restores it unchanged."
            )?;
            self.notes.iter().try_for_each(|note| writeln!(out, "# Note: {note}."))?;
        }
        let tree = serde_json::json!({"transforms": self.transforms});
        write!(out, "{}", yaml::emit(&tree).map_err(io::Error::other)?)
    }
}

/// YAML to be put under `spec` of a policy or request.
impl Show for ConvertedHooks {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        if !quiet {
            writeln!(out, "# From Velero's hooks. Put it under `spec` of a BackupPolicy or RestoreRequest.")?;
            self.notes.iter().try_for_each(|note| writeln!(out, "# Note: {note}."))?;
        }
        let tree = serde_json::json!({"hooks": self.hooks});
        write!(out, "{}", yaml::emit(&tree).map_err(io::Error::other)?)
    }
}

/// Converts Velero's resource modifiers.
pub fn modifiers(args: &ModifiersArgs) -> Result<Done, Failure> {
    converted(&args.file, convert)
}

/// Converts Velero's hooks.
pub fn hooks(args: &HooksFileArgs) -> Result<Done, Failure> {
    converted(&args.file, velero_hooks::convert)
}

fn converted<T: Show + serde::Serialize + 'static>(
    file: &Path,
    convert: impl Fn(&str, &str) -> Result<T, Vec<Problem>>,
) -> Result<Done, Failure> {
    let name = if is_standard_input(file) { "standard input".into() } else { file.display().to_string() };
    let cannot = |reason: String| Failure::usage(format!("cannot read {name}: {reason}"));
    let bytes = read(file).map_err(|e| cannot(e.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(cannot(format!("it has more than {} MiB", MAX_FILE / 1024 / 1024)));
    }
    let text = String::from_utf8(bytes).map_err(|_| cannot("it is not in UTF-8".into()))?;
    let converted = convert(&name, &text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let number = count(problems.len() as u64, "problem");
        Failure::usage(format!("cannot convert {name}: {number}\n{}", lines.join("\n")))
    })?;
    Ok(Done::fine(converted))
}

fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}

/// One byte more than a file may have, so that a longer one is noticed.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if is_standard_input(file) {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_yaml_with_or_without_its_comments() {
        let converted = Converted { transforms: Vec::new(), notes: vec!["rule 1 is left out".into()] };
        let shown = |quiet| {
            let mut out = Vec::new();
            converted.show(&mut out, quiet).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(true), "transforms: []\n");
        assert!(shown(false).contains("\n# Note: rule 1 is left out.\ntransforms: []\n"), "{}", shown(false));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_usage_error() {
        let error = modifiers(&ModifiersArgs { file: "/nowhere/at/all".into() }).err().unwrap();
        assert!(error.to_string().starts_with("error: cannot read /nowhere/at/all: "), "{error}");
    }
}
