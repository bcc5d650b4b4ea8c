//! Evaluates the expressions of an ARM template (a template of Azure Resource Manager) as Azure does. An
//! expression is a string such as `[concat('a', parameters('b'))]`. Fixed values replace the values of a real
//! subscription.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::expression::{Expression, SyntaxError, parse};

/// The resource group into which the tests deploy the template.
pub(super) const GROUP_ID: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/test-group";
const SUBSCRIPTION_ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000001";

/// The reason why an expression is invalid.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum EvaluationError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error("`{0}` is not a function that this evaluator knows; correct the name, or add it to evaluate.rs")]
    UnknownFunction(String),
    #[error("{kind} `{name}` does not exist; declare it, or correct the name")]
    Undeclared { kind: &'static str, name: String },
    #[error("`{function}` does not take these arguments: {arguments}")]
    Arguments { function: String, arguments: String },
    #[error("`{key}` is not a member of {of}")]
    NoMember { key: String, of: String },
    #[error("`{0}` reads the state of a resource; use it in properties and outputs only")]
    Runtime(String),
}

/// The parameters and variables that expressions can read.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The values of the parameters.
    pub(super) parameters: &'a Map<String, Value>,
    /// The variables, not evaluated yet.
    pub(super) variables: &'a Map<String, Value>,
    /// The parameters and variables that expressions have read so far, each in the form `parameters('x')` or
    /// `variables('x')`. A name in a branch of `if` counts as read, even if `if` does not choose this branch.
    pub(super) names_read: RefCell<BTreeSet<String>>,
}

/// The context of an expression in the template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// The value of `copyIndex()`. A `copy` loop makes several resources from one description, and
    /// `copyIndex()` counts these resources from 0. `None` outside of a `copy` loop.
    pub(super) copy_index: Option<usize>,
    /// Whether the expression is allowed to read the state of resources. Azure allows this only in properties
    /// and outputs.
    pub(super) is_runtime: bool,
}

