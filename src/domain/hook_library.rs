//! The hook templates that are built in, for the usual databases.
//!
//! In: `policies/hooks/*.yaml` (embedded) · Out: `HookTemplateSpec`s by name · Touches: nothing

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::document::Metadata;
use super::hook_template::HookTemplateSpec;

/// The files as they are, sorted by the names of their templates.
pub const FILES: [&str; 14] = [
    include_str!("../../policies/hooks/elasticsearch-flush.yaml"),
    include_str!("../../policies/hooks/etcd-snapshot.yaml"),
    include_str!("../../policies/hooks/fsfreeze-freeze.yaml"),
    include_str!("../../policies/hooks/fsfreeze-unfreeze.yaml"),
    include_str!("../../policies/hooks/mariadb-dump.yaml"),
    include_str!("../../policies/hooks/mariadb-restore.yaml"),
    include_str!("../../policies/hooks/mongodb-dump.yaml"),
    include_str!("../../policies/hooks/mongodb-restore.yaml"),
    include_str!("../../policies/hooks/mysql-dump.yaml"),
    include_str!("../../policies/hooks/mysql-restore.yaml"),
    include_str!("../../policies/hooks/opensearch-flush.yaml"),
    include_str!("../../policies/hooks/postgresql-dump.yaml"),
    include_str!("../../policies/hooks/postgresql-restore.yaml"),
    include_str!("../../policies/hooks/redis-save.yaml"),
];

/// A built-in file: a document as a policy repository would hold it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    metadata: Metadata,
    spec: HookTemplateSpec,
}

static BUILTIN: LazyLock<BTreeMap<String, HookTemplateSpec>> = LazyLock::new(|| {
    let read = |text: &str| match serde_saphyr::from_str::<File>(text) {
        Ok(file) => (file.metadata.name, file.spec),
        Err(error) => unreadable(&error.to_string()),
    };
    FILES.iter().map(|text| read(text)).collect()
});

#[expect(clippy::panic, reason = "a test reads every file, so that no release holds one that cannot be read")]
fn unreadable(error: &str) -> ! {
    panic!("a built-in hook template cannot be read: {error}")
}

/// All built-in templates by name.
pub fn all() -> &'static BTreeMap<String, HookTemplateSpec> {
    &BUILTIN
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_built_in_template_is_sound_and_described() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/hooks");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert_eq!(all().len(), FILES.len());
        for (name, template) in all() {
            assert_eq!(template.check(), [], "{name}");
            let line = format!("| [{name}]({name}.yaml) | {} |", template.description.as_deref().unwrap());
            assert!(readme.contains(&line), "README.md lacks the line:\n{line}");
            assert!(template.parameters.iter().all(|p| p.description.is_some()), "{name}");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/hooks");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(FILES.contains(&text.as_str()), "{}", path.display());
            }
        }
    }
}
