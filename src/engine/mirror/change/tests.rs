use super::*;
use crate::domain::policy::EncryptRule;
use crate::engine::clean::encrypt::DigestKey;
use crate::engine::mirror::update::tests::{ALL, failed, harbour, listed, report};

#[tokio::test]
async fn deleted_objects_go_only_where_their_kind_was_listed() {
    let harbour = harbour();
    harbour.backup("nightly", ALL).await;
    let result = harbour.backup_with(&["Thing shop/one x=y"], &report("nightly", &failed("secrets"))).await;
    assert_eq!(result.count, Count { removed: 1, unchanged: 1, ..Count::default() });
    assert_eq!(result.notes, ["2 files were kept because their kinds were not listed completely"]);
    let files = harbour.files().await;
    assert!(
        files.iter().any(|f| f.contains("secrets/db")) && files.iter().any(|f| f.contains("clusterroles"))
    );
    assert!(!files.iter().any(|f| f.contains("configmaps")), "{files:?}");
    let result = harbour.backup("nightly", &[]).await;
    assert_eq!(result.count.removed, 3);
    assert_eq!(harbour.files().await, ["backstay.yaml"]);
}

#[tokio::test]
async fn kinds_that_are_not_served_any_more_go_unless_their_group_is_broken() {
    let harbour = harbour();
    harbour.backup("nightly", ALL).await;
    let all_but =
        |text: &'static str| ALL.iter().copied().filter(|o| !o.starts_with(text)).collect::<Vec<_>>();
    let kinds: Vec<_> = listed().into_iter().filter(|(name, _)| !name.starts_with("things")).collect();
    let mut broken = report("nightly", &kinds);
    broken.undiscovered.insert("example.com/v1".into(), "503".into());
    assert_eq!(harbour.backup_with(&all_but("Thing"), &broken).await.count.removed, 0);
    assert_eq!(harbour.backup_with(&all_but("Thing"), &report("nightly", &kinds)).await.count.removed, 1);
}

#[tokio::test]
async fn policies_that_share_a_mirror_leave_each_other_alone() {
    let harbour = harbour();
    harbour.backup("shop", &["ConfigMap shop/web a=1", "ConfigMap shop/both a=1"]).await;
    harbour.backup("bank", &["ConfigMap bank/web a=1", "ConfigMap shop/both a=1"]).await;
    let result = harbour.backup("bank", &["ConfigMap bank/web a=1"]).await;
    assert_eq!(result.count.removed, 0, "another policy has the file");
    assert_eq!(harbour.files().await.len(), 4);
    let result = harbour.backup("shop", &["ConfigMap shop/web a=1"]).await;
    assert_eq!(result.count.removed, 1);
}

#[tokio::test]
async fn what_another_policy_encrypts_is_not_written_in_the_clear() {
    let mut harbour = harbour();
    harbour.encrypt = vec![EncryptRule { kinds: vec!["ConfigMap".into()], fields: vec!["data".into()] }];
    harbour.backup("careful", &["ConfigMap shop/web token=abc"]).await;
    harbour.encrypt.clear();
    let result = harbour.backup("careless", &["ConfigMap shop/web token=abc"]).await;
    assert_eq!(
        result.notes,
        [
            "namespaces/shop/core/configmaps/web.yaml was left as another policy encrypts it; if that policy is gone, delete its entry in backstay.yaml of this cluster"
        ]
    );
    assert!(
        !harbour.text("backups/clusters/prod/namespaces/shop/core/configmaps/web.yaml").await.contains("abc")
    );
}

#[tokio::test]
async fn foreign_files_are_never_touched() {
    let harbour = harbour();
    let foreign = [
        "README.md",
        "backups/.sops.yaml",
        "backups/clusters/prod/namespaces/shop/core/configmaps/mine.yaml",
        "backups/clusters/prod/notes.txt",
    ];
    for path in foreign {
        harbour.by_hand(path, Some("by hand\n")).await;
    }
    let result = harbour.backup("nightly", ALL).await;
    assert_eq!(result.notes, ["backups/.sops.yaml is not Backstay's and was left alone"]);
    harbour.backup("nightly", &[]).await;
    for path in foreign {
        assert_eq!(harbour.text(path).await, "by hand\n");
    }
}

#[tokio::test]
async fn a_file_that_somebody_changed_is_written_again() {
    let harbour = harbour();
    harbour.backup("nightly", ALL).await;
    let secret = "backups/clusters/prod/namespaces/shop/core/secrets/db.yaml";
    let good = harbour.text(secret).await;
    harbour.by_hand(secret, Some("kind: Secret\n")).await;
    harbour.by_hand("backups/clusters/prod/namespaces/shop/core/configmaps/web.yaml", None).await;
    let result = harbour.backup("nightly", ALL).await;
    assert_eq!(result.count, Count { added: 1, changed: 1, unchanged: 2, ..Count::default() });
    assert_ne!(harbour.text(secret).await, good, "it is encrypted anew");
}

#[tokio::test]
async fn a_lost_digest_key_costs_one_encryption_and_nothing_else() {
    let mut harbour = harbour();
    harbour.backup("nightly", ALL).await;
    harbour.key = DigestKey::generate();
    assert_eq!(
        harbour.backup("nightly", ALL).await.count,
        Count { changed: 1, unchanged: 3, ..Count::default() }
    );
    assert_eq!(harbour.backup("nightly", ALL).await.commit, None);
}
