//! The custom resource definitions of Backstay's kinds, made from the same types as the schema of the documents.
//!
//! In: specs and statuses · Out: `CustomResourceDefinition` objects · Touches: nothing

use schemars::JsonSchema;
use serde_json::json;

use super::document::API_VERSION;
use super::object::{Json, JsonMap, Placed, Resource};
use super::repository_view::RepositorySpec;
use super::schema::{definitions, name_of, schema_of_type};
use super::snapshot_view::{SnapshotSpec, SnapshotStatus};
use super::status::{LocationStatus, PlainStatus, PolicyStatus, RepositoryStatus, RestoreStatus, UNSEEN};

/// One kind that Backstay has in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// `BackupPolicy`.
    pub kind: &'static str,
    /// `backuppolicies`.
    pub plural: &'static str,
    /// What `kubectl` takes as well.
    pub short: &'static str,
    /// Whether people write it; otherwise Backstay does, for people to look at.
    pub written_by: Author,
    /// Columns of `kubectl get`: title, type, JSON path.
    columns: &'static [(&'static str, &'static str, &'static str)],
    /// CEL rules of the spec, beside the schema: rule, message.
    rules: &'static [(&'static str, &'static str)],
}

/// Who writes objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// People, or Flux and Argo CD for them.
    People,
    /// Backstay.
    Backstay,
}

const READY: (&str, &str, &str) = ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status");
const STATUS: (&str, &str, &str) = ("Status", "string", ".status.conditions[?(@.type==\"Ready\")].message");
const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");

/// All kinds; people's first, in the order of [`super::schema::KINDS`].
pub const KINDS: [Kind; 7] = [
    Kind {
        kind: "BackupPolicy",
        plural: "backuppolicies",
        short: "bp",
        written_by: Author::People,
        columns: &[
            ("Schedule", "string", ".spec.schedule"),
            ("Suspended", "boolean", ".spec.suspend"),
            ("Last run", "date", ".status.lastRun.finished"),
            ("Outcome", "string", ".status.lastRun.outcome"),
            ("Next run", "string", ".status.nextRun"),
            READY,
            AGE,
        ],
        rules: &[
            ("!has(self.jitter) || has(self.schedule)", "jitter has no meaning without a schedule"),
            (
                "!has(self.startingDeadline) || has(self.schedule)",
                "startingDeadline has no meaning without a schedule",
            ),
        ],
    },
    Kind {
        kind: "BackupLocation",
        plural: "backuplocations",
        short: "bl",
        written_by: Author::People,
        columns: &[
            ("Archive", "string", ".spec.archive.url"),
            ("Mirror", "string", ".spec.mirror.url"),
            ("Access", "string", ".spec.accessMode"),
            READY,
            AGE,
        ],
        rules: &[
            (
                "has(self.mirror) != has(self.archive)",
                "a location is a mirror or an archive, exactly one of them",
            ),
            (
                "!has(self.retainUntil)",
                "retainUntil is not carried out by this version: set a default retention on the bucket",
            ),
        ],
    },
    Kind {
        kind: "RestoreRequest",
        plural: "restorerequests",
        short: "rr",
        written_by: Author::People,
        columns: &[
            ("From", "string", ".spec.from.location"),
            ("When", "string", ".spec.when"),
            ("Token", "string", ".status.token"),
            ("Outcome", "string", ".status.outcome"),
            READY,
            AGE,
        ],
        rules: &[
            (
                "!(has(self.from.snapshot) && has(self.from.commit))",
                "from takes a snapshot or a commit, not both",
            ),
            ("!has(self.when) || self.when == 'Manual' || has(self.token)", "when needs a token"),
        ],
    },
    Kind {
        kind: "HookTemplate",
        plural: "hooktemplates",
        short: "ht",
        written_by: Author::People,
        columns: &[READY, AGE],
        rules: &[],
    },
    Kind {
        kind: "Catalog",
        plural: "catalogs",
        short: "bcat",
        written_by: Author::People,
        columns: &[READY, AGE],
        rules: &[],
    },
    Kind {
        kind: "Snapshot",
        plural: "snapshots",
        short: "bsnap",
        written_by: Author::Backstay,
        columns: &[
            ("Policy", "string", ".spec.policy"),
            ("Location", "string", ".spec.locations"),
            ("Outcome", "string", ".status.outcome"),
            ("Objects", "integer", ".status.objects"),
            ("Started", "date", ".status.started"),
        ],
        rules: &[],
    },
    Kind {
        kind: "PolicyRepository",
        plural: "policyrepositories",
        short: "bpr",
        written_by: Author::Backstay,
        columns: &[
            ("URL", "string", ".spec.url"),
            ("Revision", "string", ".status.revision"),
            READY,
            STATUS,
            AGE,
        ],
        rules: &[],
    },
];

