
"use strict";
// Texts and elements. The page shows every outside text by `textContent`, so no text becomes markup.
const $ = (id) => document.getElementById(id);

// Characters that a reader cannot see, or that change the direction of a text.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// A text for people: at most `most` characters, and the number of each unseen character in place of it.
function plain(value, most = 300) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  const cut = text.slice(0, most);
  const rest = text.length - cut.length;
  const shown = (sign) => `⟨U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  return cut.replace(UNSEEN, (sign) => (sign === "\n" ? sign : shown(sign))) + (rest ? `… and ${rest} more characters` : "");
}

// An element with properties and children. A text that is a child becomes a text node.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A text from outside. With `bdi`, its direction does not change the texts beside it.
const outside = (value, most) => make("bdi", { textContent: plain(value, most) });

function say(place, text, isError = false) {
  place.textContent = text;
  place.classList.toggle("error", isError);
}

const number = (value) => (Number(value) || 0).toLocaleString("en");
const count = (value, one, many = `${one}s`) => `${number(value)} ${Number(value) === 1 ? one : many}`;

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// A time in the reader's zone. Its title has the same time in UTC.
function time(text) {
  const moment = new Date(text);
  if (typeof text !== "string" || Number.isNaN(moment.getTime())) return outside(text ?? "unknown", 40);
  const utc = moment.toISOString();
  return make("time", { dateTime: utc, title: `${utc.slice(0, 19).replace("T", " ")} UTC`, textContent: LOCAL.format(moment) });
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(Number(seconds) || 0));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => whole >= size);
  if (at < 0) return "0 s";
  const [size, unit] = parts[at];
  const [next, name] = parts[at + 1] ?? [];
  const rest = next ? Math.floor((whole % size) / next) : 0;
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${name}` : ""}`;
}

const LABELS = {
  id: "Id", alert: "Alert", conversation: "Conversation", acceptedAt: "Accepted", changedAt: "Changed", dueAt: "Due", keptUntil: "Record kept until",
  reason: "Reason", attempts: "Attempts", uncertain: "Uncertain", activityId: "Activity", sender: "Sender (key)", tag: "Tag", seenAt: "Seen", reactions: "Reactions",
  replies: "Replies", diedAt: "Moved here", enqueuedAt: "Put on the queue", status: "Status", outcome: "Outcome",
};

// All members of an object, behind a summary.
function details(object, summary) {
  const value = (name, member) => (/(At|Until)$/.test(name) ? time(member) : outside(member));
  const pairs = Object.entries(object).filter(([name, member]) => name !== "text" && member !== null && member !== undefined);
  const rows = pairs.map(([name, member]) => pair(LABELS[name] ?? plain(name, 40), value(name, member)));
  return make("details", {}, make("summary", {}, summary), make("dl", { className: "facts" }, ...rows));
}

const pair = (label, ...values) => make("div", {}, make("dt", { textContent: label }), make("dd", {}, ...values));

const GOOD = ["delivered", "seen", "answered"];
const BAD = ["dead", "overdue", "failed", "unconfirmed", "untrusted", "tooLarge", "dropped"];
const badge = (status) => {
  const kind = GOOD.includes(status) ? "good" : BAD.includes(status) ? "bad" : "";
  return make("span", { className: `badge ${kind}` }, outside(status ?? "unknown", 60));
};

// The meaning of each outcome, and whether a replay helps.
const OUTCOMES = {
  destinationGone: "The person has removed or blocked the bot, or the conversation has been deleted. A replay helps only after the person has written to the bot again.",
  permanent: "The Connector refused the alert for good. Read the reason; a replay helps only after its cause is removed.",
  notInstalled: "The person or the team had not installed the bot in time. Replay when the bot is installed there.",
  unknownPerson: "The tenant has no such person, or no team or chat of the bot has a member with this e-mail address. A replay helps only after that has changed.",
  possiblyDelivered: "The Connector's response was lost twice, so the person may have seen the alert. A replay may show the alert once more.",
  retriesExhausted: "The Connector failed for too long. Replay these alerts when the Connector works again.",
  abandoned: "Runs ended too often while they worked on the alert. Look for killed runs in the log, then replay.",
  outOfTime: "The queue would have deleted the message before the next try. Replay it.",
  unreadable: "The message is no alert that this bot can read. Another program may have written it. A replay does not help.",
  sealBroken: "The message was changed after the bot sealed it, or another key sealed it. Do not trust it: find out who writes to the queue, then drop it.",
  unsealed: "The message has no seal, so another program wrote it. The bot does not replay it. Find the program, then drop the message.",
  untrustedHost: "The alert's Connector is not on the list of trusted hosts. If you trust the host, add it to `servicehosts`, then replay.",
  tenantNotAllowed: "The conversation is in a tenant that the bot does not serve. If the bot should serve it, add it to `tenants`, then replay.",
};
