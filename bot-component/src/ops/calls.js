// Calls of the bot's routes. The key is only in this variable: no cookie, no storage, no URL has it.
let key = "";
let leaving = new AbortController();

// A failed call, as a sentence for people.
class Problem extends Error {
  constructor(sentence, status = 0, code = "") {
    super(sentence);
    Object.assign(this, { status, code });
  }
}

function refusal(response, answer) {
  const { status } = response;
  const message = answer?.error?.message;
  const id = response.headers.get("x-request-id");
  const where = `(${status}${id ? `, request ${plain(id, 64)} in the log` : ""})`;
  if (status === 401) return "The bot does not accept this key: the key is unknown, or it has ended. Type another key.";
  if (typeof message === "string" && message) return `${plain(message, 600)} ${where}`;
  return `This response did not come from the bot. Perhaps a proxy sent it. Check the address of this page and the proxy ${where}.`;
}

async function call(method, path, body) {
  // If the user forgets the key while a job runs, the next call of the job fails here.
  if (!key) throw new Problem("The key is forgotten.", -1);
  const headers = { authorization: `Bearer ${key}` };
  if (body) headers["content-type"] = "application/json";
  const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(40_000)]);
  const left = leaving.signal;
  let response, text;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), signal,
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
    text = await response.text();
  } catch (error) {
    if (left.aborted) throw new Problem("The key is forgotten.", -1);
    if (error.name === "TimeoutError") throw new Problem("The bot did not answer within 40 s. Refresh, and look at the result before you repeat the action.");
    throw new Problem("The bot cannot be reached. Check the network, and that the bot runs. Then try again.");
  }
  // After the key is forgotten, the page must not show a response to a call with this key.
  if (left.aborted) throw new Problem("The key is forgotten.", -1);
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // The bot answers with JSON, or with 204 and no body. Any other text is not from the bot.
  }
  const isObject = answer !== null && typeof answer === "object";
  if (response.ok && (isObject || response.status === 204)) return { status: response.status, answer: answer ?? {} };
  throw new Problem(refusal(response, answer), response.status, answer?.error?.code);
}

// Shows why a call failed. Without a valid key, the page asks for a key again.
function fail(place, error, done = "") {
  if (!(error instanceof Problem)) throw error;
  if (error.status === -1) return;
  if (error.status === 401) return forget(error.message);
  say(place, `${done} ${error.message}`.trim(), true);
}

const query = (path, parameters) => {
  const used = Object.entries(parameters).filter(([, value]) => value);
  return used.length ? `${path}?${new URLSearchParams(used)}` : path;
};

const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// Asks the person to confirm an action. Resolves to true if the person agrees. The browser returns the focus.
function ask(title, text, action, isDanger) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = action;
  $("ask-yes").className = isDanger ? "danger" : "primary";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

// A list that grows page by page. `read(after)` returns `{ items, next }`. A refresh keeps the first `keep`
// children of the list, and removes the others.
function paged({ list, more, said, one, many, read, row, keep = 0 }) {
  let next, turn = 0;
  async function load(isFirst) {
    const mine = ++turn;
    if (isFirst) {
      while (list.childElementCount > keep) list.lastElementChild.remove();
      next = undefined;
    }
    more.hidden = true;
    say(said, "Loading …");
    const before = list.childElementCount;
    try {
      // A page may be empty and still have a next one.
      for (let pages = 0; pages < 20 && list.childElementCount === before && (pages === 0 || next); pages++) {
        const page = await read(next);
        if (mine !== turn) return;
        next = page.next;
        list.append(...page.items.map(row));
      }
    } catch (error) {
      if (mine !== turn) return;
      more.hidden = !next;
      return fail(said, error);
    }
    more.hidden = !next;
    const shown = list.childElementCount - keep;
    const rest = next ? " There are more." : shown ? " These are all." : "";
    say(said, shown ? `${count(shown, one, many)} shown.${rest}` : next ? `None found yet. Press “${more.textContent}” to search on.` : `There are no ${many} to show.`);
    if (!isFirst) (list.children[before] ?? more).focus();
  }
  more.addEventListener("click", () => load(false));
  return { load, stop: () => turn++ };
}
