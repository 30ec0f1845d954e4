//! Gives Services their cluster addresses and node ports.
//!
//! In: a Service · Out: the Service with addresses, or the field that is taken · Touches: nothing

use std::collections::BTreeSet;

use serde_json::json;

use super::store::{Slot, Store};
use crate::domain::object::Json;

const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

/// Fills in `clusterIP`, `clusterIPs` and `nodePort`; other kinds pass untouched.
pub fn allocate(store: &Store, slot: &Slot, object: &mut Json) -> Result<(), String> {
    if slot.storage != "services" {
        return Ok(());
    }
    let kind = object.pointer("/spec/type").and_then(Json::as_str).unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let others: Vec<&Json> = store.of("services").filter(|(s, _)| *s != slot).map(|(_, o)| &**o).collect();
    address(&others, object)?;
    if kind == "NodePort" || kind == "LoadBalancer" {
        node_ports(&others, object)?;
    }
    Ok(())
}

fn address(others: &[&Json], object: &mut Json) -> Result<(), String> {
    let taken: BTreeSet<&str> =
        others.iter().filter_map(|o| o.pointer("/spec/clusterIP")?.as_str()).collect();
    let wanted = object.pointer("/spec/clusterIP").and_then(Json::as_str).unwrap_or_default().to_owned();
    let ip = match wanted.as_str() {
        "" => (1..65_000_u32)
            .map(|n| format!("10.96.{}.{}", n / 250, n % 250 + 1))
            .find(|ip| !taken.contains(ip.as_str()))
            .ok_or("spec.clusterIPs: no address is left")?,
        "None" => wanted,
        ip if taken.contains(ip) => {
            return Err("spec.clusterIPs: Invalid value: provided IP is already allocated".into());
        }
        _ => wanted,
    };
    object["spec"]["clusterIPs"] = json!([ip]);
    object["spec"]["clusterIP"] = ip.into();
    Ok(())
}

fn node_ports(others: &[&Json], object: &mut Json) -> Result<(), String> {
    let ports = |o: &Json| -> Vec<u64> {
        let list = o.pointer("/spec/ports").and_then(Json::as_array);
        list.into_iter().flatten().filter_map(|p| p.get("nodePort")?.as_u64()).collect()
    };
    let mut taken: BTreeSet<u64> = others.iter().flat_map(|o| ports(o)).collect();
    let wanted = ports(object);
    if wanted.iter().any(|port| taken.contains(port)) {
        return Err("spec.ports.nodePort: Invalid value: provided port is already allocated".into());
    }
    taken.extend(wanted);
    for port in object.pointer_mut("/spec/ports").and_then(Json::as_array_mut).into_iter().flatten() {
        if port.get("nodePort").and_then(Json::as_u64).unwrap_or(0) == 0
            && let Some(free) = NODE_PORTS.into_iter().find(|n| !taken.contains(n))
        {
            taken.insert(free);
            port["nodePort"] = free.into();
        }
    }
    Ok(())
}
