// What the page and its list are built with.
export const $ = (id) => document.getElementById(id);
export const words = JSON.parse($("words").textContent);
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

// Says what became of a step; kind: "good", "bad" or none.
export function say(text, kind) {
  $("told").textContent = text;
  $("told").className = kind;
}
