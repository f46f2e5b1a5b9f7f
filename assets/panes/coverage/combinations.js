// The combinations of regions: those that are covered, with their images, and those that are not.

import { make, picture, table, wide } from "../lib/elements.js";
import { count, whole } from "../lib/numbers.js";
import { address } from "../lib/server.js";
import { folding } from "./parts.js";

const FIRST = 12;

export function covered(run, test) {
  const rows = test.table.map((row) => [
    code(row.combination), whole(row.images), whole(row.training), example(run, row),
  ]);
  return listed(rows, ["Combination", "Images", "In training", "Example"]);
}

export function missingWords({ trained_uncovered: trained }) {
  const first = trained
    ? `${count(trained, "combination")} that training images exercise, these first`
    : "None that training images exercise";
  return `${first}; then those that differ from a covered one in the fewest neurons.`;
}

export function missing(run, test) {
  if (!test.missing.length) return make("p", {}, "Every combination is covered.");
  const rows = test.missing.map((row) => [
    code(row.combination), whole(row.training), String(row.differing), example(run, row),
  ]);
  return listed(rows, ["Combination", "In training", "Differs in", "Training image"]);
}

function listed(rows, titles) {
  return folding(rows, FIRST, (shown) =>
    wide(table(titles, shown, { kind: "listed-combinations", scope: "col" })),
  );
}

const code = (combination) => make("code", {}, combination);

function example(run, row) {
  if (!row.thumbnail) return make("span", {}, "");
  const image = picture(address(run.key, row.thumbnail), { title: row.example });
  image.addEventListener("error", () => image.remove());
  return image;
}
