// The page to rate on: it shows what the server says comes next, and tells it each step. What the server has not
// answered to is not saved, and the page says so. Texts are only ever set as text.
import { $, element, fill, say, words } from "./parts.js";
import { firstCard, onRankKey, showOutputs, tiers } from "./rank.js";

const mode = document.body.dataset.mode;
const SAID = { answer: "saved", undo: "undone", skip: "put_off" };
const BREATH = 200;  // ms from one step to the next: the second half of a double click answers nothing unread

let rater = sessionStorage.getItem("rater") || document.body.dataset.rater;
let item = null;  // what is on the screen
let busy = false;  // a step is under way: no other is begun

// --- the server

async function ask(what, told) {
  const answer = await fetch(what, told && {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ rater, ...told }),
  });
  const said = answer.headers.get("Content-Type") === "application/json" ? await answer.json() : {};
  if (answer.ok) return said;
  throw Object.assign(new Error(), { why: said.why || "no_item" });
}

async function step(what, told = {}) {
  if (busy) return;
  busy = document.body.ariaBusy = true;
  try {
    const state = await ask(what, told);
    show(state);
    trouble(null);
    say(fill(words[SAID[what]] || "", { n: state.answered }), "good");
  } catch (error) {
    if (error.why === "no_step" || error.why === "no_order") say(words[error.why], "bad");
    else if (error.why === "no_longer") { await load(); trouble(words.no_longer); }
    else trouble(words[error.why || "no_server"]);
  } finally {
    for (const level of document.querySelectorAll(".level")) level.classList.remove("chosen");
    setTimeout(() => { busy = document.body.ariaBusy = false; }, BREATH);
  }
}

async function load() {
  try {
    show(await ask("state?rater=" + encodeURIComponent(rater)));
    trouble(null);
  } catch (error) {
    if (error.why === "no_name") { leave(); $("name").focus(); }
    trouble(words[error.why || "no_server"]);
  }
}

// --- what is shown

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text || "";
}

function screen(name) {
  for (const id of ["who", "work", "done"]) $(id).hidden = id !== name;
  $("progress").hidden = $("me").hidden = name === "who";
  if (name === "who") $("agreement").hidden = true;
}

function show(state) {
  item = state.item;
  const all = state.answered + state.left + state.skipped;
  document.querySelector("progress").max = Math.max(all, 1);
  document.querySelector("progress").value = state.answered;
  $("so-far").textContent = fill(words.so_far, { done: state.answered, all });
  $("me").textContent = rater;
  $("me").title = $("me").ariaLabel = `${rater}: ${words.change}`;
  showAgreement(state.agreement);
  $("undo").disabled = $("undo-last").disabled = !state.undo;
  if (!item) return showDone(state);
  screen("work");
  showAbout();
  if (mode === "rate") $("text").textContent = item.texts[0][1];
  else showOutputs(item.texts);
  $("item").classList.remove("fresh");
  void $("item").offsetWidth;  // so that the animation starts anew
  $("item").classList.add("fresh");
  window.scrollTo(0, 0);
  (mode === "rate" ? $("text") : firstCard()).focus({ preventScroll: true });
}

function showAbout() {
  $("photo").hidden = !item.photo;
  if (item.photo) {
    $("photo").src = "photo/" + item.place;
    $("photo").alt = item.about.photo || words.photo;
  }
  $("about").replaceChildren(...Object.entries(item.about).map(([slot, value]) => {
    const pair = document.createElement("div");
    pair.append(element("dt", words[slot]), element("dd", value));
    return pair;
  }));
}

function showDone(state) {
  screen("done");
  const [title, text] = $("done").querySelectorAll("h2, p");
  title.textContent = state.skipped ? words.done_skipped : words.done;
  text.textContent = (state.skipped ? fill(words.done_more, { n: state.skipped }) + " " : "") + fill(words.done_saved, { n: state.answered });
  $("again").hidden = !state.skipped;
  title.focus();
}

function showAgreement(told) {
  $("agreement").hidden = !told;
  if (!told) return;
  const two = (x) => x.toFixed(2);
  const found = told.needed ? "alpha_needed" : told.alpha === null ? "alpha_none" : "alpha";
  const values = found === "alpha" ? { ...told, alpha: two(told.alpha), low: two(told.interval[0]), high: two(told.interval[1]) } : told;
  $("agreement").querySelector("span").textContent = fill(words[found], values);
}

// --- who rates

function enter(name) {
  rater = name.trim();
  sessionStorage.setItem("rater", rater);
  say("", "");
  load();
}

function leave() {
  sessionStorage.removeItem("rater");
  rater = "";
  screen("who");
  $("name").focus();
}

// --- steps, by mouse and by key

function rate(button) {
  if (busy || !item) return;
  button.classList.add("chosen");
  step("answer", { place: item.place, value: Number(button.dataset.value) });
}

const save = () => item && step("answer", { place: item.place, value: tiers() });
const skip = () => item && step("skip", { place: item.place });

function onKey(event) {
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  if ($("work").hidden && $("done").hidden) return;
  const command = event.ctrlKey || event.metaKey;
  if (mode === "rank" && command && event.key === "Enter") { event.preventDefault(); return save(); }
  if (command || event.altKey) return;
  const key = event.code === "KeyZ" ? "z" : event.code === "KeyS" ? "s" : event.key;  // wherever 한/영 stands
  if (key === "z" || key === "Backspace") { event.preventDefault(); return step("undo"); }
  if ($("work").hidden) return;
  if (key === "s") return skip();
  const level = mode === "rate" && document.querySelector(`.level[aria-keyshortcuts="${CSS.escape(key)}"]`);
  if (level) return rate(level);
  if (mode === "rank") onRankKey(event, key);
}

document.addEventListener("keydown", onKey);
$("name-form").addEventListener("submit", (event) => { event.preventDefault(); enter($("name").value); });
for (const known of document.querySelectorAll("[data-name]")) known.addEventListener("click", () => enter(known.dataset.name));
for (const level of document.querySelectorAll(".level")) level.addEventListener("click", () => rate(level));
$("me").addEventListener("click", () => { trouble(null); leave(); });
$("undo").addEventListener("click", () => step("undo"));
$("undo-last").addEventListener("click", () => step("undo"));
$("skip").addEventListener("click", skip);
$("again").addEventListener("click", () => step("again"));
if (mode === "rank") $("save").addEventListener("click", save);

if (rater) load();
else leave();
