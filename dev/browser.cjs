// A person before the chat page: opens it, types a message, waits for answers, and keeps a screenshot.
//
//   node browser.cjs --chromium PROGRAM --page URL --screenshot FILE [--say TEXT] [--expect ANSWER]...
//
// Prints the texts that the bot has on the page at the end, as one JSON array. Every step has its time limit.
"use strict";
const { parseArgs } = require("node:util");
const { chromium } = require("playwright-core");

const STEP_MS = 60_000;
const ARGUMENTS = [
  "--no-sandbox", // Chromium has none for root, and only our own page is opened.
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const text = { type: "string" };
const { values: options } = parseArgs({
  options: { chromium: text, page: text, screenshot: text, say: text, expect: { ...text, multiple: true, default: [] } },
});

async function main() {
  // Playwright gives it an empty profile of its own, and removes that at the end.
  const browser = await chromium.launch({ executablePath: options.chromium, args: ARGUMENTS, timeout: STEP_MS });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(STEP_MS);
  try {
    // The page asks a content network for fonts; here nothing but this machine is asked.
    await page.route((url) => !["localhost", "127.0.0.1"].includes(url.hostname), (route) => route.abort());
    await page.goto(options.page);
    const box = page.getByRole("textbox");
    await box.waitFor();
    if (options.say !== undefined) {
      await box.pressSequentially(options.say);
      await box.press("Enter");
    }
    // The bubbles of the bot; the list of chats and the log repeat their texts elsewhere. The page has no role or
    // label for them, but its version is pinned.
    const said = page.locator(".fai-OutputCard");
    for (const answer of options.expect) {
      await said.filter({ hasText: answer }).first().waitFor();
    }
    return (await said.allInnerTexts()).map((bubble) => bubble.trim());
  } finally {
    await page.screenshot({ path: options.screenshot }).finally(() => browser.close());
  }
}

main().then(
  (texts) => console.log(JSON.stringify(texts)),
  (error) => {
    console.error(`dev/browser.cjs: ${error.message}`);
    process.exitCode = 1;
  },
);