impl Scope<'_> {
    /// Evaluates all expressions in a JSON value. In the returned value, the results replace the expressions.
    pub(super) fn value(&self, value: &Value, context: Context) -> Result<Value, EvaluationError> {
        Ok(match value {
            Value::String(text) => match parse(text)? {
                Some(expression) => self.expression(&expression, context)?,
                None => Value::String(
                    text.strip_prefix('[').filter(|rest| rest.starts_with('[')).unwrap_or(text).to_owned(),
                ),
            },
            Value::Array(items) => {
                items.iter().map(|item| self.value(item, context)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(members) => {
                let mut evaluated = Map::new();
                for (name, member) in members {
                    evaluated.insert(name.clone(), self.value(member, context)?);
                }
                evaluated.into()
            }
            plain => plain.clone(),
        })
    }

    fn expression(&self, expression: &Expression, context: Context) -> Result<Value, EvaluationError> {
        match expression {
            Expression::Text(text) => Ok(text.clone().into()),
            Expression::Number(number) => Ok((*number).into()),
            Expression::Member { of, key } => {
                let (of, key) = (self.expression(of, context)?, self.expression(key, context)?);
                let member = match (&of, &key) {
                    (Value::Object(members), Value::String(name)) => members.get(name),
                    (Value::Array(items), Value::Number(index)) => {
                        index.as_u64().and_then(|index| items.get(usize::try_from(index).ok()?))
                    }
                    _ => None,
                };
                member
                    .cloned()
                    .ok_or_else(|| EvaluationError::NoMember { key: key.to_string(), of: of.to_string() })
            }
            Expression::Call { function, arguments } => self.call(function, arguments, context),
        }
    }

    fn call(
        &self,
        function: &str,
        arguments: &[Expression],
        context: Context,
    ) -> Result<Value, EvaluationError> {
        // `if` evaluates only the chosen branch, so the other branch can name a resource that does not exist.
        // But every parameter and every variable in both branches must exist.
        if function == "if"
            && let [condition, yes, no] = arguments
        {
            self.check_names(yes)?;
            self.check_names(no)?;
            return match self.expression(condition, context)? {
                Value::Bool(true) => self.expression(yes, context),
                Value::Bool(false) => self.expression(no, context),
                other => Err(wrong_arguments("if", &[other])),
            };
        }
        if function == "reference" && !context.is_runtime {
            return Err(EvaluationError::Runtime(function.to_owned()));
        }
        let values: Vec<Value> =
            arguments.iter().map(|argument| self.expression(argument, context)).collect::<Result<_, _>>()?;
        let wrong = || wrong_arguments(function, &values);
        let texts = || -> Option<Vec<&str>> { values.iter().map(Value::as_str).collect() };
        let flags = || -> Option<Vec<bool>> { values.iter().map(Value::as_bool).collect() };
        let result = match (function, values.as_slice()) {
            ("parameters", [Value::String(name)]) => return self.parameter(name),
            ("variables", [Value::String(name)]) => return self.variable(name),
            ("copyIndex", []) => context.copy_index.map(Value::from),
            ("concat", _) => texts().map(|texts| texts.concat().into()),
            ("equals", [first, second]) => Some((first == second).into()),
            ("and", [_, _, ..]) => flags().map(|flags| flags.iter().all(|flag| *flag).into()),
            ("or", [_, _, ..]) => flags().map(|flags| flags.iter().any(|flag| *flag).into()),
            ("not", [Value::Bool(flag)]) => Some((!flag).into()),
            ("empty", [Value::String(text)]) => Some(text.is_empty().into()),
            ("empty", [Value::Array(items)]) => Some(items.is_empty().into()),
            ("length", [Value::Array(items)]) => Some(items.len().into()),
            ("contains", [Value::Array(items), item]) => Some(items.contains(item).into()),
            ("json", [Value::String(text)]) => serde_json::from_str(text).ok(),
            ("resourceId", [_, _, ..]) => texts().and_then(|texts| resource_id(GROUP_ID, &texts)),
            ("subscriptionResourceId", [_, _, ..]) => {
                texts().and_then(|texts| resource_id(SUBSCRIPTION_ID, &texts))
            }
            ("resourceGroup", []) => Some(json!({"id": GROUP_ID, "location": "westeurope"})),
            ("tenant", []) => Some(json!({"tenantId": "00000000-0000-0000-0000-000000000002"})),
            ("environment", []) => Some(json!({"suffixes": {"storage": "core.windows.net"}})),
            ("uniqueString", [_, ..]) => texts().map(|texts| unique_string(&texts).into()),
            ("guid", [_, ..]) => texts().map(|texts| guid(&texts).into()),
            ("reference", [Value::String(id), Value::String(_)]) => {
                let of = |name: &str| format!("<{name} of {}>", id.rsplit('/').next().unwrap_or_default());
                Some(json!({
                    "clientId": of("clientId"), "principalId": of("principalId"), "tenantId": of("tenantId")
                }))
            }
            (
                "parameters"
                | "variables"
                | "copyIndex"
                | "equals"
                | "and"
                | "or"
                | "not"
                | "empty"
                | "length"
                | "contains"
                | "json"
                | "resourceId"
                | "subscriptionResourceId"
                | "resourceGroup"
                | "tenant"
                | "environment"
                | "uniqueString"
                | "guid"
                | "reference"
                | "if",
                _,
            ) => None,
            _ => return Err(EvaluationError::UnknownFunction(function.to_owned())),
        };
        result.ok_or_else(wrong)
    }

    /// Checks that each parameter and each variable in an expression exists, without evaluating the
    /// expression.
    fn check_names(&self, expression: &Expression) -> Result<(), EvaluationError> {
        match expression {
            Expression::Text(_) | Expression::Number(_) => Ok(()),
            Expression::Member { of, key } => self.check_names(of).and_then(|()| self.check_names(key)),
            Expression::Call { function, arguments } => {
                match (function.as_str(), arguments.as_slice()) {
                    ("parameters", [Expression::Text(name)]) => self.parameter(name).map(drop)?,
                    ("variables", [Expression::Text(name)]) => self.declared_variable(name).map(drop)?,
                    _ => {}
                }
                arguments.iter().try_for_each(|argument| self.check_names(argument))
            }
        }
    }

    fn parameter(&self, name: &str) -> Result<Value, EvaluationError> {
        self.names_read.borrow_mut().insert(format!("parameters('{name}')"));
        let undeclared = || EvaluationError::Undeclared { kind: "parameter", name: name.to_owned() };
        self.parameters.get(name).cloned().ok_or_else(undeclared)
    }

    fn variable(&self, name: &str) -> Result<Value, EvaluationError> {
        // Azure evaluates variables before any resource exists, so a variable cannot read the state of a
        // resource.
        self.value(self.declared_variable(name)?, Context { copy_index: None, is_runtime: false })
    }

    fn declared_variable(&self, name: &str) -> Result<&Value, EvaluationError> {
        self.names_read.borrow_mut().insert(format!("variables('{name}')"));
        let undeclared = || EvaluationError::Undeclared { kind: "variable", name: name.to_owned() };
        self.variables.get(name).ok_or_else(undeclared)
    }
}

fn wrong_arguments(function: &str, values: &[Value]) -> EvaluationError {
    let arguments = values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    EvaluationError::Arguments { function: function.to_owned(), arguments }
}

/// The id of a resource. The first of `arguments` is the type of the resource: a namespace and one or more
/// parts. The other arguments are names, one for each part. For example, the type `A.B/c/d` has the namespace
/// `A.B` and two parts. With the names `one` and `two`, the id is `<base>/providers/A.B/c/one/d/two`. Returns
/// `None` if the number of names is wrong.
fn resource_id(base: &str, arguments: &[&str]) -> Option<Value> {
    let (kind, names) = arguments.split_first()?;
    let (namespace, types) = kind.split_once('/')?;
    let types: Vec<_> = types.split('/').collect();
    let mut id = format!("{base}/providers/{namespace}");
    for (kind, name) in types.iter().zip(names) {
        id.push_str(&format!("/{kind}/{name}"));
    }
    (types.len() == names.len()).then(|| id.into())
}

/// 13 characters of a hash, in place of Azure's function `uniqueString`. Azure does not publish the hash that
/// `uniqueString` uses.
fn unique_string(texts: &[&str]) -> String {
    let hash = Sha256::digest(texts.join("-"));
    hash.iter()
        .take(13)
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)]))
        .collect()
}

