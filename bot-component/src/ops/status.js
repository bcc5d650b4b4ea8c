// The status, from `GET /api/status`. A part that the bot could not read is null.

// The time that has passed from `moment` to `now`, the bot's own time.
function ago(moment, now) {
  const seconds = (Date.parse(now) - Date.parse(moment)) / 1000;
  return Number.isFinite(seconds) ? `${duration(seconds)} ago` : "unknown";
}

function tile(label, value, ...rest) {
  return pair(label, make("b", {}, value), ...rest.flatMap((part) => [make("br"), part]));
}

function problemsOf(status) {
  const problems = Array.isArray(status.problems) ? status.problems : [];
  if (!problems.length) return make("p", { className: "fine", textContent: "The bot reports no problem." });
  return make("ul", { className: "problems" }, ...problems.map((problem) => make("li", {}, outside(problem, 600))));
}

function runOf({ lastRun, running, now }) {
  const state = running ? "at work" : running === false ? "not at work now" : "not readable now";
  if (!lastRun) return tile("Poller", state, ...(running === null ? [] : ["no run yet"]));
  const what = make("span", {}, `last run ${ago(lastRun.beganAt, now)} by `, outside(lastRun.entryPoint ?? "?", 40));
  const counts = `${number(lastRun.received ?? 0)} received, ${number(lastRun.delivered ?? 0)} delivered`;
  const failure = lastRun.failure ? [make("span", { className: "error" }, outside(lastRun.failure, 600))] : [];
  return tile("Poller", state, what, counts, ...failure);
}

function factsOf(status) {
  const { queue, dead, paused, clockSkewSeconds: skew, versions, hostsOut, pausedConversations } = status;
  const unknown = "not readable now";
  const moment = (label, at) => (at ? tile(label, ago(at, status.now), time(at)) : tile(label, "none yet"));
  const facts = [
    tile("Queue", queue ? count(queue.messages ?? 0, "message") : unknown,
      ...(queue?.oldestSeconds === undefined ? [] : [`oldest visible: ${duration(queue.oldestSeconds)}`]), ...(queue?.name ? [outside(queue.name, 63)] : [])),
    tile("Dead letters", dead ? count(dead.messages ?? 0, "message") : unknown),
    runOf(status),
    moment("Last delivery", status.lastDeliveryAt),
    moment("Last good run", status.lastSuccessAt),
  ];
  if (paused) facts.push(tile("Poller is paused until", time(paused.until), make("span", { className: "error" }, outside(paused.reason))));
  if (typeof skew === "number") facts.push(tile("Clock", Math.abs(skew) < 2 ? "correct" : `${duration(Math.abs(skew))} ${skew > 0 ? "ahead" : "behind"}`, "compared with the storage account"));
  if (status.token?.until) facts.push(tile("Token of the bot", `good for ${duration((Date.parse(status.token.until) - Date.parse(status.now)) / 1000)}`, time(status.token.until)));
  if (versions) facts.push(tile("Version", outside(versions.bot ?? "unknown", 40), ...(versions.commit ? [outside(versions.commit, 40)] : [])));
  if (hostsOut?.length) facts.push(tile("Connector hosts that are down", count(hostsOut.length, "host"), ...hostsOut.map((host) => outside(host))));
  if (pausedConversations?.length) {
    const rows = pausedConversations.map(({ conversation, until }) => make("div", {}, outside(conversation), " until ", time(until)));
    facts.push(tile("Paused conversations", count(rows.length, "conversation"), make("details", {}, make("summary", { textContent: "Which" }), ...rows)));
  }
  return facts;
}

function totalsOf(totals) {
  const rows = Object.entries(totals ?? {}).flatMap(([name, value]) => {
    if (name === "since") return [pair("since", time(value))];
    if (typeof value !== "object" || value === null) return [pair(plain(name, 40), number(value))];
    return Object.entries(value).map(([reason, times]) => pair(`${plain(name, 40)}: ${plain(reason, 60)}`, number(times)));
  });
  return rows.length ? rows : [pair("Counts", "none yet")];
}

function showStatus(status) {
  $("problems").replaceChildren(problemsOf(status));
  $("facts").replaceChildren(...factsOf(status));
  $("totals").replaceChildren(...totalsOf(status.totals));
  for (const outcome of Object.keys(status.totals?.dead ?? {})) offerOutcome(outcome);
  say($("status-said"), "");
  $("status-said").append("As of ", time(status.now), ".");
}

async function readStatus() {
  try {
    showStatus((await call("GET", "api/status")).answer);
  } catch (error) {
    fail($("status-said"), error);
  }
}
