//! Where an old name still stands after a restore gave new ones: the place and the form, never what else is there.
//!
//! In: what was found · Out: `Mention`, lines for people · Touches: nothing

use serde::{Deserialize, Serialize};

use super::object::ObjectKey;

/// A field in which an old name still stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mention {
    /// What got a new name.
    pub of: Renamed,
    /// The old name.
    pub old: String,
    /// The new one.
    pub new: String,
    /// The object, in the cluster it goes to.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// JSON pointer of the field; of a Secret the key.
    pub field: String,
    /// How the name stands there.
    pub form: Form,
}

/// What a restore gives new names to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Renamed {
    /// Namespaces, by `namespaceMapping`.
    Namespace,
    /// Storage classes, by `storageClassMapping`.
    StorageClass,
}

/// How an old name stands in a text, so that it cannot be just the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Form {
    /// `db.shop.svc`, `shop.svc`.
    DnsName,
    /// `db.shop`, where the namespace had a Service `db`.
    ServiceName,
    /// `shop/db`, where the namespace had an object `db`.
    ObjectName,
    /// `system:serviceaccount:shop:web`, `system:serviceaccounts:shop`.
    Account,
    /// `namespace: shop`, `--namespace=shop`, `-n shop` or `namespaces/shop` inside a longer text.
    AfterItsKind,
    /// The whole value of a field or variable whose own name says what it holds, such as `targetNamespace`.
    WholeValue,
    /// `fast.storageclass.storage.k8s.io` of a quota.
    Quota,
}

/// How many fields of one old name are shown to people; all of them are in JSON.
const SHOWN: usize = 24;

/// The mentions for people, for each old name a line and then its fields. Takes them sorted.
pub fn lines(mentions: &[Mention]) -> Vec<String> {
    let mut lines = Vec::new();
    for of_name in mentions.chunk_by(|a, b| (a.of, &a.old) == (b.of, &b.old)) {
        let Mention { of, old, new, .. } = &of_name[0];
        let what = match of {
            Renamed::Namespace => "namespace",
            Renamed::StorageClass => "storage class",
        };
        let number = of_name.len();
        let fields = if number == 1 { "1 field".to_owned() } else { format!("{number} fields") };
        lines.push(format!("the old name of {what} {new} ({old}) still stands in {fields}:"));
        let shown = of_name.iter().take(SHOWN);
        lines.extend(shown.map(|Mention { key, field, form, .. }| {
            let form = match form {
                Form::DnsName => "a DNS name",
                Form::ServiceName => "the address of a Service",
                Form::ObjectName => "an object of it",
                Form::Account => "a service account",
                Form::AfterItsKind => "by name, in a text",
                Form::WholeValue => "by name",
                Form::Quota => "a quota",
            };
            format!("  {key} {field} ({form})")
        }));
        if number > SHOWN {
            lines.push(format!("  and {} more: -o json shows all", number - SHOWN));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_some_dozens_of_fields_and_how_many_there_are() {
        let mention = |of, old: &str, number: usize| Mention {
            of,
            old: old.into(),
            new: format!("{old}-new"),
            key: ObjectKey {
                group: String::new(),
                kind: "ConfigMap".into(),
                namespace: None,
                name: format!("c{number:02}"),
            },
            field: "/data/url".into(),
            form: Form::DnsName,
        };
        let mut mentions: Vec<Mention> = (0..30).map(|at| mention(Renamed::Namespace, "shop", at)).collect();
        mentions.push(mention(Renamed::StorageClass, "fast", 1));
        let lines = lines(&mentions);
        assert_eq!(lines.len(), 1 + 24 + 1 + 2);
        assert_eq!(lines[0], "the old name of namespace shop-new (shop) still stands in 30 fields:");
        assert_eq!(lines[1], "  ConfigMap c00 /data/url (a DNS name)");
        assert_eq!(lines[25], "  and 6 more: -o json shows all");
        assert_eq!(lines[26], "the old name of storage class fast-new (fast) still stands in 1 field:");
    }
}
