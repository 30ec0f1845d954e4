use super::*;
use crate::engine::clean::sanitize::MirrorForm;
use crate::engine::mirror::update::tests::{ALL, harbour, object as planned};

#[tokio::test]
async fn what_was_written_is_read_back() {
    let harbour = harbour();
    harbour.backup("nightly", ALL).await;
    let tree = harbour.tree().await;
    let entries = entries(tree.as_ref(), "backups", "prod").unwrap();
    let read = |depth| -> Vec<Json> {
        entries.iter().map(|e| object(tree.as_ref(), e, depth).unwrap().into_json()).collect()
    };
    let mut opened = read(Depth::Opened(&harbour.identities));
    let mut written: Vec<Json> = ALL
        .iter()
        .map(|text| match planned(text).1.mirror {
            MirrorForm::Manifest(manifest) => manifest.into_json(),
            MirrorForm::Out(_) => unreachable!(),
        })
        .collect();
    opened.sort_by_key(ToString::to_string);
    written.sort_by_key(ToString::to_string);
    assert_eq!(opened, written);
    let sealed = read(Depth::Sealed);
    assert!(
        sealed.iter().all(|tree| tree.get("sops").is_none() && !tree.to_string().contains("aHVudGVyMg=="))
    );
    let error = object(tree.as_ref(), &entries[2], Depth::Opened(&Identities::default())).unwrap_err();
    assert!(error.to_string().contains("secrets/db.yaml"), "{error}");
    assert_eq!(clusters(tree.as_ref(), "/backups").unwrap(), ["prod"]);
}

#[tokio::test]
async fn a_file_under_a_wrong_name_is_an_error() {
    let harbour = harbour();
    harbour.backup("nightly", &["ConfigMap shop/web a=1"]).await;
    let text = harbour.text("backups/clusters/prod/namespaces/shop/core/configmaps/web.yaml").await;
    harbour.by_hand("backups/clusters/prod/namespaces/bank/core/configmaps/web.yaml", Some(&text)).await;
    let tree = harbour.tree().await;
    let entries = entries(tree.as_ref(), "backups", "prod").unwrap();
    let error = object(tree.as_ref(), &entries[0], Depth::Sealed).unwrap_err().to_string();
    assert!(
        error
            .ends_with("namespaces/bank/core/configmaps/web.yaml of the mirror: it holds ConfigMap shop/web"),
        "{error}"
    );
}
