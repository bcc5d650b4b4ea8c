//! Evaluates a whole template: computes the resources and the outputs from the parameters.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};
use thiserror::Error;

use super::evaluate::{Context, EvaluationError, GROUP_ID, Scope};

/// A fault of a template, with the place of the fault.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum TemplateError {
    #[error("{place}: {error}")]
    Expression { place: String, error: EvaluationError },
    #[error("{place}: {problem}")]
    Form { place: String, problem: String },
}

/// The resources and outputs that a template describes for certain values of its parameters.
#[derive(Debug)]
pub(super) struct Deployment {
    /// The resources whose `condition` is true or missing, in the template's order.
    pub(super) resources: Vec<Value>,
    pub(super) outputs: Map<String, Value>,
    /// The parameters and variables of the template that are missing in [`Scope::names_read`] after the
    /// evaluation.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the tests look for unread names"))]
    pub(super) unread: BTreeSet<String>,
}

const BEFORE_DEPLOYMENT: Context = Context { copy_index: None, is_runtime: false };
const RUNTIME: Context = Context { copy_index: None, is_runtime: true };

/// Evaluates a template. `given` has values of the template's parameters.
pub(super) fn evaluate_template(template: &Value, given: &Value) -> Result<Deployment, TemplateError> {
    let section = |name: &str| object(template, name, "template");
    let (declared, variables) = (section("parameters")?, section("variables")?);
    let parameters = parameters(&declared, given)?;
    let scope = Scope { parameters: &parameters, variables: &variables, names_read: RefCell::default() };
    let mut resources = Vec::new();
    let mut ids = BTreeSet::new();
    let mut needed = Vec::new();
    for (index, resource) in array(template, "resources").iter().enumerate() {
        let place = format!("resources[{index}] ({})", text(resource, "type"));
        let evaluate = |member: &str, context: Context| {
            let value = resource.get(member).unwrap_or(&Value::Null);
            let error = |error| TemplateError::Expression { place: format!("{place}.{member}"), error };
            scope.value(value, context).map_err(error)
        };
        let count = match resource.get("copy").map(|copy| &copy["count"]) {
            None => None,
            Some(count) => Some(
                scope
                    .value(count, BEFORE_DEPLOYMENT)
                    .map_err(|error| TemplateError::Expression { place: format!("{place}.copy"), error })?
                    .as_u64()
                    .ok_or_else(|| form_error(format!("{place}.copy.count"), "expected a whole number"))?,
            ),
        };
        for copy in 0..count.unwrap_or(1) {
            let copy_index = count.and(usize::try_from(copy).ok());
            let early = Context { copy_index, is_runtime: false };
            let name = evaluate("name", early)?;
            let kind = text(resource, "type");
            let id = id(&place, kind, name.as_str().unwrap_or_default())?;
            if !ids.insert(id.to_lowercase()) {
                return Err(form_error(place, format!("two resources have the id {id}")));
            }
            let depends_on = evaluate("dependsOn", early)?;
            let depends_on = depends_on.as_array().cloned().unwrap_or_default();
            needed.extend(depends_on.iter().map(|id| (place.clone(), id.clone())));
            let is_made = match evaluate("condition", early)? {
                Value::Null => true,
                Value::Bool(is_made) => is_made,
                _ => return Err(form_error(format!("{place}.condition"), "expected true or false")),
            };
            let mut made = Map::new();
            for member in resource.as_object().into_iter().flat_map(Map::keys) {
                if !["condition", "copy", "dependsOn", "name"].contains(&member.as_str()) {
                    let value = evaluate(member, Context { copy_index, is_runtime: member == "properties" })?;
                    made.insert(member.clone(), value);
                }
            }
            made.insert("name".into(), name);
            if is_made {
                resources.push(made.into());
            }
        }
    }
    for (place, id) in needed {
        let exists = id.as_str().is_some_and(|id| ids.contains(&id.to_lowercase()));
        if !exists {
            return Err(form_error(
                format!("{place}.dependsOn"),
                format!("no resource of the template has the id {id}"),
            ));
        }
    }
    let mut outputs = Map::new();
    for (name, output) in section("outputs")? {
        let place = format!("outputs.{name}");
        let value = scope.value(&output["value"], RUNTIME);
        let value = value.map_err(|error| TemplateError::Expression { place: place.clone(), error })?;
        expect_type(&place, text(&output, "type"), &value)?;
        outputs.insert(name, value);
    }
    let names = |kind: &str, members: &Map<String, Value>| -> Vec<String> {
        members.keys().map(|name| format!("{kind}('{name}')")).collect()
    };
    let all = [names("parameters", &declared), names("variables", &variables)].concat();
    let read = scope.names_read.into_inner();
    let unread = all.into_iter().filter(|name| !read.contains(name)).collect();
    Ok(Deployment { resources, outputs, unread })
}

