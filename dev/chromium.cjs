// Starts Chromium for tests. Each script that opens a web page of the project uses this module.
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

// Starts the program with an empty profile. At the end, Playwright deletes the profile.
exports.launch = (program, milliseconds) =>
  chromium.launch({ executablePath: program, args: ARGUMENTS, timeout: milliseconds });