impl Kind {
    /// The kind of this name.
    pub fn of(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.kind == name)
    }

    /// Its resource in a cluster.
    pub fn resource(&self) -> Resource {
        Resource::well_known(API_VERSION, self.kind, self.plural, Placed::InNamespaces)
    }

    /// Its definition: structural, with the status subresource.
    pub fn definition(&self) -> Json {
        let (group, version) = API_VERSION.split_once('/').unwrap_or(("", API_VERSION));
        let columns: Vec<Json> = self.columns.iter().map(|column| self.column(column)).collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{group}", self.plural)},
            "spec": {
                "group": group,
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.kind.to_lowercase(),
                    "shortNames": [self.short],
                    "categories": ["backstay"],
                },
                "scope": "Namespaced",
                "versions": [{
                    "name": version,
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": self.schema()},
                }],
            },
        })
    }

    fn column(&self, (title, kind, path): &(&str, &str, &str)) -> Json {
        // A second line of columns, with `-o wide`.
        let wide = *title == "Age" && self.columns.len() > 6;
        let mut column = json!({"name": title, "type": kind, "jsonPath": path});
        if wide {
            column["priority"] = json!(1);
        }
        column
    }

    fn schema(&self) -> Json {
        let documents = Json::Object(definitions());
        let (spec, description) = match self.written_by {
            Author::People => {
                let document = &documents[self.kind];
                (inline(&document["properties"]["spec"], &documents), document["description"].clone())
            }
            Author::Backstay if self.kind == "Snapshot" => (
                of_type::<SnapshotSpec>(),
                json!(
                    "One snapshot at its locations, for people to look at. Deleting it deletes no snapshot."
                ),
            ),
            Author::Backstay => (
                of_type::<RepositorySpec>(),
                json!(
                    "Where `backstay run` takes policy from, for people to look at: it is set by the options of the program."
                ),
            ),
        };
        let mut spec = spec;
        let rules: Vec<Json> =
            self.rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
        if !rules.is_empty() {
            spec["x-kubernetes-validations"] = json!(rules);
        }
        json!({
            "description": description,
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": spec,
                "status": self.status(),
            },
        })
    }

    /// A document of people says from its first moment that nobody has looked at it: to kstatus, no status at all means ready.
    fn status(&self) -> Json {
        let mut status = self.written_status();
        if self.written_by == Author::People {
            status["default"] = json!({"observedGeneration": UNSEEN});
        }
        status
    }

    fn written_status(&self) -> Json {
        match self.kind {
            "BackupPolicy" => of_type::<PolicyStatus>(),
            "BackupLocation" => of_type::<LocationStatus>(),
            "RestoreRequest" => of_type::<RestoreStatus>(),
            "Snapshot" => of_type::<SnapshotStatus>(),
            "PolicyRepository" => of_type::<RepositoryStatus>(),
            _ => of_type::<PlainStatus>(),
        }
    }
}

fn of_type<T: JsonSchema>() -> Json {
    let schema = schema_of_type::<T>();
    inline(&schema, &schema["$defs"])
}

/// A schema as a definition has to have it: nothing referred to, nothing that is not structural.
fn inline(schema: &Json, all: &Json) -> Json {
    let Some(map) = schema.as_object() else {
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    let mut out = match name_of(schema) {
        "" => JsonMap::new(),
        name => inline(&all[name], all).as_object().cloned().unwrap_or_default(),
    };
    for (key, value) in map {
        let (key, value) = match key.as_str() {
            "$ref" | "$defs" | "default" | "title" => continue,
            // Unknown fields are pruned or refused by the API server.
            "additionalProperties" if !value.is_object() => continue,
            "format" if !["date-time", "int32", "int64"].iter().any(|known| value == known) => continue,
            "const" => ("enum", json!([value])),
            "properties" => ("properties", each(value, all)),
            "items" | "additionalProperties" => (key.as_str(), inline(value, all)),
            other => (other, value.clone()),
        };
        out.insert(key.to_owned(), value);
    }
    if !out.contains_key("type") {
        // Any value at all.
        out.insert("x-kubernetes-preserve-unknown-fields".into(), Json::Bool(true));
    }
    if out.get("type").is_some_and(|t| t == "object")
        && !out.contains_key("properties")
        && !out.contains_key("additionalProperties")
    {
        out.insert("x-kubernetes-preserve-unknown-fields".into(), Json::Bool(true));
    }
    Json::Object(out)
}

fn each(properties: &Json, all: &Json) -> Json {
    let fields = properties.as_object().into_iter().flatten();
    Json::Object(fields.map(|(name, schema)| (name.clone(), inline(schema, all))).collect())
}

#[cfg(test)]
mod tests;
