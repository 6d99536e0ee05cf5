"use strict";
// Data of the page: cells, each with levels (base64 of signed bytes), their scale, and a feature.
const data = JSON.parse(document.getElementById("data").textContent);
const text = document.querySelector("pre");
const pieces = Array.from(text.querySelectorAll("i"));
const told = document.querySelector("output");
const mark = document.getElementById("mark");
const scale = document.querySelector(".scale");

const bytes = coded => Int8Array.from(atob(coded), letter => letter.charCodeAt(0) << 24 >> 24);
const cells = data.cells.map(cell => ({
  ...cell, values: bytes(cell.values), truth: cell.truth && bytes(cell.truth),
}));
let cell = cells[0];
let here = -1;

const signed = value => (value < 0 ? "−" : cell.sequential ? "" : "+") + Math.abs(value).toFixed(2);
const named = piece => ({ "\n": "line end", " ": "space", "\t": "tab", "": "part of a character" })[
  piece] || `“${piece}”`;

function colour() {
  pieces.forEach((piece, n) => {
    const level = Math.round(cell.values[n] / 127 * data.levels);
    const kept = piece.classList.contains("end") ? "end " : "";
    const shade = level > 0 ? "p" + level : level < 0 ? "n" + -level : "";
    piece.className = kept + shade + (cell.marks && cell.truth[n] ? " true" : "");
  });
  const [low, , high] = scale.children;
  low.textContent = cell.sequential ? "0" : signed(-cell.scale);
  high.textContent = signed(cell.scale);
  scale.classList.toggle("sequential", cell.sequential);
  mark.parentElement.hidden = !cell.marks;
  mark.nextElementSibling.textContent = `underline: ${cell.feature}`;
  show(here);
}

function show(n) {
  pieces[here]?.classList.remove("here");
  here = n;
  if (!pieces[n]) { told.textContent = "point at the text, or walk through it with ← and →"; return; }
  pieces[n].classList.add("here");
  const found = cell.truth && (cell.marks ? (cell.truth[n] ? "yes" : "no") : cell.truth[n]);
  const truth = cell.truth ? ` · ${cell.feature}: ${found}` : "";
  const value = document.createElement("b");
  value.textContent = signed(cell.values[n] / 127 * cell.scale);
  const shown = named(data.pieces[n]);
  told.replaceChildren(`${shown} at step ${data.start + n}: `, value, truth);
}

document.querySelectorAll("fieldset input").forEach((input, n) =>
  input.addEventListener("change", () => { cell = cells[n]; colour(); }));
mark.addEventListener("change", () => text.classList.toggle("marked", mark.checked));
text.addEventListener("pointerover", event => {
  const n = pieces.indexOf(event.target);
  if (n >= 0) show(n);
});
text.addEventListener("keydown", event => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  show(Math.max(0, Math.min(pieces.length - 1, here + step)));
});
colour();
