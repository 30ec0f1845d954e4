//! Where a path in a kustomization leads, without leaving the repository.
//!
//! In: a folder and a relative path · Out: a path from the top · Touches: nothing

use crate::engine::policy::node::{Fault, Place};

/// Names of kustomization files, as kustomize knows them.
pub const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Resolves a path that was written at a place, seen from a folder (`""` is the top).
///
/// # Errors
/// Addresses of other repositories, absolute paths, and paths that leave the repository.
pub fn resolve(folder: &str, path: &str, place: Place) -> Result<String, Fault> {
    if path.trim().is_empty() {
        return Err(Fault::new(place, "the path is empty"));
    }
    if is_remote(path) {
        let message =
            format!("`{path}` is in another repository: Backstay reads nothing but the policy repository");
        return Err(Fault::new(place, message)
            .help("copy it into the policy repository, so that one commit says it all"));
    }
    if path.starts_with('/') {
        return Err(
            Fault::new(place, format!("`{path}` is absolute")).help("write it relative to this folder")
        );
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." if parts.pop().is_none() => {
                let help =
                    "give the repository's top as --policy-repo, and the folder in it as --policy-path";
                return Err(Fault::new(place, format!("`{path}` leaves the policy repository")).help(help));
            }
            "" | "." | ".." => {}
            name => parts.push(name),
        }
    }
    Ok(parts.join("/"))
}

/// Whether kustomize would fetch it.
fn is_remote(path: &str) -> bool {
    let hosts = ["github.com/", "github.com:", "gitlab.com/", "bitbucket.org/", "git::", "git@", "gh:"];
    path.contains("://") || path.contains("?ref=") || hosts.iter().any(|host| path.starts_with(host))
}

/// A path below a folder.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A folder for people: the top is `.`.
pub fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// Whether a folder is another one or stands above it.
pub fn holds(folder: &str, other: &str) -> bool {
    folder.is_empty()
        || folder == other
        || other.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_from_its_folder_and_stays_in_the_repository() {
        let from = |path: &str| match resolve("overlays/prod", path, Place::default()) {
            Ok(path) => path,
            Err(fault) => fault.message,
        };
        let cases = [
            "patch.yaml",
            "./a//b/",
            "../../base",
            "../..",
            "../../../x",
            "/etc/passwd",
            "https://example.org/x",
            "github.com/a/b",
            " ",
        ];
        let shown: Vec<String> = cases.iter().map(|case| format!("{case} -> {}", from(case))).collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        patch.yaml -> overlays/prod/patch.yaml
        ./a//b/ -> overlays/prod/a/b
        ../../base -> base
        ../.. -> 
        ../../../x -> `../../../x` leaves the policy repository
        /etc/passwd -> `/etc/passwd` is absolute
        https://example.org/x -> `https://example.org/x` is in another repository: Backstay reads nothing but the policy repository
        github.com/a/b -> `github.com/a/b` is in another repository: Backstay reads nothing but the policy repository
          -> the path is empty
        ");
    }
}
