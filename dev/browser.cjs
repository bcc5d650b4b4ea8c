// Plays a person's visit to the chat page: opens it, types a message, waits for answers and a card, and keeps
// a screenshot.
//
//   node browser.cjs --chromium PROGRAM --page URL --screenshot FILE --say TEXT [--expect ANSWER]...
//     --card TITLE [--press BUTTON --shows TEXT]
//
// With --press, the person then presses a button, and waits until a card shows a text.
//
// At the end, prints the bot's part of the page as JSON:
// {"bubbles": [text, …], "cards": [{"texts": [text, …], "buttons": [label, …]}, …]}. A card is inside a
// bubble. Every step has its time limit.
"use strict";
const { parseArgs } = require("node:util");
const { chromium } = require("playwright-core");

const STEP_MS = 60_000;
const ARGUMENTS = [
  "--no-sandbox", // Chromium has no sandbox for root, and only the project's own page is opened.
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const text = { type: "string" };
const { values: options } = parseArgs({
  options: {
    chromium: text,
    page: text,
    screenshot: text,
    say: text,
    expect: { ...text, multiple: true, default: [] },
    card: text,
    press: text,
    shows: text,
  },
});

const trimmed = (texts) => texts.map((text) => text.trim());

async function main() {
  // Playwright gives the browser an empty profile, and deletes the profile at the end.
  const browser = await chromium.launch({ executablePath: options.chromium, args: ARGUMENTS, timeout: STEP_MS });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(STEP_MS);
  try {
    // The page requests fonts from a content network. Requests to other machines are blocked here.
    await page.route((url) => !["localhost", "127.0.0.1"].includes(url.hostname), (route) => route.abort());
    await page.goto(options.page);
    const box = page.getByRole("textbox");
    await box.waitFor();
    await box.pressSequentially(options.say);
    await box.press("Enter");
    // The bot's bubbles. Their texts also appear in the list of chats and in the log. The page has no role or
    // label for bubbles, so a CSS class finds them; the page's version is pinned.
    const bubbles = page.locator(".fai-OutputCard");
    for (const answer of options.expect) {
      await bubbles.filter({ hasText: answer }).first().waitFor();
    }
    // A rendered card. A card that the page cannot render gives a bubble without this element.
    const cards = page.locator(".ac-adaptiveCard");
    const awaited = cards.filter({ has: page.getByText(options.card, { exact: true }) }).first();
    await awaited.waitFor();
    await awaited.scrollIntoViewIfNeeded();
    if (options.press) {
      await cards.getByRole("button", { name: options.press, exact: true }).first().click();
      await cards.getByText(options.shows, { exact: true }).first().waitFor();
    }
    const read = async (card) => ({
      texts: trimmed(await card.locator(".ac-textBlock").allInnerTexts()),
      // A button that opens an address has the role of a link.
      buttons: trimmed(await card.getByRole("button").or(card.getByRole("link")).allInnerTexts()),
    });
    return {
      bubbles: trimmed(await bubbles.allInnerTexts()),
      cards: await Promise.all((await cards.all()).map(read)),
    };
  } finally {
    await page.screenshot({ path: options.screenshot }).finally(() => browser.close());
  }
}

main().then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(`dev/browser.cjs: ${error.message}`);
    process.exitCode = 1;
  },
);
