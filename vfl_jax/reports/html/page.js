"use strict";
// A click on a column's name sorts its table; rows without a number come last, whichever way.
const number = (text) => {
  const found = /^[-+]?\d*\.?\d+(e[-+]?\d+)?/i.exec(text.replace(/[,\s]/g, "").replace("−", "-"));
  return found ? Number(found[0]) : NaN;
};
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const column = head.cellIndex, isUp = head.getAttribute("aria-sort") !== "ascending", way = isUp ? 1 : -1;
    const text = (row) => row.cells[column].textContent;
    const compare = (a, b) => {
      if (!head.classList.contains("number")) return way * text(a).localeCompare(text(b), undefined, { numeric: true });
      const x = number(text(a)), y = number(text(b));
      return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : way * (x - y);
    };
    body.append(...[...body.rows].sort(compare));
    for (const other of head.parentElement.cells) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  });
}
// A button of a legend hides the curve, and shows it again.
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", isShown);
    for (const curve of button.closest("figure").querySelectorAll(`[data-curve="${button.dataset.curve}"]`)) {
      if (curve !== button) curve.classList.toggle("hidden", !isShown);
    }
  });
}
// What is folded is printed, too.
const folded = [];
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) folded.push(details), (details.open = true);
});
addEventListener("afterprint", () => {
  for (const details of folded.splice(0)) details.open = false;
});
