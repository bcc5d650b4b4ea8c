// The dead letters: lists, replays and drops them.
const work = $("dead-work");
const deadList = $("dead-list");
const chosen = () => [...deadList.querySelectorAll("input:checked")].map((box) => box.closest("li"));

function offerOutcome(outcome) {
  const select = $("dead-outcome");
  if (![...select.options].some((option) => option.value === outcome)) select.append(make("option", { value: outcome, textContent: plain(outcome, 60) }));
}
Object.keys(OUTCOMES).forEach(offerOutcome);

function deadRow(letter) {
  if (typeof letter.outcome === "string") offerOutcome(letter.outcome);
  const name = plain(letter.alert || letter.id, 64);
  const box = make("input", { type: "checkbox", ariaLabel: `Select ${name}` });
  const http = letter.status ? ` · HTTP ${plain(letter.status, 10)}` : "";
  const tries = letter.attempts ? ` · ${count(letter.attempts, "attempt")}` : "";
  const head = make("p", {}, make("span", { className: "badge bad" }, outside(letter.outcome ?? "unknown", 60)), " ", time(letter.diedAt), `${http}${tries} · ${duration(letter.ageSeconds)} old`);
  const reason = make("p", {}, outside(letter.reason ?? "no reason is recorded"));
  const text = letter.text === undefined ? [] : [make("p", { className: "text" }, outside(letter.text, 2000))];
  const note = make("p", { className: "hint", textContent: letter.replayable === false ? "This message cannot be replayed." : "" });
  const button = (word, isDanger, act) => {
    const made = make("button", { type: "button", className: isDanger ? "danger" : "", textContent: word, ariaLabel: `${word} ${name}` });
    made.addEventListener("click", act);
    return made;
  };
  const replay = button("Replay", false, () => replayRows([row]));
  replay.disabled = letter.replayable === false;
  const buttons = make("div", { className: "row" }, replay, button("Drop", true, () => dropRows([row])));
  const body = make("div", {}, head, reason, ...text, note, details(letter, make("span", {}, "Alert ", make("span", { className: "id", textContent: name }))));
  const row = make("li", { tabIndex: -1 }, make("label", { className: "check" }, box), body, buttons);
  return Object.assign(row, { letter, note });
}

// The approximate number of messages on the poison queue.
let held = 0;
const deads = paged({
  list: deadList, more: $("dead-more"), said: $("dead-said"), one: "dead letter", many: "dead letters", row: deadRow,
  async read(after) {
    const { answer } = await call("GET", query("api/dead", { outcome: outcome(), text: $("dead-text").checked && "true", after, limit: 100 }));
    held = answer.messages;
    return { items: answer.dead ?? [], next: answer.next };
  },
});

const outcome = () => $("dead-outcome").value;

function loadDead() {
  const one = outcome();
  $("dead-meaning").textContent = OUTCOMES[one] ?? "";
  $("replay-every").textContent = one ? `Replay all ${plain(one, 60)}` : "Replay all";
  $("drop-every").textContent = one ? `Drop all ${plain(one, 60)}` : "Drop all";
  return deads.load(true).then(explain);
}

// Explains which messages the list lacks. Unless the user asks for texts, the list has only the messages that
// the poller has moved to the poison queue.
function explain() {
  const hasAll = !outcome() && !$("dead-text").checked && $("dead-more").hidden;
  if ($("dead-text").checked) $("dead-meaning").textContent = "The list shows the texts of the 32 oldest messages only. If other programs put some of these 32 on the poison queue, the list shows them, too.";
  else if (hasAll && held > deadList.childElementCount) $("dead-meaning").textContent = `The poison queue holds about ${count(held, "message")}. Show texts to see also the messages that other programs put there.`;
}

