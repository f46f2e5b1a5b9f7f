// The criteria of coverage side by side, for each test set and for two together.

import { make, table, wide } from "../lib/elements.js";
import { share } from "./parts.js";

const MEANINGS = new Map([
  ["IDC", "Importance-driven: combinations of regions of the important neurons"],
  ["NC", "Neurons above 0.75 of their layer"],
  ["KMNC", "Sections of each neuron's range in training, 1,000 each"],
  ["NBC", "Ends of each neuron's range that are passed"],
  ["SNAC", "Upper ends that are passed"],
  ["TKNC", "Neurons among the 3 strongest of their layer"],
  ["LSC", "Surprise by likelihood, 1,000 buckets up to 2,000"],
  ["DSC", "Surprise by distance, 1,000 buckets up to 2"],
]);

export function criteria(run) {
  const [first, ...others] = run.tests.map(({ name }) => name);
  const titles = ["", first, ...others, ...others.map((name) => `${first} + ${name}`)];
  const rows = run.criteria.map(({ criterion, tests }) => [
    meaning(criterion),
    ...tests.map(({ value }) => share(value)),
    ...tests.slice(1).map(({ added }) => share(added)),
  ]);
  return wide(table(titles, rows, { kind: "criteria", scope: "col" }));
}

function meaning(criterion) {
  const words = MEANINGS.get(criterion) ?? "";
  return make("span", { title: words }, make("b", {}, criterion), make("small", {}, words));
}
