//! What every adapter for containers must do: one suite for the memory cluster and for real pods.
//!
//! In: a container that runs and has a shell · Out: a panic that names the broken claim · Touches: containers

use super::{Container, Ended, Error, Exec, Transcript};
use crate::ports::cluster;

/// Checks every claim.
///
/// # Panics
/// On the first claim that does not hold.
pub async fn holds(exec: &dyn Exec, container: &Container) {
    exit_codes_and_both_streams_come_back(exec, container).await;
    arguments_stay_as_they_are(exec, container).await;
    what_is_not_there_is_named(exec, container).await;
    a_call_that_is_dropped_leaves_its_output(exec, container).await;
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn said(exec: &dyn Exec, container: &Container, command: &[&str]) -> (i32, String, String) {
    let transcript = Transcript::default();
    let Ended::Code(code) = exec.exec(container, &words(command), &transcript).await.unwrap();
    let (output, errors) = transcript.seen();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (code, text(&output.last), text(&errors.last))
}

async fn exit_codes_and_both_streams_come_back(exec: &dyn Exec, container: &Container) {
    let done = said(exec, container, &["sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    assert_eq!(done, (3, "out\n".to_owned(), "err\n".to_owned()));
    assert_eq!(said(exec, container, &["true"]).await, (0, String::new(), String::new()));
    assert_eq!(said(exec, container, &["false"]).await.0, 1);
}

async fn arguments_stay_as_they_are(exec: &dyn Exec, container: &Container) {
    let done = said(exec, container, &["echo", "a  b", "c&d?e=f", "ä"]).await;
    assert_eq!(done.1, "a  b c&d?e=f ä\n");
}

async fn what_is_not_there_is_named(exec: &dyn Exec, container: &Container) {
    let tried = async |container: &Container, command: &[&str]| {
        exec.exec(container, &words(command), &Transcript::default()).await
    };
    let absent = tried(container, &["/no/such/program"]).await;
    assert!(matches!(&absent, Err(Error::NoProgram(name)) if name == "/no/such/program"), "{absent:?}");
    let other = Container { name: "nobody".into(), ..container.clone() };
    let absent = tried(&other, &["true"]).await;
    assert!(matches!(&absent, Err(Error::NoContainer(name)) if name == "nobody"), "{absent:?}");
    let gone = Container { pod: "no-such-pod".into(), ..container.clone() };
    let absent = tried(&gone, &["true"]).await;
    assert!(matches!(absent, Err(Error::Cluster(cluster::Error::NotFound(_)))), "{absent:?}");
    assert!(matches!(exec.logs(&gone).await, Err(cluster::Error::NotFound(_))));
}

async fn a_call_that_is_dropped_leaves_its_output(exec: &dyn Exec, container: &Container) {
    let transcript = Transcript::default();
    let command = words(&["sh", "-c", "echo begun; sleep 3"]);
    let work = exec.exec(container, &command, &transcript);
    let seen = async {
        while transcript.seen().0.last.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = work => panic!("it has ended: {ended:?}"),
        () = seen => {}
    }
    assert_eq!(transcript.seen().0.last, b"begun\n");
}
