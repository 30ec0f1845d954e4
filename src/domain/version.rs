//! The order of API versions.
//!
//! In: names such as `v1beta2` · Out: what can be compared · Touches: nothing

use std::cmp::Reverse;

/// Orders versions as Kubernetes does: stable before beta before alpha, higher numbers first, other names last. The greatest
/// comes first.
pub fn priority(version: &str) -> (u8, u32, u32, Reverse<&str>) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let (major, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (rank, minor) = match tail {
            "" => (3, "0"),
            tail if tail.starts_with("beta") => (2, &tail[4..]),
            tail => (1, tail.strip_prefix("alpha")?),
        };
        Some((rank, major.parse().ok()?, minor.parse().ok()?))
    };
    let (rank, major, minor) = parse().unwrap_or((0, 0, 0));
    (rank, major, minor, Reverse(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_preferred_as_kubernetes_does() {
        let mut versions = ["foo10", "v1alpha1", "v3beta1", "v10", "v2", "v11beta2", "v11alpha2", "foo1"];
        versions.sort_by_key(|v| Reverse(priority(v)));
        assert_eq!(versions, ["v10", "v2", "v11beta2", "v3beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"]);
    }
}
