// The outputs of one context as cards, to be put in order: by dragging, by buttons, by keys. A card may tie with the one
// above it.
import { $, element, fill, say, words } from "./parts.js";

const cards = () => [...$("outputs").children];
const held = () => document.querySelector(".output.held");

export const firstCard = () => $("outputs").firstChild;

function button(text, label, className, act) {
  const made = element("button", text, className);
  made.type = "button";
  made.tabIndex = -1;  // the keyboard has keys of its own for it
  made.ariaLabel = made.title = label;
  made.addEventListener("click", act);
  return made;
}

export function showOutputs(texts) {
  $("outputs").replaceChildren(...texts.map(([place, text]) => {
    const card = element("li", "", "output");
    card.tabIndex = 0;
    card.dataset.place = place;
    const grip = element("div", "", "grip");
    grip.title = words.grip;
    grip.append(element("b", ""), element("i", "⠿"));
    grip.addEventListener("pointerdown", (event) => startDrag(event, card));
    const moves = element("div", "", "moves");
    moves.append(button("▲", words.up, "quiet", () => move(card, -1)), button("▼", words.down, "quiet", () => move(card, 1)));
    card.addEventListener("focusout", () => hold(card, false));
    card.append(grip, element("p", text), moves, button("=", words.tie, "tie", () => tie(card)));
    return card;
  }));
  number();
}

function number() {
  let tier = 0;
  cards().forEach((card, place) => {
    if (!place) card.classList.remove("tied");
    const tied = card.classList.contains("tied");
    if (!tied) tier = place + 1;
    card.querySelector("b").textContent = tier;
    card.querySelector(".tie").ariaPressed = tied;
    card.ariaLabel = fill(words.at, { n: tier }) + (tied ? ", " + words.tie : "") + ": " + card.querySelector("p").textContent;
  });
}

// Moves a card one place. Its neighbour is what moves in the page, so the card keeps focus and pointer. Cards that tie
// stay tied without it; a card that comes to stand between two that tie, ties with them.
function move(card, by) {
  const other = by < 0 ? card.previousElementSibling : card.nextElementSibling;
  if (!other) return false;
  const after = card.nextElementSibling;
  if (after && !card.classList.contains("tied")) after.classList.remove("tied");
  if (by < 0) card.after(other);
  else card.before(other);
  const next = card.nextElementSibling;
  card.classList.toggle("tied", Boolean(next && next.classList.contains("tied")));
  number();
  say(fill(words.at, { n: cards().indexOf(card) + 1 }), "");
  return true;
}

function tie(card) {
  if (card.previousElementSibling) card.classList.toggle("tied");
  number();
  say(card.classList.contains("tied") ? words.tie : "", "");
}

function hold(card, on) {
  card.classList.toggle("held", on);
}

function startDrag(event, card) {
  if (event.button) return;
  event.preventDefault();
  card.focus({ preventScroll: true });
  hold(card, true);
  const drag = (moved) => {
    const middle = (other) => { const box = other.getBoundingClientRect(); return box.top + box.height / 2; };
    let [before, after] = [card.previousElementSibling, card.nextElementSibling];
    while (before && moved.clientY < middle(before) && move(card, -1)) before = card.previousElementSibling;
    while (after && moved.clientY > middle(after) && move(card, 1)) after = card.nextElementSibling;
  };
  const drop = () => {
    hold(card, false);
    document.removeEventListener("pointermove", drag);
    for (const end of ["pointerup", "pointercancel"]) document.removeEventListener(end, drop);
  };
  document.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, drop);
}

export function onRankKey(event, key) {
  const card = event.target.closest && event.target.closest(".output");
  const by = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (!card || event.target !== card) return;
  if (by) {
    event.preventDefault();
    if (held() === card) move(card, by);
    else (by < 0 ? card.previousElementSibling : card.nextElementSibling)?.focus();
    card.ownerDocument.activeElement.scrollIntoView({ block: "nearest" });
  } else if (key === "Enter" || key === " ") {
    event.preventDefault();
    const on = held() !== card;
    if (held()) hold(held(), false);
    hold(card, on);
    say(fill(on ? words.held : words.at, { n: cards().indexOf(card) + 1 }), "");
  } else if (key === "=") tie(card);
  else if (key === "Escape") hold(card, false);
}

// The places of the outputs, best first, those that tie together.
export function tiers() {
  const found = [];
  for (const card of cards()) {
    const place = Number(card.dataset.place);
    if (card.classList.contains("tied")) found.at(-1).push(place);
    else found.push([place]);
  }
  return found;
}
