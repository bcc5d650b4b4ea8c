// The alerts, from `GET /api/alerts`.
const STATUSES = ["queued", "waiting", "overdue", "delivered", "cancelling", "cancelled", "expired", "stopped", "replaced", "withdrawn", "dead", "dropped", "failed", "unconfirmed", "paused", "untrusted", "tooLarge"];
for (const status of STATUSES) $("alerts-status").append(make("option", { value: status, textContent: status }));

function alertRow(alert) {
  const from = [alert.sender && ["by ", outside(alert.sender, 60)], alert.tag && ["tag ", outside(alert.tag, 64)]].filter(Boolean);
  const uncertain = alert.uncertain ? [" ", make("span", { className: "badge", textContent: "uncertain" })] : [];
  const head = make("p", {}, badge(alert.status), ...uncertain, " ", time(alert.acceptedAt), ...from.flatMap((part) => [" · ", ...part]));
  const reason = alert.reason ? [make("p", {}, outside(alert.reason))] : [];
  return make("li", { tabIndex: -1 }, make("div", {}, head, ...reason, details(alert, make("span", {}, "Alert ", make("span", { className: "id" }, outside(alert.id, 64))))));
}

const alerts = paged({
  list: $("alerts-list"), more: $("alerts-more"), said: $("alerts-said"), one: "alert", many: "alerts", row: alertRow,
  async read(after) {
    const filter = { status: $("alerts-status").value, tag: $("alerts-tag").value.trim(), after, limit: 50 };
    const { answer } = await call("GET", query("api/alerts", filter));
    return { items: answer.alerts ?? [], next: answer.next };
  },
});

$("alerts-filter").addEventListener("submit", (event) => {
  event.preventDefault();
  alerts.load(true);
});

$("alerts-find").addEventListener("submit", async (event) => {
  event.preventDefault();
  alerts.stop();
  const said = $("alerts-said");
  $("alerts-list").replaceChildren();
  $("alerts-more").hidden = true;
  try {
    const { answer } = await call("GET", `api/alerts/${encodeURIComponent($("alerts-id").value.trim())}`);
    const row = alertRow(answer);
    row.querySelector("details").open = true;
    $("alerts-list").append(row);
    say(said, "1 alert found.");
  } catch (error) {
    if (error.status !== 404) return fail(said, error);
    say(said, "The bot has no record of such an alert. Check the id. The ledger forgets an alert about a week after its end.", true);
  }
});

// The test alert: sends it, and follows it until it has ended.
const targets = paged({
  list: $("test-target"), more: $("test-more"), said: $("test-said"), one: "conversation", many: "conversations", keep: 1,
  async read(after) {
    const { answer } = await call("GET", query("api/targets", { after, limit: 100 }));
    return { items: answer.targets ?? [], next: answer.next };
  },
  row({ conversation, name, user, channelId, conversationType, stopped, paused }) {
    const state = `${stopped ? " (stopped)" : ""}${paused ? " (paused)" : ""}`;
    const who = plain(user?.name ?? name ?? user?.id ?? conversation, 60);
    const where = [channelId, conversationType].filter(Boolean).map((part) => plain(part, 30)).join(", ");
    return make("option", { value: conversation, textContent: `${who}, ${where}, ${plain(conversation, 8).slice(0, 8)}${state}` });
  },
});

async function follow(id, said) {
  const waits = ["queued", "waiting", "unconfirmed", "cancelling"];
  let alert = { status: "queued" };
  for (let round = 0; round < 9 && waits.includes(alert.status); round++) {
    say(said, `The alert is ${plain(alert.status, 60)}${alert.reason ? `: ${plain(alert.reason)}` : ""}. The page waits for the outcome …`);
    const begun = Date.now();
    alert = (await call("GET", query(`api/alerts/${encodeURIComponent(id)}`, { wait: 20 }))).answer;
    if (Date.now() - begun < 1000) await pause(1000);
  }
  const seconds = (Date.parse(alert.changedAt) - Date.parse(alert.acceptedAt)) / 1000;
  if (alert.status === "delivered") return say(said, `The Connector accepted the alert${seconds >= 0 ? `, ${seconds.toFixed(1)} s after the bot had accepted it` : ""}. Look into your conversation.`);
  const reason = alert.reason ? ` Reason: ${plain(alert.reason)}.` : "";
  if (waits.includes(alert.status)) return say(said, `The alert is still ${plain(alert.status, 60)}.${reason} Refresh, and read the problems under Status.`, true);
  say(said, `The alert was not delivered. Its status is ${plain(alert.status, 60)}.${reason}`, true);
}

$("test-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = $("test-said");
  const send = $("test-form").querySelector(".primary");
  if (send.ariaDisabled === "true") return;
  send.ariaDisabled = "true";
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const body = { to: { conversation: $("test-target").value }, text: $("test-text").value, idempotencyKey: `ops/${random}` };
  say(said, "Sending …");
  try {
    const alert = (await call("POST", "api/alerts", body)).answer.alerts?.[0] ?? {};
    if (alert.status === "queued") await follow(alert.id, said);
    else say(said, `The bot did not queue the alert. Its status is ${plain(alert.status ?? "unknown", 60)}.`, true);
  } catch (error) {
    fail(said, error);
  } finally {
    send.ariaDisabled = "false";
  }
});
