//! What standard programs make of our files, and we of theirs.

use std::fs;

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, files};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "an-archive-opens-with-age-zstd-and-tar",
            needs: &[Need::Api, Need::Age],
            run: archive_opens,
        },
        Scenario {
            name: "sops-opens-every-encrypted-file",
            needs: &[Need::Api, Need::Sops],
            run: sops_opens,
        },
        Scenario {
            name: "kubectl-accepts-the-decrypted-mirror",
            needs: &[Need::Api, Need::Sops],
            run: kubectl_accepts,
        },
        Scenario { name: "a-document-of-sops-is-read", needs: &[Need::Api, Need::Sops], run: reads_sops },
        Scenario { name: "a-mirror-commit-is-signed", needs: &[Need::Api], run: signed },
        Scenario { name: "a-commit-that-gnupg-signed-is-trusted", needs: &[Need::Gnupg], run: trusted },
    ]
}

fn archive_opens(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let list = sandbox.shell(
        "for part in $(find archive -name 'objects-*.tar.zst.age'); do age -d -i key.txt $part | zstd -dq | tar t; done",
    );
    let ns = &sandbox.namespace;
    list.expect(0)
        .says(&format!("deployments.apps/namespaces/{ns}/web.json"))
        .says(&format!("secrets/namespaces/{ns}/db.json"))
        .says(&format!("namespaces/cluster/{ns}.json"));
    let secret = sandbox.shell(&format!(
        "for part in $(find archive -name 'objects-*.tar.zst.age'); do
           age -d -i key.txt $part | zstd -dq | tar xO --occurrence secrets/namespaces/{ns}/db.json 2>/dev/null && break
         done"
    ));
    let live = sandbox.object("secret", ns, "db").unwrap();
    let stored = secret.json();
    assert_eq!(stored["data"], live["data"]);
    assert_eq!(stored["metadata"]["uid"], live["metadata"]["uid"]);
}

fn sops_opens(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.git(&["clone", "--quiet", "mirror.git", "clone"]);
    let encrypted: Vec<_> = files(&sandbox.dir.join("clone/clusters"))
        .into_iter()
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("ENC[AES256_GCM")))
        .collect();
    assert!(!encrypted.is_empty());
    for file in &encrypted {
        sandbox.shell(&format!("sops -d {} >/dev/null", file.display())).expect(0);
    }
    let secret = format!("clone/clusters/e2e/namespaces/{}/core/secrets/db.yaml", sandbox.namespace);
    let shown = sandbox.shell(&format!("sops -d --output-type json {secret}")).expect(0).json();
    assert_eq!(shown["data"]["username"], "c2hvcA==");

    // An edit through sops finds the recipients in .sops.yaml, and Backstay reads what sops wrote.
    sandbox
        .shell(&format!(
            "cd clone && sops set {} '[\"data\"][\"username\"]' '\"bmV3\"'",
            &secret["clone/".len()..]
        ))
        .expect(0);
    let run = sandbox.with_key(&["diff", "mirror@main", &sandbox.path("clone/clusters/e2e")]).expect(1);
    run.says("username").says_not("bmV3");
}

fn kubectl_accepts(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.apply(include_str!("../fixtures/bottles.yaml"));
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.git(&["clone", "--quiet", "mirror.git", "clone"]);
    sandbox
        .shell("grep -rl 'ENC\\[AES256_GCM' clone/clusters | while read -r f; do sops -d -i \"$f\"; done; rm clone/clusters/*/backstay.yaml")
        .expect(0);
    sandbox.shell("kubectl apply --dry-run=server -R -f clone/clusters").expect(0);
    sandbox.kubectl(&["delete", "crd", &format!("bottles.{}.example.org", sandbox.namespace)]).expect(0);
}

