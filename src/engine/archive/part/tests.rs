//! What a file of a snapshot looks like, and what happens to one that was tampered with.

use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::engine::seal::age::generate;

fn keys() -> (Recipients, Identities) {
    let pair = generate("2026-11-21T06:30:00Z".parse().unwrap());
    let mut identities = Identities::default();
    identities.add("test", &pair.file).unwrap();
    (Recipients::parse(&[pair.recipient]).unwrap(), identities)
}

fn sealed(recipients: &Recipients, files: &[(&str, &[u8])]) -> Sealed {
    let mut writer = PartWriter::begin(recipients).unwrap();
    for (path, content) in files {
        writer.add(path, content).unwrap();
    }
    writer.finish().unwrap()
}

fn all(sealed: Bytes, identities: &Identities) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut reader = PartReader::open(sealed, identities)?;
    let mut files = Vec::new();
    while let Some(file) = reader.next(|_| true)? {
        files.push(file);
    }
    Ok(files)
}

/// Seals bytes as a part is sealed, whatever they are.
fn seal_raw(plain: &[u8], recipients: &Recipients) -> Bytes {
    let mut compressor = compressor(recipients).unwrap();
    compressor.write_all(plain).unwrap();
    seal_rest(compressor).unwrap().bytes
}

fn problem(plain: &[u8]) -> String {
    let (recipients, identities) = keys();
    all(seal_raw(plain, &recipients), &identities).unwrap_err().to_string()
}

