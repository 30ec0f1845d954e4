//! What a person wants restored: a request of the policy repository, or one made of options.
//!
//! In: `RestoreArgs`, `PolicySet` · Out: `Wanted` · Touches: nothing

use std::collections::BTreeMap;

use crate::domain::conflict::Existing;
use crate::domain::document::PolicySet;
use crate::domain::hook::HookAnnotations;
use crate::domain::owners::Owners;
use crate::domain::restore_request::{RestoreSource, RestoreSpec};
use crate::work::choose::{self, StateName};
use crate::work::failure::Failure;
use crate::work::wanted::Wanted;

use super::compare;
use super::restore_args::{ExistingArg, OwnersArg, RestoreArgs};

/// The request of this name, or one made of the options.
pub fn wanted(set: &PolicySet, args: &RestoreArgs) -> Result<Wanted, Failure> {
    let mut spec = match (&args.request, &args.from) {
        (Some(name), _) => choose::restore(set, name)?.1.clone(),
        (None, Some(from)) => made(set, from, args)?,
        (None, None) => return Err(Failure::usage("name a restore request, or say --from LOCATION@STATE")),
    };
    if let Some(existing) = args.existing {
        spec.existing = match existing {
            ExistingArg::Skip => Existing::Skip,
            ExistingArg::Update => Existing::Update,
            ExistingArg::Recreate => Existing::Recreate,
            ExistingArg::RecreateAlways => Existing::RecreateAlways,
            ExistingArg::Fail => Existing::Fail,
        };
    }
    if let Some(owners) = args.owners {
        spec.owners = Some(match owners {
            OwnersArg::Keep => Owners::Keep,
            OwnersArg::Strip => Owners::Strip,
            OwnersArg::Pause => Owners::Pause,
        });
    }
    if args.no_hooks {
        spec.hooks.clear();
        spec.hook_annotations = HookAnnotations::Ignore;
    }
    if let Some(wrong) = spec.check().first().filter(|_| args.request.is_none()) {
        return Err(Failure::usage(format!("cannot restore so: {wrong}")));
    }
    spec.token = args.token.clone().or(spec.token);
    Wanted::new(set, spec, (args.request.clone(), called(args)))
}

fn made(set: &PolicySet, from: &str, args: &RestoreArgs) -> Result<RestoreSpec, Failure> {
    Ok(RestoreSpec {
        select: compare::only(&args.only_namespace, &args.only_kind),
        namespace_mapping: mapping("--map-namespace", &args.map_namespace)?,
        storage_class_mapping: mapping("--map-storage-class", &args.map_storage_class)?,
        image_mapping: mapping("--map-image", &args.map_image)?,
        children: args.children.clone(),
        prune: args.prune,
        ..RestoreSpec::of(source(set, from)?)
    })
}

/// What the restore is called on the owners it pauses: the same command has the same name.
fn called(args: &RestoreArgs) -> String {
    if let Some(request) = &args.request {
        return format!("request {request}");
    }
    let lists = [
        ("-n", &args.only_namespace),
        ("--only-kind", &args.only_kind),
        ("--map-namespace", &args.map_namespace),
        ("--map-storage-class", &args.map_storage_class),
        ("--map-image", &args.map_image),
        ("--children", &args.children),
    ];
    let mut words: Vec<&str> = args.from.iter().map(String::as_str).collect();
    for (option, values) in lists {
        words.extend(values.iter().flat_map(|value| [option, value.as_str()]));
    }
    words.join(" ")
}

/// A state as a person names it.
pub fn source(set: &PolicySet, from: &str) -> Result<RestoreSource, Failure> {
    match StateName::parse(from, |_| false)? {
        StateName::At { location, state } => {
            let (_, found) = choose::location(set, &location)?;
            let (snapshot, commit) =
                if found.archive.is_some() { (Some(state), None) } else { (None, Some(state)) };
            Ok(RestoreSource { location, snapshot, commit, cluster: None })
        }
        StateName::Cluster | StateName::Folder(_) => {
            Err(Failure::usage(format!("cannot restore from {from:?}"))
                .hint("name LOCATION@SNAPSHOT or LOCATION@COMMIT"))
        }
    }
}

fn mapping(option: &str, pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let parse = |pair: &String| match pair.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err(Failure::usage(format!("cannot use {option} {pair:?}")).hint("write OLD=NEW")),
    };
    let mut mapping = BTreeMap::new();
    for pair in pairs {
        let (old, new) = parse(pair)?;
        if let Some(other) = mapping.insert(old.clone(), new).filter(|other| mapping[&old] != *other) {
            let text = format!("{option} gives {old} two new names, {other} and {}", mapping[&old]);
            return Err(Failure::usage(text));
        }
    }
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_has_the_same_name_whatever_it_does_with_what_exists() {
        let args = RestoreArgs {
            request: None,
            from: Some("archive@latest".into()),
            only_namespace: vec!["shop".into(), "db".into()],
            only_kind: vec!["Secret".into()],
            map_namespace: vec!["shop=copy".into()],
            map_storage_class: Vec::new(),
            map_image: Vec::new(),
            existing: Some(ExistingArg::Update),
            children: Vec::new(),
            prune: true,
            no_hooks: false,
            token: Some("one".into()),
            owners: Some(OwnersArg::Pause),
        };
        let wanted = "archive@latest -n shop -n db --only-kind Secret --map-namespace shop=copy";
        assert_eq!(called(&args), wanted);
        assert_eq!(called(&RestoreArgs { request: Some("back".into()), from: None, ..args }), "request back");
    }
}