fn reads_sops(sandbox: &Sandbox) {
    let recipient = sandbox.recipient();
    let location = format!(
        "apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {{name: hidden}}
spec:
  archive: {{url: 'file://{}'}}
  recipients: [{recipient}]
",
        sandbox.path("hidden")
    );
    sandbox.write("hidden.yaml", &location);
    sandbox
        .shell(&format!(
            "sops -e --age {recipient} --encrypted-regex '^spec$' hidden.yaml > policy/hidden.yaml"
        ))
        .expect(0);
    let text = fs::read_to_string(sandbox.dir.join("policy/hidden.yaml")).unwrap();
    assert!(!text.contains("file://"));
    sandbox.with_key(&["validate"]).expect(0);
    sandbox.backstay(&["validate"]).expect(2).says("hidden.yaml").says("identity");
    sandbox.write("policy/hidden.yaml", &text.replacen("name: hidden", "name: hidden2", 1));
    sandbox
        .with_key(&["validate"])
        .expect(2)
        .says("hidden.yaml")
        .says("changed after the document was encrypted");
}

fn signed(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.shell("ssh-keygen -q -t ed25519 -N '' -C backstay -f signing").expect(0);
    let policy = fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    let url = format!("{{url: 'file://{}/mirror.git'", sandbox.dir.display());
    let signing = format!(
        "{url}, signingKey: '{}', author: {{name: B, email: b@example.org}}",
        sandbox.path("signing")
    );
    sandbox.write("policy/policy.yaml", &policy.replace(&url, &signing));
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.shell("echo \"b@example.org $(cat signing.pub)\" > allowed").expect(0);
    sandbox
        .shell("git -C mirror.git -c gpg.ssh.allowedSignersFile=$PWD/allowed verify-commit main")
        .expect(0)
        .says("Good");
}

/// Keys of Ada and Eve in GnuPG, each with a subkey for signing, and a policy repository with a commit that Ada has signed.
const SIGNED: &str = "
for who in ada eve; do
  $gpg --passphrase '' --quick-generate-key \"$who <$who@example.org>\" ed25519 cert 1y
done
$gpg --passphrase '' --quick-add-key $(key ada) rsa2048 sign 1y
$gpg --passphrase '' --quick-add-key $(key eve) ed25519 sign 1y
mkdir ada eve
$gpg --armor --export ada@example.org > ada/ada.asc
$gpg --armor --export eve@example.org > eve/eve.asc
git init --quiet signed
cp policy/policy.yaml signed/
git -C signed add .
git -C signed -c user.name=Ada -c user.email=ada@example.org -c user.signingKey=$(key ada) commit --quiet -S -m policy
git -C signed verify-commit HEAD";

/// Ada's revocation, which GnuPG made with her key, is imported and exported.
const REVOKED: &str = "
sed 's/^:---/---/' $GNUPGHOME/openpgp-revocs.d/$(key ada).rev | $gpg --import
$gpg --armor --export ada@example.org > eve/ada.asc";

fn trusted(sandbox: &Sandbox) {
    // The socket of its agent has a path of 107 bytes at most.
    let home = std::env::temp_dir().join(format!("backstay-gnupg-{}", std::process::id()));
    let start = format!(
        "export GNUPGHOME={} GIT_CONFIG_GLOBAL=/dev/null; mkdir -p -m 700 $GNUPGHOME
         gpg='gpg --quiet --batch --no-tty'
         key() {{ $gpg --list-keys --with-colons $1@example.org | awk -F: '/^fpr/ && !seen++ {{print $10}}'; }}",
        home.display()
    );
    let gpg = |lines: &str| sandbox.shell(&format!("{start}\n{lines}")).expect(0);
    gpg(SIGNED);
    let url = format!("file://{}", sandbox.path("signed"));
    let validate = |signers: &str| {
        sandbox.backstay(&["validate", "--policy-repo", &url, "--allowed-signers", &sandbox.path(signers)])
    };
    validate("ada/ada.asc").expect(0);
    validate("ada").expect(0);
    validate("eve")
        .expect(3)
        .says("which is no allowed signer")
        .says("next: sign the commit, or add the key");
    gpg(REVOKED);
    validate("eve").expect(3).says("whose primary key is revoked").says("ada@example.org");
    gpg("gpgconf --kill all; rm -r $GNUPGHOME");
}
