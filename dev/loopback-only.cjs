// Keeps the Playground (Microsoft's chat page for bots) on loopback. Node.js loads this script before the
// Playground. Without the script, the Playground listens on every interface, and the Playground's telemetry
// library calls a link-local address even when telemetry is off.
"use strict";
const net = require("node:net");

const isLoopback = (host) =>
  !host || host === "localhost" || host === "::1" || /^127\./.test(host) || host === "::ffff:127.0.0.1";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  // The forms are listen(options), listen(port, host?, backlog?, callback?) and listen(path). Only the forms
  // with a port are changed.
  if (args[0] !== null && typeof args[0] === "object" && "port" in args[0]) {
    args[0] = { ...args[0], host: "127.0.0.1" };
  } else if (typeof args[0] === "number" || /^\d+$/.test(String(args[0]))) {
    const callback = args.find((argument) => typeof argument === "function");
    args = [{ port: Number(args[0]), host: "127.0.0.1" }, ...(callback ? [callback] : [])];
  }
  return listen.apply(this, args);
};

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const first = Array.isArray(args[0]) ? args[0][0] : args[0];
  const host = first !== null && typeof first === "object" ? first.host : args[1];
  if (typeof host === "string" && !isLoopback(host)) {
    process.nextTick(() => this.destroy(new Error(`dev/loopback-only.cjs: ${host} is not loopback; the Playground must call no other machine`)));
    return this;
  }
  return connect.apply(this, args);
};
