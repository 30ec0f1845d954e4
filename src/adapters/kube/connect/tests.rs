use std::io::Write;

use super::*;

/// A kubeconfig with two contexts; the text goes into the user.
fn file(user: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "apiVersion: v1\nkind: Config\ncurrent-context: home\nclusters:\n- name: c\n  cluster: {{server: 'https://127.0.0.1:1'}}\n\
         contexts:\n- name: home\n  context: {{cluster: c, user: u}}\n- name: away\n  context: {{cluster: lost, user: u}}\n\
         users:\n- name: u\n  user: {user}\n"
    )
    .unwrap();
    file
}

async fn connected(file: &tempfile::NamedTempFile, context: Option<&str>) -> Result<ApiServer, Error> {
    let access = Access { kubeconfig: Some(file.path().into()), context: context.map(Into::into) };
    ApiServer::connect(&access).await
}

async fn refused(user: &str, context: Option<&str>) -> String {
    connected(&file(user), context).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_connection_goes_by_the_name_of_its_context() {
    let server = connected(&file("{token: hunter2}"), None).await.unwrap();
    assert_eq!((server.context(), server.url()), (Some("home"), "https://127.0.0.1:1"));
    assert_eq!(format!("{server:?}"), "ApiServer(https://127.0.0.1:1)");
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let access = Access { kubeconfig: Some("/nowhere/kubeconfig".into()), context: None };
    let error = ApiServer::connect(&access).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read kubeconfig /nowhere/kubeconfig");
}

#[tokio::test]
async fn contexts_that_exist_are_listed() {
    assert_eq!(refused("{}", Some("prod")).await, "the kubeconfig has no context prod; it has: away, home");
    assert_eq!(
        refused("{}", Some("away")).await,
        "cannot use the kubeconfig: failed to load the cluster of context: lost"
    );
}

#[tokio::test]
async fn a_broken_file_is_located_and_not_repeated() {
    let text = refused("{token: hunter2, token: [hunter2", None).await;
    assert!(text.starts_with("cannot understand the kubeconfig: line "), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn unusable_keys_are_refused_at_once() {
    let text = refused("{client-certificate-data: aHVudGVyMg==, client-key-data: aHVudGVyMg==}", None).await;
    assert!(text.starts_with("cannot use the kubeconfig: ") && !text.contains("hunter2"), "{text}");
    let text = refused("{client-certificate: /nowhere.crt, client-key: /nowhere.key}", None).await;
    assert!(text.contains("/nowhere"), "{text}");
}

#[tokio::test]
async fn credential_plugins_that_fail_are_explained() {
    let exec = |command: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: {command}}}}}"
        )
    };
    for (command, shown) in [
        ("/nowhere/plugin", "cannot log in: the credential plugin does not start: No such file"),
        (
            "sh, args: [-c, 'echo hunter2; echo expired >&2; exit 3']",
            "cannot log in: the credential plugin ended with exit status: 3: expired",
        ),
        ("echo, args: [hunter2]", "cannot log in: the credential plugin printed no credentials"),
    ] {
        let text = refused(&exec(command), None).await;
        assert!(text.starts_with(shown) && !text.contains("hunter2"), "{text}");
    }
}
