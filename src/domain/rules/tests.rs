//! The built-in catalog is sound, and a policy repository can add to it.

use serde_json::json;

use super::*;
use crate::domain::object::{Gvk, Json};

fn resource(api_version: &str, kind: &str, plural: &str) -> Resource {
    Resource {
        gvk: Gvk::new(api_version, kind),
        plural: plural.into(),
        namespaced: true,
        verbs: Vec::new(),
        served: Vec::new(),
    }
}

fn object(value: Json) -> Manifest {
    Manifest::parse(value).unwrap()
}

fn user(yaml: &str) -> Result<Catalog, String> {
    let spec: CatalogSpec = serde_saphyr::from_str(yaml).unwrap();
    let told =
        |errors: Vec<FieldError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Catalog::with(&BTreeMap::from([("/shop".to_owned(), spec)])).map_err(told)
}

#[test]
fn every_file_in_the_catalog_folder_is_built_in_and_every_rule_says_where_it_comes_from() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/catalog");
    let mut there: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    let mut built_in: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    built_in.sort_unstable();
    assert_eq!(there, built_in);
    for (name, text) in FILES {
        let file: File = serde_saphyr::from_str(text).unwrap();
        assert_eq!(
            (file.api_version.as_str(), file.kind.as_str()),
            ("backstay.dev/v1alpha1", "Catalog"),
            "{name}"
        );
        for rule in file.spec.rules {
            assert!(rule.source.is_some(), "{name}: {} has no source", rule.name);
        }
    }
    assert!(Catalog::builtin().rules.len() > 80);
}

#[test]
fn every_wave_is_used_by_a_rule() {
    let catalog = Catalog::builtin();
    let used: Vec<&str> = catalog.rules.iter().filter_map(|r| r.wave.as_deref()).collect();
    for wave in catalog.waves() {
        assert!(used.contains(&wave.name.as_str()), "{} is empty for ever", wave.name);
    }
}

