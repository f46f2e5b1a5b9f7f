// The pairs of classes, the most error-prone first.

import { make } from "../lib/elements.js";
import { count } from "../lib/numbers.js";
import { measured } from "./figures.js";
import { KINDS } from "./kinds.js";

// Make the elements of the list; `choose` is called with the pair that is clicked.
export function ranking({ run, kind, chosen }, choose) {
  const { measure, cut, file } = KINDS[kind];
  const rows = run.pairs[kind];
  const { one_sd: flagged, cut: at } = run.result[kind];
  const more = run.result.pairs - rows.length;
  const titles = ["", "Pair", measure, ""].map((words) => make("th", {}, words));
  const marks = run.evaluation ? "; ✓: a true error by the labels" : "";
  return [
    make("p", {}, `${count(flagged, "pair")} ${cut} (${measured(at)}), marked ●${marks}.`),
    make(
      "div",
      { class: "scroll", tabindex: "0" },
      make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ...titles)),
        make("tbody", {}, ...rows.map((row) => line(row, kind, isPair(chosen, row), choose))),
      ),
    ),
    more > 0 ? make("p", { class: "legend" }, `${file} has ${count(more, "more pair")}.`) : "",
  ];
}

function isPair(chosen, { a, b }) {
  return chosen !== null && Math.min(...chosen) === Math.min(a, b) && Math.max(...chosen) === Math.max(a, b);
}

function line(row, kind, selected, choose) {
  const { score, flag, cut } = KINDS[kind];
  const flagged = row[flag] === "1";
  const click = (event) => {
    event.stopPropagation();
    choose([row.a, row.b]);
  };
  return make(
    "tr",
    { "aria-selected": String(selected), class: flagged ? "flagged" : null, onclick: click },
    make("td", {}, row.rank),
    make(
      "td",
      {},
      make("button", { type: "button", onclick: click }, `${row.class_a} – ${row.class_b}`),
      make("small", {}, kind === "bias" ? third(row) : images(row)),
    ),
    make("td", {}, measured(row[score])),
    make(
      "td",
      {},
      flagged ? make("b", { title: cut }, "●") : "",
      row.true_error === "1" ? make("i", { title: "a true error by the labels" }, "✓") : "",
    ),
  );
}

const third = (row) => (row.third_1 ? `${row.third_1} sides with ${row.nearer_1}` : "");
const images = (row) => (row.images && row.images !== "0" ? count(Number(row.images), "image") : "");
