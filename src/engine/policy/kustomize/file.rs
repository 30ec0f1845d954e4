//! A kustomization file: the fields that are read, and an error for each that is not.
//!
//! In: `Node` · Out: `Overlay` · Touches: nothing

use std::sync::LazyLock;

use crate::domain::object::Json;
use crate::domain::schema::schema_of_type;
use crate::engine::policy::check::{Misfit, Part, Shape};
use crate::engine::policy::node::{Fault, Node, Place};

use super::says::Kustomization;

/// A folder with its kustomization.
#[derive(Debug)]
pub struct Overlay {
    /// The folder.
    pub folder: String,
    /// Path of the kustomization in it.
    pub file: String,
    /// What it says.
    pub says: Kustomization,
    node: Node,
}

/// Fields of kustomize that are not read, and what to do instead.
const UNREAD: [(&str, &str); 14] = [
    ("buildMetadata", "leave it out: nobody reads what it would add"),
    ("configurations", "write the field with a patch or with `replacements`"),
    ("crds", "write the field with a patch or with `replacements`"),
    ("generators", "commit what they make: Backstay starts no other programs"),
    ("helmChartInflationGenerator", "commit what `helm template` prints: Backstay starts no other programs"),
    ("helmCharts", "commit what `helm template` prints: Backstay starts no other programs"),
    ("helmGlobals", "commit what `helm template` prints: Backstay starts no other programs"),
    ("imageTags", "write `images`"),
    ("inventory", "leave it out"),
    ("openapi", "write the field with a patch: lists of custom resources are replaced"),
    ("replicas", "write a patch"),
    ("transformers", "write a patch: Backstay starts no other programs"),
    ("validators", "check before you commit: Backstay starts no other programs"),
    ("vars", "write `replacements`"),
];

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema_of_type::<Kustomization>()));

impl Overlay {
    /// Reads the only document of a kustomization file.
    ///
    /// # Errors
    /// Every field that is not read or has a wrong value.
    pub fn open(folder: &str, file: &str, node: Node) -> Result<Self, Vec<Fault>> {
        let mut tree = node.to_json();
        if let Json::Object(fields) = &mut tree {
            fields.retain(|_, value| !value.is_null());
        }
        let misfits = SHAPE.misfits(&tree);
        let faults: Vec<Fault> =
            misfits.iter().filter(|m| m.part != Part::Said).map(|m| fault(&node, m)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let says: Kustomization =
            serde_json::from_value(tree).map_err(|error| vec![Fault::new(node.place, error.to_string())])?;
        let overlay = Self { folder: folder.to_owned(), file: file.to_owned(), says, node };
        overlay.checked()
    }

    fn checked(self) -> Result<Self, Vec<Fault>> {
        let wrong = |field: &str, message: String| Err(vec![Fault::new(self.at(field), message)]);
        let version = if self.is_component() { "v1alpha1" } else { "v1beta1" };
        let version = format!("kustomize.config.k8s.io/{version}");
        if !["", "Kustomization", "Component"].contains(&self.says.kind.as_str()) {
            return wrong("/kind", "must be `Kustomization` or `Component`".into());
        }
        if !["", &version].contains(&self.says.api_version.as_str()) {
            return wrong("/apiVersion", format!("must be `{version}`"));
        }
        let told = ["apiVersion", "kind", "metadata"];
        if self.node.fields().iter().all(|field| told.contains(&field.key.as_str()) || field.value.is_null())
        {
            return wrong("", "the kustomization is empty".into());
        }
        Ok(self)
    }

    /// Whether it is a part that others add.
    pub fn is_component(&self) -> bool {
        self.says.kind == "Component"
    }

    /// Where the value at a JSON pointer stands.
    pub fn at(&self, pointer: &str) -> Place {
        self.node.value_at(pointer)
    }
}

fn fault(node: &Node, misfit: &Misfit) -> Fault {
    let pointer = &misfit.error.pointer;
    let place = match misfit.part {
        Part::Key => node.key_at(pointer),
        Part::Value | Part::Inside | Part::Said => node.value_at(pointer),
    };
    let unread = UNREAD.iter().find(|(name, _)| misfit.part == Part::Key && pointer == &format!("/{name}"));
    if let Some((name, instead)) = unread {
        return Fault::new(place, format!("the kustomize field `{name}` is not read by Backstay"))
            .help(*instead);
    }
    Fault { place, message: said(pointer, &misfit.error.message), help: misfit.error.help.clone() }
}

fn said(pointer: &str, message: &str) -> String {
    let field = pointer.rsplit('/').find(|part| !part.chars().all(|c| c.is_ascii_digit()));
    match field {
        Some(field) if !message.contains(field) => format!("`{field}` {message}"),
        _ => message.to_owned(),
    }
}

/// Every path that a kustomization names, whatever else is wrong with it: the reader must bring these files.
pub fn mentions(node: &Node) -> Vec<String> {
    let texts = |node: Option<&Node>| -> Vec<String> {
        node.map_or(&[][..], Node::items).iter().filter_map(Node::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for field in ["resources", "bases", "components", "patchesStrategicMerge"] {
        found.extend(texts(node.get(field)));
    }
    for field in ["patches", "patchesJson6902", "replacements"] {
        let entries = node.get(field).map_or(&[][..], Node::items);
        found.extend(entries.iter().filter_map(|entry| entry.text("path")).map(str::to_owned));
    }
    for field in ["configMapGenerator", "secretGenerator"] {
        for entry in node.get(field).map_or(&[][..], Node::items) {
            let files = texts(entry.get("files"));
            found.extend(
                files.into_iter().map(|f| f.split_once('=').map_or(f.clone(), |(_, file)| file.to_owned())),
            );
            found.extend(texts(entry.get("envs")));
            found.extend(entry.text("env").map(str::to_owned));
        }
    }
    found.retain(|path| !path.contains('\n'));
    found
}
