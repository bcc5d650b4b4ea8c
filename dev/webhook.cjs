// Checks the signature of a callback with the reference library of Standard Webhooks. Reads
// {"secret": …, "headers": {…}, "body": "…"} from standard input, and fails if the signature is not valid.
"use strict";
const { Webhook } = require("standardwebhooks");

let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (part) => (input += part));
process.stdin.on("end", () => {
  const { secret, headers, body } = JSON.parse(input);
  try {
    console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
  } catch (error) {
    console.error(`dev/webhook.cjs: ${error.message}`);
    process.exitCode = 1;
  }
});
