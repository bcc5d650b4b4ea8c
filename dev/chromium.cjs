// Starts the Chromium of the page's tests. Use this module in each script that opens a page of the project.
"use strict";
const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--no-sandbox", // Chromium has no sandbox for root, and only the project's own page is opened.
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Starts the program with an empty profile, which Playwright deletes at the end.
exports.launch = (program, milliseconds) =>
  chromium.launch({ executablePath: program, args: ARGUMENTS, timeout: milliseconds });
