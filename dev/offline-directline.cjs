// A Direct Line that nobody here wrote: https://www.npmjs.com/package/offline-directline, on loopback, with its paths moved
// to where Direct Line 3.0 has them. `node offline-directline.cjs <port> <bot endpoint>`
"use strict";
const [port, bot] = process.argv.slice(2);
const directline = require("offline-directline");
const express = require(require.resolve("express", { paths: [require.resolve("offline-directline")] }));

const app = express();
app.use("/v3", directline.getRouter(`http://127.0.0.1:${port}/v3`, bot));
app.listen(Number(port), "127.0.0.1");