function showChosen() {
  const number = chosen().length;
  for (const word of ["replay", "drop"]) {
    $(`${word}-selected`).disabled = number === 0;
    $(`${word}-selected`).textContent = `${word === "replay" ? "Replay" : "Drop"} selected${number ? ` (${number})` : ""}`;
  }
  const boxes = deadList.childElementCount;
  $("dead-all").checked = boxes > 0 && number === boxes;
  $("dead-all").indeterminate = number > 0 && number < boxes;
}
deadList.addEventListener("change", showChosen);
new MutationObserver(showChosen).observe(deadList, { childList: true });
$("dead-all").addEventListener("change", (event) => {
  for (const box of deadList.querySelectorAll("input")) box.checked = event.target.checked;
  showChosen();
});
$("dead-filter").addEventListener("submit", (event) => {
  event.preventDefault();
  $("dead-refused").replaceChildren();
  loadDead();
});

// The replay or drop that runs now. It shows its progress, and ends when it is done, is stopped, or fails.
let job = null;
$("job-stop").addEventListener("click", () => {
  job.stopped = true;
  say($("job-said"), "Stopping after the current call …");
});
addEventListener("beforeunload", (event) => job && event.preventDefault());

async function run(title, total, done, steps) {
  const mine = (job = { stopped: false, done: 0, refused: new Map() });
  $("job-title").textContent = title;
  $("job").hidden = false;
  $("dead-refused").replaceChildren();
  say($("dead-said"), "");
  work.disabled = true;
  $("job-stop").focus();
  mine.show = () => {
    const finished = mine.done + mine.refused.size;
    if (total) Object.assign($("job-bar"), { max: Math.max(total, finished), value: finished });
    else $("job-bar").removeAttribute("value");
    if (!mine.stopped) say($("job-said"), `${number(mine.done)}${total ? ` of about ${number(total)}` : ""} ${done}${mine.refused.size ? `, ${number(mine.refused.size)} refused` : ""}`);
  };
  mine.show();
  let problem = null;
  try {
    await steps(mine);
  } catch (error) {
    problem = error;
  }
  job = null;
  $("job").hidden = true;
  work.disabled = false;
  const left = mine.refused.size ? ` ${number(mine.refused.size)} refused:` : "";
  const result = `${count(mine.done, "dead letter")} ${done}${mine.stopped ? ", then stopped" : ""}.${left}`;
  showRefused(mine.refused);
  await readStatus();
  if (problem) fail($("dead-said"), problem, `${count(mine.done, "dead letter")} ${done}, then a call failed.`);
  else say($("dead-said"), result, mine.refused.size > 0);
  if (key) $("dead-said").focus();
}

function showRefused(refused) {
  const groups = new Map();
  for (const { why, message } of refused.values()) {
    const text = plain(message ?? why ?? "no reason was given");
    groups.set(text, (groups.get(text) ?? 0) + 1);
  }
  $("dead-refused").replaceChildren(...[...groups].slice(0, 20).map(([text, times]) => make("li", {}, `${times} × `, outside(text))));
}

// Repeats a call while the bot says that its search goes on. Stops if nothing happens for too long.
async function repeat(mine, step) {
  for (let idle = 0; !mine.stopped;) {
    const before = mine.done + mine.refused.size;
    if (!(await step())) return;
    mine.show();
    idle = mine.done + mine.refused.size > before ? 0 : idle + 1;
    if (idle > 60) throw new Problem("The search of the queue makes no progress. Perhaps another replay or drop works on these messages; wait a minute, then try again.");
    if (idle > 1) await pause(Math.min(250 * idle, 2000));
  }
}

// Counts the results of a call, and removes the rows of the dead letters in `done`.
function take(mine, answer, done) {
  const refused = answer.refused ?? [];
  mine.done += done.length;
  for (const one of refused) mine.refused.set(one.id, one);
  for (const row of [...deadList.children]) {
    const why = refused.find(({ id }) => id === row.letter.id);
    if (why) row.note.textContent = `Not done: ${plain(why.message ?? why.why)}`;
    if (done.includes(row.letter.id)) row.remove();
  }
  return [...done, ...refused.map(({ id }) => id)];
}

