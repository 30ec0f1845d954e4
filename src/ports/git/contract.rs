//! What every adapter of this port must do, on a repository that is empty at first.
//!
//! In: a `Git`, an empty remote · Out: panics where the contract is broken · Touches: that remote

use std::collections::BTreeMap;

use super::{CommitDraft, Edits, Error, Git, Pushed, Reference, Remote, Tree};
use crate::domain::location::Author;

/// Checks everything. Takes a remote whose default branch `main` has no commit yet.
pub async fn holds(git: &dyn Git, empty: &Remote) {
    let at = |reference: Reference| Remote { reference, ..empty.clone() };
    an_empty_repository_has_nothing_but_branches_to_come(git, &at).await;
    a_first_commit_makes_the_branch(git, &at).await;
    edits_leave_all_other_files(git, &at).await;
    names_lead_to_their_commits(git, &at).await;
    what_has_moved_is_not_pushed_over(git, &at).await;
    branches_do_not_touch_each_other(git, &at).await;
    of_racing_pushers_exactly_one_lands(git, &at).await;
}

type At<'a> = &'a (dyn Fn(Reference) -> Remote + Sync);

fn main() -> Reference {
    Reference::BranchOrEmpty("main".into())
}

/// A commit by somebody at the beginning of 2026.
pub(crate) fn draft(message: &str) -> CommitDraft {
    CommitDraft {
        message: message.into(),
        author: Author { name: "Ada Lovelace".into(), email: "ada@example.com".into() },
        time: "2026-01-01T00:00:00Z".parse().unwrap(),
        signing_key: None,
    }
}

async fn open(git: &dyn Git, remote: &Remote) -> Box<dyn Tree> {
    git.open(remote).await.unwrap_or_else(|error| panic!("{remote:?}: {error}"))
}

async fn refusal(git: &dyn Git, remote: &Remote) -> Error {
    match git.open(remote).await {
        Ok(tree) => panic!("{remote:?} was opened at {:?}", tree.commit_id()),
        Err(error) => error,
    }
}

/// Commits files with their content; an empty content deletes.
pub(crate) fn commit(tree: &dyn Tree, files: &[(&str, &str)], message: &str) -> String {
    let edits: Edits = files
        .iter()
        .map(|(path, content)| {
            let blob = (!content.is_empty()).then(|| tree.write(content.as_bytes()).unwrap());
            ((*path).to_owned(), blob)
        })
        .collect();
    tree.commit(&edits, &draft(message)).unwrap()
}

/// All files and their content.
pub(crate) fn content(tree: &dyn Tree, under: &str) -> BTreeMap<String, String> {
    let files = tree.files(under).unwrap();
    let read = |blob: &str| String::from_utf8(tree.read(blob).unwrap()).unwrap();
    files.into_iter().map(|(path, blob)| (path, read(&blob))).collect()
}

fn text(files: &BTreeMap<String, String>) -> String {
    files.iter().fold(String::new(), |text, (path, content)| format!("{text}{path}={content} "))
}

async fn an_empty_repository_has_nothing_but_branches_to_come(git: &dyn Git, at: At<'_>) {
    let tree = open(git, &at(main())).await;
    assert_eq!(tree.commit_id(), None);
    assert_eq!(tree.files("").unwrap(), BTreeMap::new());
    for reference in [Reference::Default, Reference::Branch("main".into()), Reference::Any("main".into())] {
        let error = refusal(git, &at(reference)).await;
        assert!(matches!(error, Error::NoReference { .. }), "{error}");
    }
}

async fn a_first_commit_makes_the_branch(git: &dyn Git, at: At<'_>) {
    let tree = open(git, &at(main())).await;
    let blob = tree.write(b"one").unwrap();
    assert_eq!(blob, tree.blob_id(b"one"));
    assert_eq!(tree.read(&blob).unwrap(), b"one");
    assert_eq!(tree.size(&blob).unwrap(), 3);
    let first = commit(&*tree, &[("a/b/one.yaml", "one"), ("two.yaml", "two")], "first\n\nTrailer: yes\n");
    assert_eq!(open(git, &at(main())).await.commit_id(), None, "a commit is nothing before its push");
    assert_eq!(tree.push(&first).await.unwrap(), Pushed::Landed);
    for reference in [main(), Reference::Default, Reference::Branch("main".into())] {
        let tree = open(git, &at(reference)).await;
        assert_eq!(tree.commit_id(), Some(first.as_str()));
        assert_eq!(text(&content(&*tree, "")), "a/b/one.yaml=one two.yaml=two ");
    }
}

