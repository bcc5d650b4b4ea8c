//! Checks custom resources against the schemas of their CRDs. A CRD defines a kind of custom resource.
//!
//! Kubernetes requires *structural* schemas, which use only some of the keywords of JSON Schema
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>). This
//! module checks types, enumerations, minimums, lengths, required properties, and the names of properties.
//! The module ignores all other keywords, e.g. `pattern` and `format`. If the schema does not have a property
//! of a resource, an API server drops this property without an error. This module reports the property.

use serde_json::{Map, Value};

use super::resource::{Resource, list, text};

/// Checks a resource, and returns the findings. Returns `None` if `crd` does not define the kind of the
/// resource.
pub(super) fn check(crd: &Resource, resource: &Resource) -> Option<Vec<String>> {
    let (group, version) = text(&resource.value, "/apiVersion").split_once('/')?;
    if text(&crd.value, "/spec/names/kind") != resource.kind() || text(&crd.value, "/spec/group") != group {
        return None;
    }
    let versions = list(&crd.value, "/spec/versions");
    let Some(version) = versions.iter().find(|known| text(known, "/name") == version) else {
        return Some(vec![
            resource.finding(&format!("the CRD has no version {version}; correct apiVersion")),
        ]);
    };
    let mut value = resource.value.clone();
    // The API server checks these members in every resource, without the schema of the CRD.
    for name in ["apiVersion", "kind", "metadata"] {
        value.as_object_mut().map(|members| members.remove(name));
    }
    let mut findings = Vec::new();
    if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
        walk(schema, &value, "", &mut findings);
    }
    Some(findings.iter().map(|finding| resource.finding(finding)).collect())
}

fn walk(schema: &Value, value: &Value, path: &str, findings: &mut Vec<String>) {
    let is_int_or_string = schema["x-kubernetes-int-or-string"] == true;
    let expected = text(schema, "/type");
    let fits = match value {
        Value::Null => false,
        Value::Bool(_) => expected == "boolean",
        Value::Number(number) => {
            is_int_or_string || expected == "number" || (expected == "integer" && !number.is_f64())
        }
        Value::String(_) => is_int_or_string || expected == "string",
        Value::Array(_) => expected == "array",
        Value::Object(_) => expected == "object",
    };
    let is_any = expected.is_empty() && !is_int_or_string;
    if !fits && !is_any {
        let expected = if is_int_or_string { "integer or string" } else { expected };
        findings.push(format!("{path}: expected {expected}, found {value}"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        findings.push(format!("{path}: expected one of {allowed:?}, found {value}"));
    }
    if let (Some(minimum), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < minimum
    {
        findings.push(format!("{path}: expected at least {minimum}, found {number}"));
    }
    let size = match value {
        Value::Array(items) => Some((items.len(), "minItems", "maxItems")),
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength")),
        _ => None,
    };
    if let Some((size, minimum, maximum)) = size {
        let size = size as u64;
        if schema[minimum].as_u64().is_some_and(|minimum| size < minimum)
            || schema[maximum].as_u64().is_some_and(|maximum| size > maximum)
        {
            findings.push(format!("{path}: the length {size} breaks {minimum} or {maximum}; correct it"));
        }
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}/{index}"), findings);
            }
        }
        Value::Object(members) => walk_object(schema, members, path, findings),
        _ => {}
    }
}

fn walk_object(schema: &Value, members: &Map<String, Value>, path: &str, findings: &mut Vec<String>) {
    for required in list(schema, "/required").iter().filter_map(Value::as_str) {
        if !members.contains_key(required) {
            findings.push(format!("{path}/{required}: is missing; add it"));
        }
    }
    for (name, member) in members {
        let path = format!("{path}/{name}");
        if let Some(schema) = schema["properties"].get(name) {
            walk(schema, member, &path, findings);
        } else if schema["additionalProperties"].is_object() {
            walk(&schema["additionalProperties"], member, &path, findings);
        } else if schema["x-kubernetes-preserve-unknown-fields"] != true {
            findings.push(format!("{path}: the schema has no such property; correct the name"));
        }
    }
}