#[test]
fn a_policy_repository_adds_a_wave_and_puts_its_kinds_there() {
    let catalog = user(
        "waves: [{name: databases, after: configuration}, {name: database users}]
rules:
- {name: pg, kinds: [clusters.postgresql.cnpg.io], wave: databases}
- {name: users, kinds: [Role.postgresql.example], wave: database users}",
    )
    .unwrap();
    let names: Vec<&str> = catalog.waves().iter().map(|w| w.name.as_str()).collect();
    let at = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert_eq!(
        [at("configuration") + 1, at("configuration") + 2, at("configuration") + 3],
        [at("databases"), at("database users"), at("network policies")]
    );
    let cluster = resource("postgresql.cnpg.io/v1", "Cluster", "clusters");
    let outline =
        object(json!({"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"name":"pg"}}));
    assert_eq!(catalog.kind(&cluster).wave(&outline), at("databases"));
}

#[test]
fn a_rule_with_the_name_of_a_built_in_one_replaces_it() {
    let events = resource("v1", "Event", "events");
    assert!(Catalog::builtin().kind(&events).never_listed().is_some());
    let catalog = user("rules: [{name: never/events, kinds: [events], pageSize: 100}]").unwrap();
    assert_eq!(catalog.kind(&events).never_listed(), None);
    assert_eq!(catalog.kind(&events).page_size(), 100);
}

#[test]
fn a_policy_repository_adds_a_tool_or_replaces_a_built_in_one() {
    let label = "marks: [{name: /metadata/labels/app.kubernetes.io~1instance}]";
    let text = format!(
        "owners: [{{name: argo-cd/application, kinds: [applications.argoproj.io], {label}}}, {{name: mine, {label}}}]"
    );
    let (catalog, built_in) = (user(&text).unwrap(), Catalog::builtin());
    assert_eq!(catalog.tools().len(), built_in.tools().len() + 1);
    let applications = resource("argoproj.io/v1alpha1", "Application", "applications");
    assert!(built_in.kind(&applications).tool().unwrap().suspend.is_some());
    assert!(catalog.kind(&applications).tool().unwrap().suspend.is_none());
    let twice = user(&format!("owners: [{{name: mine, {label}}}, {{name: mine, {label}}}]")).unwrap_err();
    assert_eq!(twice, "/shop/owners/1/name: \"mine\" stands in catalog /shop already");
    let wrong = user("owners: [{name: mine}]").unwrap_err();
    assert_eq!(wrong, "/shop/owners/0/marks: needs at least one mark, or `ownerReferences: true`");
}

#[test]
fn a_condition_that_asks_for_a_missing_field_does_not_count_and_a_broken_one_is_told() {
    let catalog = user(
        "rules:
- {name: big, kinds: [widgets.example.org], when: object.spec.size > 3, never: it is big}
- {name: red, kinds: [widgets.example.org], when: object.spec.size > 3, restore: {drop: [/spec/colour]}}",
    )
    .unwrap();
    let rules = catalog.kind(&resource("example.org/v1", "Widget", "widgets"));
    let widget = |spec: Json| {
        object(json!({"apiVersion":"example.org/v1","kind":"Widget","metadata":{"name":"w"},"spec":spec}))
    };
    assert_eq!(rules.never(&widget(json!({"size":4}))), Some("it is big"));
    assert_eq!(rules.never(&widget(json!({"size":2}))), None);
    assert_eq!(rules.never(&widget(json!({}))), None);
    let unclear = rules.restore(&widget(json!({"size":"large"}))).unwrap_err();
    assert_eq!(unclear.to_string(), "cannot evaluate catalog rule \"red\"");
}

#[test]
fn every_wrong_field_of_a_catalog_is_told_at_once() {
    let told = user(
        "waves: [{name: mine}, {name: late, after: workload}, {name: claims, after: volumes}]
rules:
- {name: a, kinds: []}
- {name: b, kinds: [apps/v1], when: 'object.spec.x ==', pageSize: 0}
- {name: c, kinds: ['*'], mirror: {drop: [spec, /kind]}, restore: {set: [{path: '/a~', value: 1}]}, wave: claim}
- {name: d, kinds: [pods], ready: {cel: 'pod.x'}}
- {name: e, kinds: [pods], versions: [{from: [], to: a b, rename: [{path: '/spec/*', to: x}], defaults: [{path: spec, value: 1}]}]}",
    )
    .unwrap_err();
    insta::assert_snapshot!(told, @r#"
    /shop/waves/0: needs `after`: the name of the wave it follows
    /shop/waves/1/after: there is no wave "workload" (did you mean "workloads"?)
    /shop/waves/2/name: there is a wave of this name already (rules can use it as it is)
    /shop/rules/0/kinds: needs at least one kind; `*` stands for all
    /shop/rules/1/kinds: "apps/v1" is not a pattern: write a Kind (`Deployment`) or `resource.group` (`deployments.apps`), without a version
    /shop/rules/1/when: not a CEL expression: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER} (line 1, column 17)
    /shop/rules/1/when: cannot stand together with pageSize, keepManagedFields or builtIn: they count for whole kinds
    /shop/rules/1/pageSize: must be at least 1
    /shop/rules/2/wave: there is no wave "claim" (did you mean "claims"?)
    /shop/rules/2/mirror/drop/0: a field path is a JSON pointer such as /spec/replicas, not "spec"
    /shop/rules/2/mirror/drop/1: the field path "/kind" would remove the identity of the object
    /shop/rules/2/restore/set/0/path: in a field path ~ is written ~0 and / is written ~1: "/a~"
    /shop/rules/3/ready/cel: unknown variable "pod" in a CEL expression; the object is called `object`
    /shop/rules/4/versions/0/from: needs at least one apiVersion
    /shop/rules/4/versions/0/to: must be an apiVersion such as `policy/v1`
    /shop/rules/4/versions/0/rename/0/path: must end in the plain name of a field
    /shop/rules/4/versions/0/defaults/0/path: a field path is a JSON pointer such as /spec/replicas, not "spec"
    "#);
}

#[test]
fn a_policy_repository_adds_a_way_between_versions_and_replaces_a_built_in_one() {
    let catalog = user(
        "rules:
- {name: mine, kinds: [widgets.example.org], versions: [{from: [example.org/v1], to: example.org/v2, drop: [/spec/old]}]}
- {name: again, kinds: [cronjobs], versions: [{from: [batch/v1beta1], to: batch/v1, drop: [/spec/timeZone]}]}",
    )
    .unwrap();
    let widgets = catalog.kind(&resource("example.org/v1", "Widget", "widgets"));
    assert_eq!(widgets.ways("example.org/v1")[0].to, "example.org/v2");
    assert!(widgets.ways("example.org/v2").is_empty());
    let jobs = catalog.kind(&resource("batch/v1beta1", "CronJob", "cronjobs"));
    let ways = jobs.ways("batch/v1beta1");
    assert!(ways.len() == 1 && ways[0].edits(), "the last way between two versions counts");
}

#[test]
fn one_rule_name_in_two_catalogs_is_refused() {
    let spec: CatalogSpec = serde_saphyr::from_str("rules: [{name: a, kinds: [pods]}]").unwrap();
    let two = BTreeMap::from([("/one".to_owned(), spec.clone()), ("/two".to_owned(), spec)]);
    let told = Catalog::with(&two).unwrap_err();
    assert_eq!(told[0].to_string(), "/two/rules/0/name: rule \"a\" stands in catalog /one already");
}

#[test]
fn what_velero_never_restores_is_not_even_listed_here() {
    // Source: velero nonRestorableResources, and what an API server only answers or keeps for itself.
    let catalog = Catalog::builtin();
    let table = [
        ("v1", "Node", "nodes"),
        ("v1", "Event", "events"),
        ("events.k8s.io/v1", "Event", "events"),
        ("velero.io/v1", "Backup", "backups"),
        ("velero.io/v1", "Restore", "restores"),
        ("velero.io/v1", "ResticRepository", "resticrepositories"),
        ("velero.io/v1", "BackupRepository", "backuprepositories"),
        ("storage.k8s.io/v1", "CSINode", "csinodes"),
        ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments"),
        ("coordination.k8s.io/v1", "Lease", "leases"),
        ("metrics.k8s.io/v1beta1", "PodMetrics", "pods"),
        ("v1", "ComponentStatus", "componentstatuses"),
        ("authentication.k8s.io/v1", "TokenReview", "tokenreviews"),
        ("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews"),
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        ("networking.k8s.io/v1", "IPAddress", "ipaddresses"),
        ("resource.k8s.io/v1", "ResourceSlice", "resourceslices"),
    ];
    for (api_version, kind, plural) in table {
        assert!(catalog.kind(&resource(api_version, kind, plural)).never_listed().is_some(), "{plural}");
    }
    let listed = [
        ("v1", "Pod", "pods"),
        ("apps/v1", "ControllerRevision", "controllerrevisions"),
        ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
        ("velero.io/v1", "Schedule", "schedules"),
        ("example.org/v1", "Event", "events"),
        ("example.org/v1", "Node", "nodes"),
    ];
    for (api_version, kind, plural) in listed {
        assert_eq!(catalog.kind(&resource(api_version, kind, plural)).never_listed(), None, "{plural}");
    }
}

#[test]
fn what_the_cluster_makes_by_itself_is_not_collected_and_what_a_person_made_is() {
    let catalog = Catalog::builtin();
    let told = |row: &str| {
        let (plural, text) = row.split_once(' ').unwrap();
        let object = Manifest::parse(serde_saphyr::from_str(text).unwrap()).unwrap();
        let kind = resource(&object.gvk().api_version(), object.kind(), plural);
        format!("{plural} {}: {}", object.name(), catalog.kind(&kind).never(&object).unwrap_or("collected"))
    };
    let table = "
pods {apiVersion: v1, kind: Pod, metadata: {name: static, annotations: {kubernetes.io/config.mirror: x}}}
pods {apiVersion: v1, kind: Pod, metadata: {name: own, annotations: {kubernetes.io/config.source: api}}}
endpointslices {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-x, labels: {endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}}
endpointslices {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: outside, labels: {endpointslice.kubernetes.io/managed-by: staff}}}
endpoints {apiVersion: v1, kind: Endpoints, metadata: {name: web, labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}}}
endpoints {apiVersion: v1, kind: Endpoints, metadata: {name: older, annotations: {endpoints.kubernetes.io/last-change-trigger-time: now}}}
endpoints {apiVersion: v1, kind: Endpoints, metadata: {name: lock, annotations: {control-plane.alpha.kubernetes.io/leader: me}}}
endpoints {apiVersion: v1, kind: Endpoints, metadata: {name: outside}}
services {apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default}}
services {apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: shop}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: shop}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: extension-apiserver-authentication, namespace: kube-system}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: extension-apiserver-authentication, namespace: shop}}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.apps, labels: {kube-aggregator.kubernetes.io/automanaged: onstart}}}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1beta1.metrics.k8s.io}}
flowschemas {apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema, metadata: {name: catch-all, annotations: {apf.kubernetes.io/autoupdate-spec: 'true'}}}
flowschemas {apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema, metadata: {name: mine, annotations: {apf.kubernetes.io/autoupdate-spec: 'false'}}}
servicecidrs {apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: kubernetes}}
priorityclasses {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-node-critical}}
priorityclasses {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}}";
    let told: Vec<String> = table.lines().filter(|l| !l.is_empty()).map(told).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    pods static: a kubelet shows its static pod here
    pods own: collected
    endpointslices web-x: a controller makes endpoint slices from services and pods
    endpointslices outside: collected
    endpoints web: a controller makes endpoints from services and pods
    endpoints older: a controller makes endpoints from services and pods
    endpoints lock: a controller makes endpoints from services and pods
    endpoints outside: collected
    services kubernetes: the API server publishes its own address here
    services kubernetes: collected
    configmaps kube-root-ca.crt: a controller writes its certificate into every namespace
    configmaps extension-apiserver-authentication: the API server writes it, for this very cluster
    configmaps extension-apiserver-authentication: collected
    apiservices v1.apps: the API server makes it for its own groups and for custom resources
    apiservices v1beta1.metrics.k8s.io: collected
    flowschemas catch-all: the API server keeps it at its own default
    flowschemas mine: collected
    servicecidrs kubernetes: the API server makes it from its flags
    priorityclasses system-node-critical: the API server makes it at every start
    priorityclasses high: collected
    ");
}