/// One tar entry with a header of our choice.
fn tar_entry(change: impl FnOnce(&mut tar::Header), content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_path("a.json").unwrap();
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[test]
fn a_path_is_safe_everywhere_and_can_be_turned_back() {
    let name = "system:controller:a/b\u{e9} %";
    insta::assert_snapshot!(
        [
            path("deployments.apps", Some("shop"), "web"),
            path("clusterroles.rbac.authorization.k8s.io", None, name),
            path("pods", Some(".."), "."),
        ]
        .join("\n"),
        @r#"
        deployments.apps/namespaces/shop/web.json
        clusterroles.rbac.authorization.k8s.io/cluster/system%3Acontroller%3Aa%2Fb%C3%A9%20%25.json
        pods/namespaces/%2E%2E/%2E.json
        "#
    );
}

#[test]
fn a_file_goes_in_and_comes_out_whatever_its_length() {
    let (recipients, identities) = keys();
    let long = format!("{}/namespaces/{}/{}.json", "a".repeat(300), "b".repeat(63), "c".repeat(253));
    let block = vec![b'x'; BLOCK];
    let files: Vec<(&str, &[u8])> =
        vec![("a.json", b"{}"), (&long, b"long"), ("empty.json", b""), ("block.json", &block)];
    let back = all(sealed(&recipients, &files).bytes, &identities).unwrap();
    let back: Vec<(&str, &[u8])> = back.iter().map(|(path, c)| (path.as_str(), c.as_slice())).collect();
    assert_eq!(back, files);
}

#[test]
fn only_what_is_wanted_is_given() {
    let (recipients, identities) = keys();
    let part = sealed(&recipients, &[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    let mut reader = PartReader::open(part.bytes, &identities).unwrap();
    assert_eq!(reader.next(|path| path == "c").unwrap(), Some(("c".into(), b"3".to_vec())));
    assert_eq!(reader.next(|_| true).unwrap(), None);
    assert_eq!(reader.next(|_| true).unwrap(), None, "the end stays the end");
}

#[test]
fn equal_input_gives_an_equal_tar() {
    let tar = || {
        let (recipients, identities) = keys();
        let part = sealed(&recipients, &[("a.json", b"{}"), (&"b".repeat(200), b"{}")]);
        let mut plain = Vec::new();
        open(part.bytes, &identities).unwrap().read_to_end(&mut plain).unwrap();
        plain
    };
    assert!(tar() == tar());
}

#[test]
fn a_digest_tells_every_change() {
    let (recipients, _) = keys();
    let part = sealed(&recipients, &[("a.json", b"{}")]);
    let told = PartRef { name: "p".into(), sha256: part.sha256.clone(), bytes: part.bytes.len() as u64 };
    check(&part.bytes, &told).unwrap();
    let mut flipped = part.bytes.to_vec();
    flipped[20] ^= 1;
    assert!(check(&flipped, &told).unwrap_err().to_string().contains("its SHA-256 is"));
    assert!(check(&flipped[1..], &told).unwrap_err().to_string().contains("bytes instead of"));
}

#[test]
fn what_is_no_tar_is_said_to_be_damaged() {
    let whole = tar_entry(|_| {}, b"{}");
    let end = [0; 2 * BLOCK];
    let mut bad_sum = whole.clone();
    bad_sum[0] = b'b';
    let cases: [(&str, Vec<u8>); 9] = [
        ("nothing", Vec::new()),
        ("no end", whole.clone()),
        ("half a header", whole[..100].to_vec()),
        ("half an entry", tar_entry(|_| {}, &[b'x'; 2_000])[..1_200].to_vec()),
        ("wrong checksum", bad_sum),
        ("no tar", b"hello ".repeat(200)),
        ("a link", tar_entry(|header| header.set_entry_type(tar::EntryType::Symlink), b"")),
        (
            "a long path",
            tar_entry(|header| header.set_entry_type(tar::EntryType::GNULongName), &[b'a'; 5_000]),
        ),
        ("a huge size", tar_entry(|header| header.set_size(1 << 40), b"{}")),
    ];
    let lines: Vec<String> =
        cases.iter().map(|(name, plain)| format!("{name}: {}", problem(plain))).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    nothing: it is damaged: it is cut short
    no end: it is damaged: it is cut short
    half a header: it is damaged: it is cut short
    half an entry: it is damaged: an entry is cut short
    wrong checksum: it is damaged: the checksum of an entry is wrong
    no tar: it is damaged: the header of an entry makes no sense
    a link: it is damaged: it holds an entry of type Symlink
    a long path: it is damaged: an entry has 5000 bytes, more than 4096
    a huge size: it is damaged: an entry has 1099511627776 bytes, more than 33554432
    "#);
    let good = [whole, end.to_vec()].concat();
    let (recipients, identities) = keys();
    assert_eq!(all(seal_raw(&good, &recipients), &identities).unwrap().len(), 1);
}

#[test]
fn a_bomb_is_not_unpacked() {
    let (recipients, identities) = keys();
    let mut compressor = compressor(&recipients).unwrap();
    let megabyte = vec![0x20; 1 << 20];
    compressor.write_all(&tar_entry(|header| header.set_size(2 << 30), b"")).unwrap();
    for _ in 0..1_100 {
        compressor.write_all(&megabyte).unwrap();
    }
    let bomb = seal_rest(compressor).unwrap().bytes;
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let skipped = PartReader::open(bomb.clone(), &identities).unwrap().next(|_| false);
    assert!(matches!(skipped, Err(Error::Broken(_))));
    let read = PartReader::open(bomb, &identities).unwrap().next(|_| true);
    assert!(matches!(read, Err(Error::Broken(reason)) if reason.contains("more than 33554432")));
}

#[test]
fn a_window_that_eats_memory_is_refused() {
    let (recipients, identities) = keys();
    let sealer = recipients.seal(Hashing { bytes: Vec::new(), digest: Sha256::new() }).unwrap();
    let mut compressor = zstd::Encoder::new(Counted { sealer, bytes: 0 }, 1).unwrap();
    compressor.window_log(27).unwrap();
    compressor.write_all(&tar_entry(|_| {}, b"{}")).unwrap();
    let part = seal_rest(compressor).unwrap().bytes;
    assert!(matches!(all(part, &identities), Err(Error::Broken(_))));
}

#[test]
fn a_file_that_was_cut_short_does_not_open_as_a_shorter_one() {
    let (recipients, identities) = keys();
    let content = vec![b'x'; 300_000];
    let part = sealed(&recipients, &[("a.json", &content), ("b.json", b"{}")]).bytes;
    for length in [0, 1, 50, 150, 250, part.len() - 20, part.len() - 1] {
        assert!(all(part.slice(..length), &identities).is_err(), "{length} of {}", part.len());
    }
}

#[test]
fn other_identities_are_told_apart_from_damage() {
    let (recipients, _) = keys();
    let (_, others) = keys();
    let part = sealed(&recipients, &[("a.json", b"{}")]).bytes;
    assert!(matches!(all(part, &others), Err(Error::Open(age::Error::WrongIdentity))));
    assert!(matches!(all(Bytes::from_static(b"garbage"), &others), Err(Error::Open(age::Error::Broken(_)))));
}

#[test]
fn json_comes_back_and_nothing_else_does() {
    let (recipients, identities) = keys();
    let sealed = seal_json(&["a", "b"], &recipients).unwrap();
    assert_eq!(open_json::<Vec<String>>(sealed.bytes.clone(), &identities).unwrap(), ["a", "b"]);
    let wrong = open_json::<Vec<u64>>(sealed.bytes, &identities).unwrap_err();
    assert!(matches!(wrong, Error::Broken(_)));
    let twice = seal_raw(b"[\"a\"][\"b\"]", &recipients);
    assert!(open_json::<Vec<String>>(twice, &identities).is_err(), "nothing may follow");
}

#[test]
fn the_standard_tools_list_a_part() {
    let available = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !["age", "zstd", "tar"].into_iter().all(available) {
        return; // the e2e scenarios insist on them
    }
    let pair = generate("2026-11-21T06:30:00Z".parse().unwrap());
    let recipients = Recipients::parse(&[pair.recipient]).unwrap();
    let long = path("customresources.example.com", Some("shop"), &"n".repeat(253));
    let part = sealed(&recipients, &[("pods/namespaces/shop/web.json", b"{}"), (&long, b"{}")]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), pair.file.as_bytes()).unwrap();
    std::fs::write(folder.path().join("part"), &part.bytes).unwrap();
    let listed = Command::new("sh")
        .args(["-c", "age -d -i key part | zstd -d | tar tvf -"])
        .current_dir(folder.path())
        .env("TZ", "UTC")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap().replace(&long, "LONG");
    insta::assert_snapshot!(text, @r#"
    -rw------- 0/0               2 1970-01-01 00:00 pods/namespaces/shop/web.json
    -rw------- 0/0               2 1970-01-01 00:00 LONG
    "#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_is_escaped_to_safe_text_and_two_names_never_meet(a in ".{1,40}", b in ".{1,40}") {
        let (one, two) = (escaped(&a), escaped(&b));
        prop_assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || "._-%".contains(c)));
        prop_assert!(one != "." && one != "..");
        prop_assert_eq!(a == b, one == two);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_part_but_never_a_panic(plain in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        let (recipients, identities) = keys();
        let _ = all(seal_raw(&plain, &recipients), &identities);
        let _ = all(Bytes::from(plain), &identities);
    }
}
