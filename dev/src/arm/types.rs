//! Compares the template's resources with Azure's descriptions of resource types. The compiler of Bicep uses
//! the same descriptions (<https://github.com/Azure/bicep-types-az>).

use std::path::Path;

use serde_json::{Map, Value};
use thiserror::Error;

/// A difference between a resource and the description of its type.
#[derive(Debug, Error)]
pub(super) enum TypeError {
    #[error(
        "{0}: no file describes this type in this apiVersion; correct type or apiVersion, or add the file"
    )]
    Undescribed(String),
    #[error("cannot read {path}: {problem}")]
    Unreadable { path: String, problem: String },
    #[error("{place}: {problem}")]
    Difference { place: String, problem: String },
}

/// A flag of a property in a description: the property is required.
const REQUIRED: u64 = 1;
/// A flag of a property in a description: the property can only be read.
const READ_ONLY: u64 = 2;
/// A flag of a property in a description: the property identifies the resource. The properties with this flag
/// are `name`, `type`, `apiVersion` and `id`. (Azure's name of the flag is `DeployTimeConstant`.) Of
/// these properties, only `name` is also required. The comparison does not require `name`, because [`check`]
/// removes the name from the resource before the comparison.
const IDENTIFIER: u64 = 8;

/// The description of one resource type. `types` has all entries of the description's file. `body` refers to
/// the entry that describes the resource.
struct Description {
    types: Vec<Value>,
    body: Value,
}

/// Compares an evaluated resource with the description of its type in the folder `data`.
pub(super) fn check(data: &Path, resource: &Value) -> Result<(), TypeError> {
    let kind = resource["type"].as_str().unwrap_or_default();
    let version = resource["apiVersion"].as_str().unwrap_or_default();
    let description = Description::find(data, kind, version)?;
    let mut body = resource.as_object().cloned().unwrap_or_default();
    // The comparison skips the type, the apiVersion and the name, because these members identify the
    // resource. The comparison also skips `scope`, because the descriptions have no `scope` beside
    // `properties`. In a role assignment, `scope` names the resource to which the role gives access.
    body.retain(|name, _| !["type", "apiVersion", "name", "scope"].contains(&name.as_str()));
    description.check(kind, &description.body, &body.into())
}

impl Description {
    fn find(data: &Path, kind: &str, version: &str) -> Result<Self, TypeError> {
        let wanted = format!("{kind}@{version}");
        let provider = kind.split('/').next().unwrap_or_default().to_lowercase();
        let folders = std::fs::read_dir(data).into_iter().flatten().flatten();
        let files = folders.map(|folder| folder.path().join(&provider).join(version).join("types.json"));
        let Some(path) = files.into_iter().find(|path| path.is_file()) else {
            return Err(TypeError::Undescribed(wanted));
        };
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let types: Result<Vec<Value>, String> =
            text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        let types =
            types.map_err(|problem| TypeError::Unreadable { path: path.display().to_string(), problem })?;
        let is_wanted = |entry: &&Value| entry["$type"] == "ResourceType" && entry["name"] == wanted.as_str();
        let body = types.iter().find(is_wanted).map(|entry| entry["body"].clone());
        let body = body.ok_or(TypeError::Undescribed(wanted))?;
        Ok(Self { types, body })
    }

    /// The entry of `types` to which `reference` points. For example, `{"$ref": "#/5"}` points to the entry
    /// with the index 5.
    fn entry(&self, reference: &Value) -> &Value {
        let index = reference["$ref"].as_str().and_then(|text| text.strip_prefix("#/")?.parse().ok());
        index.and_then(|index: usize| self.types.get(index)).unwrap_or(&Value::Null)
    }

    fn check(&self, place: &str, reference: &Value, value: &Value) -> Result<(), TypeError> {
        let entry = self.entry(reference);
        let expect = |fits: bool, expected: &str| {
            let problem = || format!("expected {expected}, found {value}");
            if fits { Ok(()) } else { difference(place, problem()) }
        };
        match entry["$type"].as_str().unwrap_or_default() {
            "StringType" => expect(value.is_string(), "a string"),
            "BooleanType" => expect(value.is_boolean(), "true or false"),
            "IntegerType" => expect(value.is_i64(), "a whole number"),
            "StringLiteralType" => expect(*value == entry["value"], &entry["value"].to_string()),
            "UnionType" => {
                let elements = entry["elements"].as_array().map_or(&[][..], Vec::as_slice);
                // A union lists the documented values of a string. For most unions, Azure also accepts other
                // values. This check accepts only the listed values.
                let literals: Vec<_> = elements
                    .iter()
                    .map(|element| self.entry(element)["value"].clone())
                    .filter(|literal| !literal.is_null())
                    .collect();
                let shown: Vec<_> = literals.iter().map(Value::to_string).collect();
                expect(literals.contains(value), &format!("one of {}", shown.join(", ")))
            }
            "ArrayType" => {
                expect(value.is_array(), "an array")?;
                let mut items = value.as_array().into_iter().flatten().enumerate();
                items.try_for_each(|(index, item)| {
                    self.check(&format!("{place}[{index}]"), &entry["itemType"], item)
                })
            }
            "ObjectType" => {
                self.check_object(place, &[&entry["properties"]], &entry["additionalProperties"], value)
            }
            "DiscriminatedObjectType" => {
                let discriminator = entry["discriminator"].as_str().unwrap_or_default();
                let chosen = value[discriminator].as_str().unwrap_or_default();
                let Some(element) = entry["elements"].get(chosen) else {
                    return difference(place, format!("{discriminator} cannot be `{chosen}`"));
                };
                let own = &self.entry(element)["properties"];
                self.check_object(place, &[&entry["baseProperties"], own], &Value::Null, value)
            }
            _ => Ok(()),
        }
    }

    fn check_object(
        &self,
        place: &str,
        properties: &[&Value],
        additional: &Value,
        value: &Value,
    ) -> Result<(), TypeError> {
        let Some(members) = value.as_object() else {
            return difference(place, format!("expected an object, found {value}"));
        };
        let known: Map<String, Value> = properties
            .iter()
            .filter_map(|properties| properties.as_object())
            .flatten()
            .map(|(n, p)| (n.clone(), p.clone()))
            .collect();
        for (name, property) in &known {
            let flags = property["flags"].as_u64().unwrap_or_default();
            let is_set = members.get(name).is_some_and(|member| !member.is_null());
            if flags & REQUIRED != 0 && flags & IDENTIFIER == 0 && !is_set {
                return difference(place, format!("`{name}` is missing"));
            }
            if flags & READ_ONLY != 0 && is_set {
                return difference(place, format!("`{name}` can only be read"));
            }
        }
        for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
            let place = format!("{place}.{name}");
            match known.get(name) {
                Some(property) => self.check(&place, &property["type"], member)?,
                None if additional.is_object() => self.check(&place, additional, member)?,
                None => return difference(place, "the type has no such property"),
            }
        }
        Ok(())
    }
}

fn difference(place: impl Into<String>, problem: impl Into<String>) -> Result<(), TypeError> {
    Err(TypeError::Difference { place: place.into(), problem: problem.into() })
}
