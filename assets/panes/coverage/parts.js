// What several parts of the pane are made of.

import { make } from "../lib/elements.js";
import { percent } from "../lib/numbers.js";

const TINY = 0.001; // a share below it has three decimals of a percent

// A share of combinations, of which there can be very many; null is not known.
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

// The first of many, and a button that shows all: `show(rows)` makes the element that shows some.
export function folding(rows, first, show) {
  const holder = make("div", {});
  const fill = (shown) => {
    const unfold = make("button", { class: "more", onclick: () => fill(rows) }, `Show ${rows.length}`);
    holder.replaceChildren(show(shown), ...(shown.length < rows.length ? [unfold] : []));
  };
  fill(rows.slice(0, first));
  return holder;
}
