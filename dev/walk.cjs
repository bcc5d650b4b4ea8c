// Walks through a web page in a real browser, step by step, mostly by keyboard.
//
//   node walk.cjs --chromium PROGRAM < WALK
//
// WALK is JSON: {"page": URL, "width": pixels, "height": pixels, "scheme": "light" | "dark", "failure": FILE,
// "steps": [STEP, …]}. A step is an object with one member, which is named after a function in `STEPS` below.
// If a step fails, FILE gets a picture of the page.
//
// At the end, prints {"seen": {name: value, …}, "faults": [text, …]} as JSON. A fault is something that must
// not happen on any page: a script's error, a dialog of the browser, a violation of the page's content
// security policy, or a call to another server. Every step has a time limit of one minute.
"use strict";
const fs = require("node:fs");
const { parseArgs } = require("node:util");
const { launch } = require("./chromium.cjs");

const STEP_MS = 60_000;
const MOST_TABS = 600;

const { values: options } = parseArgs({ options: { chromium: { type: "string" } } });

class Walk {
  constructor(browser, walk) {
    Object.assign(this, { browser, walk, seen: {}, faults: [], page: null, context: null });
  }

  fault(text) {
    this.faults.push(text);
  }

  // Opens the page in a new tab of the same profile.
  async newTab() {
    const { walk } = this;
    const page = await this.context.newPage();
    page.setDefaultTimeout(STEP_MS);
    // On its console, the browser reports each response with an HTTP status of 400 or above. Such a report is
    // no fault.
    const isReport = (text) => text.startsWith("Failed to load resource: the server responded with");
    page.on("console", (line) => isReport(line.text()) || this.fault(`console: ${line.text()}`));
    page.on("pageerror", (error) => this.fault(`error in a script: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.fault(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.origin !== new URL(walk.page).origin) this.fault(`call: ${request.url()}`);
    });
    await page.goto(walk.page);
    this.page = page;
  }

  async start() {
    const { width, height, scheme } = this.walk;
    this.context = await this.browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
    await this.context.exposeFunction("reportFault", (text) => this.fault(text));
    await this.context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => reportFault(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await this.newTab();
  }

  find({ role, name }) {
    return this.page.getByRole(role, { name, exact: true });
  }

  hasFocus(target) {
    return this.find(target).evaluateAll((elements) => elements.includes(document.activeElement));
  }
}

const STEPS = {
  // Presses Tab (or `key`, e.g. Shift+Tab) until an element with this role and name has the focus.
  async tabTo(walk, target) {
    for (let tabs = 0; tabs < MOST_TABS; tabs++) {
      if (await walk.hasFocus(target)) {
        // A person has to see where the focus is.
        const outline = await walk.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        if (outline === "none") walk.fault(`focus: not visible on ${target.role} “${target.name}”`);
        return;
      }
      await walk.page.keyboard.press(target.key ?? "Tab");
    }
    throw new Error(`the key Tab does not reach ${target.role} “${target.name}”`);
  },
  async expectFocus(walk, target) {
    for (const end = Date.now() + STEP_MS; Date.now() < end; await walk.page.waitForTimeout(20)) {
      if (await walk.hasFocus(target)) return;
    }
    const found = await walk.page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200));
    throw new Error(`expected the focus on ${target.role} “${target.name}”, found it on ${found}`);
  },
  press: (walk, key) => walk.page.keyboard.press(key),
  type: (walk, text) => walk.page.keyboard.type(text),
  click: (walk, target) => walk.find(target).first().click(),
  // Waits until the page shows this text.
  expect: (walk, text) => walk.page.getByText(text).filter({ visible: true }).first().waitFor(),
  // Keeps the texts of all elements that match the CSS selector.
  async read(walk, { name, css }) {
    walk.seen[name] = await walk.page.locator(css).allTextContents();
  },
  // Keeps the value of a JavaScript expression.
  async evaluate(walk, { name, expression }) {
    walk.seen[name] = await walk.page.evaluate(expression);
  },
  // Shows an element at the top of the window, and keeps a picture.
  async picture(walk, { css, file }) {
    await walk.page.locator(css).evaluate((element) => element.scrollIntoView());
    await walk.page.screenshot({ path: file });
  },
  reload: (walk) => walk.page.reload(),
  newTab: (walk) => walk.newTab(),
  // Checks the page by the rules of axe for WCAG 2.2 AA.
  async axe(walk) {
    await walk.page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const found = await walk.page.evaluate((tags) => axe.run(document, { runOnly: tags }), tags);
    for (const { id, help, nodes } of found.violations) {
      walk.fault(`axe: ${id}: ${help}: ${nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
    }
    if (!found.passes.length) walk.fault("axe: no rule was checked");
  },
};

async function main() {
  const plan = JSON.parse(fs.readFileSync(0, "utf8"));
  const browser = await launch(options.chromium, STEP_MS);
  try {
    const walk = new Walk(browser, plan);
    await walk.start();
    for (const [number, step] of plan.steps.entries()) {
      const [[name, argument]] = Object.entries(step);
      try {
        await STEPS[name](walk, argument);
      } catch (error) {
        await walk.page.screenshot({ path: plan.failure }).catch(() => {});
        const shown = await walk.page.locator("body").innerText().catch(() => "");
        throw new Error(`step ${number}, ${JSON.stringify(step)}: ${error.message}\nfaults: ${JSON.stringify(walk.faults)}\nthe page:\n${shown.slice(0, 3000)}`);
      }
    }
    return { seen: walk.seen, faults: walk.faults };
  } finally {
    await browser.close();
  }
}

main().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(`dev/walk.cjs: ${error.message}`);
    process.exitCode = 1;
  },
);
