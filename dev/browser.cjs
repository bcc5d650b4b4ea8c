// Plays a person's visit to the chat page: opens the page, types a message, waits for replies and a card, and
// keeps a screenshot.
//
//   node browser.cjs --chromium PROGRAM --page URL --screenshot FILE --say TEXT [--expect REPLY]...
//     --card TITLE [--press BUTTON --shows TEXT] [--then-say TEXT --then-card TITLE]
//
// With --press, the person presses a button of the card, and waits until a card shows the text of --shows.
// With --then-say, the person writes a second message at the end, and waits for the card of --then-card.
//
// At the end, prints the bot's messages and cards on the page as JSON:
// {"bubbles": [text, …], "cards": [{"texts": [text, …], "buttons": [label, …]}, …], "colors": [color, …]}.
// A bubble is one message of the bot, with the message's card. The person waits for cards (--card and
// --then-card). For each awaited card with a container, "colors" has the background color of the first
// container. Every step has a time limit of one minute.
"use strict";
const { parseArgs } = require("node:util");
const { launch } = require("./chromium.cjs");

const STEP_MS = 60_000;

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
    "then-say": text,
    "then-card": text,
  },
});

const trimmed = (texts) => texts.map((text) => text.trim());

async function main() {
  // Playwright gives the browser an empty profile, and deletes the profile at the end.
  const browser = await launch(options.chromium, STEP_MS);
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(STEP_MS);
  try {
    // The page requests fonts from a content network. This route blocks all requests to other machines.
    await page.route((url) => !["localhost", "127.0.0.1"].includes(url.hostname), (route) => route.abort());
    await page.goto(options.page);
    const box = page.getByRole("textbox");
    await box.waitFor();
    const say = async (text) => {
      await box.pressSequentially(text);
      await box.press("Enter");
    };
    await say(options.say);
    // The bot's bubbles. Their texts also appear in the list of chats and in the log. The page has no role or
    // label for bubbles, so a CSS class finds them; the page's version is pinned.
    const bubbles = page.locator(".fai-OutputCard");
    for (const reply of options.expect) {
      await bubbles.filter({ hasText: reply }).first().waitFor();
    }
    // The rendered cards. If the page cannot render a card, its bubble has no such element.
    const cards = page.locator(".ac-adaptiveCard");
    const colors = [];
    const awaitCard = async (title) => {
      const awaited = cards.filter({ has: page.getByText(title, { exact: true }) }).first();
      await awaited.waitFor();
      await awaited.scrollIntoViewIfNeeded();
      const container = awaited.locator(".ac-container").first();
      if (await container.count()) colors.push(await container.evaluate((element) => getComputedStyle(element).backgroundColor));
    };
    await awaitCard(options.card);
    if (options.press) {
      await cards.getByRole("button", { name: options.press, exact: true }).first().click();
      // The button's own label can have the same text, so only blocks of text count.
      await cards.locator(".ac-textBlock").filter({ hasText: options.shows }).first().waitFor();
    }
    if (options["then-say"]) {
      await say(options["then-say"]);
      await awaitCard(options["then-card"]);
    }
    const read = async (card) => ({
      texts: trimmed(await card.locator(".ac-textBlock").allInnerTexts()),
      // A button that opens a web address has the role of a link.
      buttons: trimmed(await card.getByRole("button").or(card.getByRole("link")).allInnerTexts()),
    });
    return {
      bubbles: trimmed(await bubbles.allInnerTexts()),
      cards: await Promise.all((await cards.all()).map(read)),
      colors,
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