async fn edits_leave_all_other_files(git: &dyn Git, at: At<'_>) {
    let tree = open(git, &at(main())).await;
    let edits = [("a/b/one.yaml", ""), ("a/c.yaml", "c"), ("not/there.yaml", "")];
    let second = commit(&*tree, &edits, "second");
    assert_eq!(text(&content(&*tree, "")), "a/b/one.yaml=one two.yaml=two ", "an opened tree stays as it is");
    assert_eq!(tree.push(&second).await.unwrap(), Pushed::Landed);
    let tree = open(git, &at(main())).await;
    assert_eq!(text(&content(&*tree, "")), "a/c.yaml=c two.yaml=two ");
    assert_eq!(text(&content(&*tree, "a/")), "a/c.yaml=c ");
    assert_eq!(text(&content(&*tree, "a/b")), "", "the empty folder is gone");
    assert_eq!(text(&content(&*tree, "two.yaml")), "", "a file is no folder");
    assert_eq!(tree.file("a/c.yaml").unwrap(), Some(tree.blob_id(b"c")));
    for nowhere in ["a", "a/", "a/none.yaml", "none/at/all", ""] {
        assert_eq!(tree.file(nowhere).unwrap(), None, "{nowhere}");
    }
}

async fn names_lead_to_their_commits(git: &dyn Git, at: At<'_>) {
    let tip = open(git, &at(main())).await.commit_id().unwrap().to_owned();
    let any = |name: &str| at(Reference::Any(name.to_owned()));
    let parent = open(git, &any("main~1")).await.commit_id().unwrap().to_owned();
    assert_ne!(tip, parent);
    for name in ["main", "refs/heads/main", tip.as_str(), &tip[..8]] {
        assert_eq!(open(git, &any(name)).await.commit_id(), Some(tip.as_str()), "{name}");
    }
    assert_eq!(open(git, &any(&parent)).await.commit_id(), Some(parent.as_str()));
    let nowhere =
        ["nowhere", "main~9", "0123456789012345678901234567890123456789", "two words", "", "main:two.yaml"];
    for name in nowhere {
        let error = refusal(git, &any(name)).await;
        assert!(matches!(error, Error::NoReference { .. }), "{name}: {error}");
    }
    let at_commit = open(git, &any(&parent)).await;
    let commit = commit(&*at_commit, &[("x", "x")], "nowhere to go");
    let error = at_commit.push(&commit).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error}");
}

async fn what_has_moved_is_not_pushed_over(git: &dyn Git, at: At<'_>) {
    let (early, late) = (open(git, &at(main())).await, open(git, &at(main())).await);
    let winner = commit(&*early, &[("winner.yaml", "w")], "winner");
    assert_eq!(early.push(&winner).await.unwrap(), Pushed::Landed);
    let loser = commit(&*late, &[("loser.yaml", "l")], "loser");
    assert_eq!(late.push(&loser).await.unwrap(), Pushed::LostRace);
    let tree = open(git, &at(main())).await;
    assert_eq!(tree.commit_id(), Some(winner.as_str()));
    let again = commit(&*tree, &[("loser.yaml", "l")], "loser, rebuilt");
    assert_eq!(tree.push(&again).await.unwrap(), Pushed::Landed);
    let tree = open(git, &at(main())).await;
    assert_eq!(text(&content(&*tree, "")), "a/c.yaml=c loser.yaml=l two.yaml=two winner.yaml=w ");
}

async fn branches_do_not_touch_each_other(git: &dyn Git, at: At<'_>) {
    let other = || at(Reference::BranchOrEmpty("clusters/other".into()));
    let before = open(git, &at(main())).await.commit_id().unwrap().to_owned();
    let (first, second) = (open(git, &other()).await, open(git, &other()).await);
    assert_eq!(first.commit_id(), None);
    let one = commit(&*first, &[("one.yaml", "1")], "one");
    assert_eq!(first.push(&one).await.unwrap(), Pushed::Landed);
    let two = commit(&*second, &[("two.yaml", "2")], "two");
    assert_eq!(second.push(&two).await.unwrap(), Pushed::LostRace, "the branch was made meanwhile");
    assert_eq!(text(&content(&*open(git, &other()).await, "")), "one.yaml=1 ");
    assert_eq!(open(git, &at(main())).await.commit_id(), Some(before.as_str()));
}

async fn of_racing_pushers_exactly_one_lands(git: &dyn Git, at: At<'_>) {
    let remote = at(main());
    let before = text(&content(&*open(git, &remote).await, ""));
    for round in ["0", "1", "2"] {
        let trees = [open(git, &remote).await, open(git, &remote).await];
        let name = |racer: usize| format!("race-{round}-{racer}.yaml");
        let commits = [0, 1].map(|racer| commit(&*trees[racer], &[(name(racer).as_str(), "r")], "race"));
        let (a, b) = futures::join!(trees[0].push(&commits[0]), trees[1].push(&commits[1]));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_ne!(a, b, "one lands, one loses");
        let winner = usize::from(b == Pushed::Landed);
        let tree = open(git, &remote).await;
        assert_eq!(tree.commit_id(), Some(commits[winner].as_str()));
        let files = content(&*tree, "");
        assert!(files.contains_key(&name(winner)) && !files.contains_key(&name(1 - winner)));
    }
    let after = content(&*open(git, &remote).await, "");
    let kept = after.into_iter().filter(|(path, _)| !path.starts_with("race-")).collect();
    assert_eq!(text(&kept), before, "nothing else is lost");
}