// Calls `act` for these rows, a hundred at a time.
async function actOnRows(mine, rows, act) {
  for (let at = 0; at < rows.length && !mine.stopped; at += 100) {
    let ids = rows.slice(at, at + 100).map(({ letter }) => letter.id);
    await repeat(mine, async () => {
      const { answer, ended } = await act(mine, { ids });
      ids = ids.filter((id) => !ended.includes(id));
      return answer.more && ids.length > 0;
    });
  }
}

async function replayStep(mine, selection) {
  const { answer } = await call("POST", "api/dead/replay", selection);
  return { answer, ended: take(mine, answer, answer.replayed ?? []) };
}

// If the bot does not know a dead letter, another operator may have dropped it. So it counts as dropped.
async function dropStep(mine, selection) {
  const { answer } = await call("POST", "api/dead/drop", selection);
  const gone = (answer.refused ?? []).filter(({ why }) => why === "unknown").map(({ id }) => id);
  const refused = (answer.refused ?? []).filter(({ why }) => why !== "unknown");
  return { answer, ended: take(mine, { refused }, [...(answer.dropped ?? []), ...gone]) };
}

async function replayRows(rows) {
  const able = rows.filter(({ letter }) => letter.replayable !== false);
  const skipped = rows.length - able.length;
  const text = `The bot sends ${able.length === 1 ? "this alert" : "these alerts"} again. It refuses alerts that have expired or were changed.${skipped ? ` ${count(skipped, "message")} cannot be replayed, and ${skipped === 1 ? "stays" : "stay"} here.` : ""}`;
  if (!able.length) return say($("dead-said"), "None of the selected messages can be replayed.", true);
  if (!(await ask(`Replay ${count(able.length, "dead letter")}?`, text, "Replay"))) return;
  await run("Replaying", able.length, "replayed", (mine) => actOnRows(mine, able, replayStep));
}

async function dropRows(rows) {
  const text = `The bot deletes ${rows.length === 1 ? "this message" : "these messages"} for good. The person never gets ${rows.length === 1 ? "it" : "them"}.`;
  if (!(await ask(`Drop ${count(rows.length, "dead letter")}?`, text, "Drop", true))) return;
  await run("Dropping", rows.length, "dropped", (mine) => actOnRows(mine, rows, dropStep));
}

// The approximate number of dead letters, if the list shows all reasons.
const about = () => (outcome() ? 0 : held ?? 0);
const every = () => `all dead letters${outcome() ? ` with the reason ${plain(outcome(), 60)}` : ""}`;

// Calls `act` for all dead letters with the chosen reason, until the bot has reached them all.
function actOnEvery(mine, act) {
  const selection = outcome() ? { outcome: outcome() } : { all: true };
  return repeat(mine, async () => (await act(mine, selection)).answer.more);
}

async function replayEvery() {
  if (!(await ask(`Replay ${every()}?`, `${OUTCOMES[outcome()] ?? ""} The bot sends every one of them again, also those that the list does not show yet. You can stop in between.`.trim(), "Replay all"))) return;
  await run(`Replaying ${every()}`, about(), "replayed", (mine) => actOnEvery(mine, replayStep));
  reload();
}

async function dropEvery() {
  if (!(await ask(`Drop ${every()}?`, "The bot deletes every one of them for good, also those that the list does not show yet. People never get these alerts. You can stop in between.", "Drop all", true))) return;
  await run(`Dropping ${every()}`, about(), "dropped", (mine) => actOnEvery(mine, dropStep));
  reload();
}

// Shows the list again, and keeps the result of the job in view.
async function reload() {
  const said = $("dead-said");
  const [text, isError] = [said.textContent, said.classList.contains("error")];
  await loadDead();
  if (text) say(said, `${text} ${isError ? "" : said.textContent}`.trim(), isError);
}

$("replay-selected").addEventListener("click", () => replayRows(chosen()));
$("drop-selected").addEventListener("click", () => dropRows(chosen()));
$("replay-every").addEventListener("click", replayEvery);
$("drop-every").addEventListener("click", dropEvery);
