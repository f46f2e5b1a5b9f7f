// How many test images are right before and after retraining, with intervals.

import { definitions, make } from "../lib/elements.js";
import { percent, whole } from "../lib/numbers.js";

// Draw a share as a bar, with a line for its 95 % interval.
export function bar({ share, low, high }, kind = "") {
  const place = (part) => `${(100 * part).toFixed(2)}%`;
  return make(
    "span",
    { class: `bar ${kind}`, title: `95 % interval ${percent(low)} to ${percent(high)}` },
    make("i", { style: `width: ${place(share)}` }),
    make("b", { style: `left: ${place(low)}; right: ${place(1 - high)}` }),
  );
}

export function accuracies({ before, after, repaired, broken, groups, p }) {
  const tested = groups === null ? "McNemar’s exact test" : "Sign-flip test of groups";
  return make(
    "div",
    { class: "accuracies" },
    make("h3", {}, "Right on the test set"),
    make("table", {}, make("tbody", {}, line("before", before, "before"), line("after", after))),
    make(
      "dl",
      {},
      ...definitions([
        ["Repaired", whole(repaired)],
        ["Broken", whole(broken)],
        [tested, `p = ${p.toPrecision(2)}`],
      ]),
    ),
  );
}

function line(words, accuracy, kind) {
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, words),
    make("td", {}, bar(accuracy, kind)),
    make("td", {}, percent(accuracy.share, 2)),
    make("td", {}, `${whole(accuracy.right)} of ${whole(accuracy.images)}`),
  );
}
