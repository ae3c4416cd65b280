"use strict";
// Opening, closing and filtering work without this; it adds what HTML alone has no words for.

const openers = document.querySelectorAll("button[popovertarget]:not(.close)");
const cells = [...document.querySelectorAll("button.cell")];
const seen = (button) => button.offsetParent !== null;

// The matrix is one stop of the Tab key; the arrow keys move within it.
let current = cells[0];
function stop(at) {
  if (!at) return;
  current.tabIndex = -1;
  current = at;
  current.tabIndex = 0;
}

function nearest(from, down) {
  const box = from.getBoundingClientRect();
  let best = null;
  let least = Infinity;
  for (const button of cells) {
    if (!seen(button)) continue;
    const other = button.getBoundingClientRect();
    const dy = down ? other.top - box.top : box.top - other.top;
    const score = dy + 4 * Math.abs(other.left - box.left);
    if (dy > box.height / 2 && score < least) [best, least] = [button, score];
  }
  return best;
}

function beside(from, step) {
  const row = cells.filter((button) => seen(button) && button.closest("tr") === from.closest("tr"));
  if (Math.abs(step) === Infinity) return row.at(step > 0 ? -1 : 0);
  return row[row.indexOf(from) + step];
}

const moves = {
  ArrowUp: (from) => nearest(from, false),
  ArrowDown: (from) => nearest(from, true),
  ArrowLeft: (from) => beside(from, -1),
  ArrowRight: (from) => beside(from, 1),
  Home: (from) => beside(from, -Infinity),
  End: (from) => beside(from, Infinity),
};

document.getElementById("ui.matrix")?.addEventListener("keydown", (event) => {
  const from = event.target.closest("button.cell");
  const move = moves[event.key];
  if (!from || !move || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  move(from)?.focus();
});
for (const button of cells) {
  button.tabIndex = -1;
  button.addEventListener("focus", () => stop(button));
}
stop(current);

// In the timeline the arrow keys go from cell to cell.
for (const list of document.querySelectorAll(".lanes")) {
  list.addEventListener("keydown", (event) => {
    const from = event.target.closest(".lane > summary");
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!from || !step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    const rows = [...list.querySelectorAll(".lane > summary")];
    const at = Math.abs(step) === Infinity ? (step > 0 ? rows.length - 1 : 0) : rows.indexOf(from) + step;
    rows[at]?.focus();
  });
}

// What is open: said to assistive technology, and in the address, so that a cell can be linked to.
for (const button of openers) button.setAttribute("aria-expanded", "false");
for (const panel of document.querySelectorAll("[popover]")) {
  panel.addEventListener("toggle", (event) => {
    const open = event.newState === "open";
    for (const button of openers) {
      if (button.getAttribute("popovertarget") === panel.id) button.setAttribute("aria-expanded", open);
    }
    if (open) panel.focus();
    const here = location.href.split("#")[0];
    if (open || decodeURIComponent(location.hash) === "#" + panel.id) {
      history.replaceState(null, "", open ? "#" + encodeURI(panel.id) : here);
    }
  });
}
if (location.hash) {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked?.matches("[popover]")) linked.showPopover?.();
}

const filter = document.getElementById("ui.failed");
filter?.addEventListener("change", () => {
  const rows = document.querySelectorAll(".matrix tbody tr");
  const failed = document.querySelectorAll(".matrix tbody tr.has-failed");
  document.getElementById("ui.status").textContent =
    filter.checked ? `${failed.length} of ${rows.length} targets` : "";
  stop(cells.find(seen));
});
