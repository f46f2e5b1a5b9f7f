// Elements that several parts of the pane use.

import { make } from "../lib/elements.js";
import { percent } from "../lib/numbers.js";

const TINY = 0.001; // a share below it has three decimals of a percent

// Write a share of combinations; there can be very many, so small shares get more decimals. Null is
// not known.
export function share(value) {
  if (value === null) return "n/a";
  return percent(value, value && value < TINY ? 3 : 1);
}

export function part(heading, words, ...content) {
  return make(
    "section",
    { class: "part", "aria-label": heading },
    make("h3", {}, heading),
    make("p", { class: "caption" }, words),
    ...content,
  );
}

// Show the first rows, and a button that shows all: `show(rows)` makes the element for some rows.
export function folding(rows, first, show) {
  const holder = make("div", {});
  const fill = (shown) => {
    const unfold = make("button", { class: "more", onclick: () => fill(rows) }, `Show ${rows.length}`);
    holder.replaceChildren(show(shown), ...(shown.length < rows.length ? [unfold] : []));
  };
  fill(rows.slice(0, first));
  return holder;
}