/// A UUID from a hash of the texts, in place of Azure's function `guid`. Azure uses another hash, so Azure's
/// UUID is different.
fn guid(texts: &[&str]) -> String {
    let hex: String = Sha256::digest(texts.join("-")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-5{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(text: &str, is_runtime: bool) -> Result<Value, EvaluationError> {
        let (parameters, variables) =
            (json!({"p": "x", "list": ["a", "b"]}), json!({"v": "[parameters('p')]"}));
        let scope = Scope {
            parameters: parameters.as_object().unwrap(),
            variables: variables.as_object().unwrap(),
            names_read: RefCell::default(),
        };
        scope.value(&text.into(), Context { copy_index: Some(1), is_runtime })
    }

    #[test]
    fn expression_without_a_fault_has_the_expected_value() {
        for (text, expected) in [
            ("[[literal]", json!("[literal]")),
            ("[concat('a', variables('v'), 'b')]", json!("axb")),
            ("[parameters('list')[copyIndex()]]", json!("b")),
            ("[if(equals('a', 'a'), 1, reference('gone', 'v').clientId)]", json!(1)),
            (
                "[and(not(empty(parameters('p'))), or(equals(1, 2), contains(parameters('list'), 'a')))]",
                json!(true),
            ),
            ("[length(parameters('list'))]", json!(2)),
            ("[json('null')]", json!(null)),
            ("[resourceId('A.B/c/d', 'one', 'two')]", json!(format!("{GROUP_ID}/providers/A.B/c/one/d/two"))),
            ("[reference('/x/name', 'v').clientId]", json!("<clientId of name>")),
        ] {
            assert_eq!(evaluate(text, true), Ok(expected), "{text}");
        }
    }

    #[test]
    fn unique_string_and_guid_have_the_form_of_azures_results() {
        let unique = evaluate("[uniqueString(resourceGroup().id)]", false).unwrap();
        assert_eq!(unique.as_str().unwrap().len(), 13);
        let lengths: Vec<_> = guid(&["a", "b"]).split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_ne!(guid(&["a", "b"]), guid(&["a", "c"]));
    }

    #[test]
    fn expression_with_a_fault_is_refused() {
        for (text, expected) in [
            ("[parameters('q')]", "parameter `q` does not exist"),
            ("[variables('w')]", "variable `w` does not exist"),
            ("[if(equals(1, 1), 'a', parameters('q'))]", "parameter `q` does not exist"),
            ("[conkat('a')]", "`conkat` is not a function"),
            ("[concat('a', 1)]", "`concat` does not take these arguments: \"a\", 1"),
            ("[if('true', 1, 2)]", "`if` does not take these arguments"),
            ("[parameters('list')[2]]", "`2` is not a member of"),
            ("[resourceGroup().name2]", "`\"name2\"` is not a member of"),
            ("[resourceId('A.B/c/d', 'one')]", "`resourceId` does not take these arguments"),
            ("[reference('x', 'v').clientId]", "`reference` reads the state of a resource"),
        ] {
            let error = evaluate(text, false).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
