// Opens the page with a key, and closes it again.
$("place").textContent = location.host;

function forget(sentence = "") {
  key = "";
  leaving.abort();
  leaving = new AbortController();
  if (job) job.stopped = true;
  for (const shown of document.querySelectorAll("#problems, #facts, #totals, #dead-list, #dead-refused, #alerts-list, .said")) shown.replaceChildren();
  $("test-target").length = 1;
  for (const field of document.querySelectorAll("input, textarea")) field.type === "checkbox" ? (field.checked = false) : (field.value = field.defaultValue);
  $("dead-meaning").textContent = "";
  $("ask").close();
  $("open").hidden = $("tools").hidden = true;
  $("unlock").hidden = false;
  say($("key-said"), sentence, Boolean(sentence));
  $("key").focus();
  $("key").select();
}

function loadAll() {
  $("test-target").length = 1;
  return Promise.all([loadDead(), alerts.load(true), targets.load(true).then(() => $("test-said").classList.contains("error") || say($("test-said"), ""))]);
}

$("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = $("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(typed)) return say($("key-said"), "A key has letters, digits and signs, and no space between them. Copy the key again.", true);
  key = typed;
  say($("key-said"), "Opening …");
  let status = null, problem = null;
  try {
    status = (await call("GET", "api/status")).answer;
  } catch (error) {
    problem = error;
    if (error.status === 401 || error.status === 403) return forget(error.message);
  }
  $("key").value = "";
  $("unlock").hidden = true;
  $("open").hidden = $("tools").hidden = false;
  if (status) showStatus(status);
  else fail($("status-said"), problem);
  $("status-title").focus();
  loadAll();
});

$("refresh").addEventListener("click", () => Promise.all([readStatus(), loadAll()]));
$("forget").addEventListener("click", () => forget());
$("ask-no").addEventListener("click", () => $("ask").close());
$("ask-yes").addEventListener("click", () => $("ask").close("yes"));
// A browser may keep the page for its button "back". The key must not stay there.
addEventListener("pagehide", () => forget());
forget();
