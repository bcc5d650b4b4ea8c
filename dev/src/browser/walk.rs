//! A walk through a web page in a real browser: a list of steps, such as key presses and checks.
//! `dev/walk.cjs` carries out the steps.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::Browser;
use crate::tools::node;
use crate::workspace::root;

/// A walk: the page, the width and the colours of the window, and the steps in their order. The methods only
/// describe the walk. [`Browser::walk`] carries out the walk.
#[derive(Debug, Clone)]
pub struct Walk {
    page: String,
    width: u32,
    is_dark: bool,
    steps: Vec<Value>,
}

/// The values that the steps [`Walk::read`] and [`Walk::evaluate`] have read. Each value is stored under the
/// argument `name` of the step.
pub type Seen = Map<String, Value>;

impl Walk {
    /// Begins a walk. The walk opens the page in a window of this width, in pixels.
    pub fn open(page: &str, width: u32) -> Self {
        Self { page: page.into(), width, is_dark: false, steps: Vec::new() }
    }

    /// Makes the browser prefer dark colours.
    #[must_use]
    pub fn dark(self) -> Self {
        Self { is_dark: true, ..self }
    }

    fn step(mut self, name: &str, argument: impl Into<Value>) -> Self {
        self.steps.push(json!({name: argument.into()}));
        self
    }

    /// Presses Tab until the element with this role (e.g. `button`) and name has the focus.
    #[must_use]
    pub fn tab_to(self, role: &str, name: &str) -> Self {
        self.step("tabTo", json!({"role": role, "name": name}))
    }

    /// Presses Shift and Tab until the element with this role and name has the focus.
    #[must_use]
    pub fn shift_tab_to(self, role: &str, name: &str) -> Self {
        self.step("tabTo", json!({"role": role, "name": name, "key": "Shift+Tab"}))
    }

    /// Waits until the element with this role and name has the focus.
    #[must_use]
    pub fn expect_focus(self, role: &str, name: &str) -> Self {
        self.step("expectFocus", json!({"role": role, "name": name}))
    }

    /// Presses a key of the keyboard. `key` is the key's name, e.g. `Enter`.
    #[must_use]
    pub fn press(self, key: &str) -> Self {
        self.step("press", key)
    }

    /// Types a text into the element that has the focus.
    #[must_use]
    pub fn type_text(self, text: &str) -> Self {
        self.step("type", text)
    }

    /// Clicks on the first element with this role and name.
    #[must_use]
    pub fn click(self, role: &str, name: &str) -> Self {
        self.step("click", json!({"role": role, "name": name}))
    }

    /// Waits until the page shows this text, or a longer text that contains it.
    #[must_use]
    pub fn expect(self, text: &str) -> Self {
        self.step("expect", text)
    }

    /// Reads the texts of all elements that match the CSS selector. The texts go into [`Seen`] under `name`.
    #[must_use]
    pub fn read(self, name: &str, css: &str) -> Self {
        self.step("read", json!({"name": name, "css": css}))
    }

    /// Reads the value of a JavaScript expression. The value goes into [`Seen`] under `name`.
    #[must_use]
    pub fn evaluate(self, name: &str, expression: &str) -> Self {
        self.step("evaluate", json!({"name": name, "expression": expression}))
    }

    /// Scrolls the page until the element that matches the CSS selector is at the top. Then writes a picture
    /// of the window into the file.
    #[must_use]
    pub fn picture(self, css: &str, file: &Path) -> Self {
        self.step("picture", json!({"css": css, "file": file}))
    }

    /// Loads the page again.
    #[must_use]
    pub fn reload(self) -> Self {
        self.step("reload", true)
    }

    /// Opens the page in another tab. The steps after this one happen in the new tab.
    #[must_use]
    pub fn new_tab(self) -> Self {
        self.step("newTab", true)
    }

    /// Checks the page with axe-core, a program that knows the rules of accessibility (WCAG 2.2 AA).
    #[must_use]
    pub fn axe(self) -> Self {
        self.step("axe", true)
    }
}

impl Browser {
    /// Carries out the walk in the browser. Fails if a step fails. Also fails if the page has a fault, such
    /// as a script's error, a dialog, a violation of the page's content security policy, or a call to another
    /// server. If a step fails, `dev/walk.cjs` writes a picture of the page into the file `failure`.
    pub fn walk(&self, walk: &Walk, failure: &Path) -> anyhow::Result<Seen> {
        let mut command = node();
        command.arg(root().join("dev/walk.cjs")).arg("--chromium").arg(&self.program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("Node.js: cannot run node")?;
        let plan = json!({
            "page": walk.page, "width": walk.width, "height": 900,
            "scheme": if walk.is_dark { "dark" } else { "light" }, "steps": walk.steps, "failure": failure,
        });
        let mut stdin = child.stdin.take().context("Node.js: has no standard input")?;
        stdin.write_all(plan.to_string().as_bytes()).context("Node.js: does not read the walk")?;
        drop(stdin);
        let output = child.wait_with_output().context("Node.js: did not end")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{}\nThe page looked like this: {}", error.trim(), failure.display());
        }
        let mut result: Value = serde_json::from_slice(&output.stdout)
            .context("dev/walk.cjs: expected JSON, found something else")?;
        let faults = result["faults"].as_array().context("dev/walk.cjs: expected `faults`")?;
        if !faults.is_empty() {
            bail!("the page did what a page must not do: {faults:#?}");
        }
        match result["seen"].take() {
            Value::Object(seen) => Ok(seen),
            other => bail!("dev/walk.cjs: expected `seen`, found {other}"),
        }
    }
}