/// The values of all parameters. A parameter that is missing in `given` has its default value.
fn parameters(declared: &Map<String, Value>, given: &Value) -> Result<Map<String, Value>, TemplateError> {
    let nothing = Map::new();
    let mut values = Map::new();
    for (name, parameter) in declared {
        let place = format!("parameters.{name}");
        let value = match (given.get(name), parameter.get("defaultValue")) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                let scope =
                    Scope { parameters: &values, variables: &nothing, names_read: RefCell::default() };
                let value = scope.value(default, BEFORE_DEPLOYMENT);
                value.map_err(|error| TemplateError::Expression { place: place.clone(), error })?
            }
            (None, None) => return Err(form_error(place, "has no value")),
        };
        expect_type(&place, text(parameter, "type"), &value)?;
        if let Some(allowed) = parameter["allowedValues"].as_array()
            && !allowed.contains(&value)
        {
            return Err(form_error(place, format!("{value} is not an allowed value")));
        }
        let length = value.as_str().map_or(0, str::len) as u64;
        let (least, most) = (parameter["minLength"].as_u64(), parameter["maxLength"].as_u64());
        if least.is_some_and(|least| length < least) || most.is_some_and(|most| length > most) {
            return Err(form_error(place, format!("{value} has {length} characters")));
        }
        values.insert(name.clone(), value);
    }
    if let Some(unknown) =
        given.as_object().into_iter().flat_map(Map::keys).find(|name| !declared.contains_key(*name))
    {
        return Err(form_error(
            format!("parameters.{unknown}"),
            "is given, and the template does not declare it",
        ));
    }
    Ok(values)
}

fn expect_type(place: &str, kind: &str, value: &Value) -> Result<(), TemplateError> {
    let fits = match kind {
        "string" => value.is_string(),
        "bool" => value.is_boolean(),
        "array" => value.is_array(),
        "int" => value.is_i64(),
        "object" => value.is_object(),
        _ => return Err(form_error(place, format!("`{kind}` is not a type"))),
    };
    if fits { Ok(()) } else { Err(form_error(place, format!("expected {kind}, found {value}"))) }
}

/// The id of a resource of the template. `kind` is the type of the resource: a namespace and one or more
/// parts. `name` must have as many parts as the type. For example, the type `A.B/c/d` has the namespace `A.B`
/// and two parts, so the name is e.g. `one/two`. Fails if the number of parts in the name is wrong, or if a
/// part is empty.
fn id(place: &str, kind: &str, name: &str) -> Result<String, TemplateError> {
    let (namespace, types) = kind.split_once('/').unwrap_or((kind, ""));
    let (types, names): (Vec<_>, Vec<_>) = (types.split('/').collect(), name.split('/').collect());
    if types.len() != names.len() || names.contains(&"") {
        return Err(form_error(
            format!("{place}.name"),
            format!("expected {} parts, found `{name}`", types.len()),
        ));
    }
    let mut id = format!("{GROUP_ID}/providers/{namespace}");
    for (kind, name) in types.iter().zip(names) {
        id.push_str(&format!("/{kind}/{name}"));
    }
    Ok(id)
}

fn form_error(place: impl Into<String>, problem: impl Into<String>) -> TemplateError {
    TemplateError::Form { place: place.into(), problem: problem.into() }
}

fn object(of: &Value, name: &str, place: &str) -> Result<Map<String, Value>, TemplateError> {
    of[name].as_object().cloned().ok_or_else(|| form_error(place, format!("`{name}` is missing")))
}

fn array<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}
