// The tables of a retraining: class by class, other ways to choose images, and how it was done.

import { definitions, make, table, wide } from "../lib/elements.js";
import { count, percent, whole } from "../lib/numbers.js";

function unfolded(summary, titles, rows, words = "") {
  return make(
    "details",
    { class: "figures", open: true },
    make("summary", {}, summary),
    words ? make("p", {}, words) : null,
    wide(table(titles, rows, { scope: "col" })),
  );
}

export function classes(changes) {
  const rows = changes.map(({ name, before, after, repaired, broken, p }) => [
    name, before.images, percent(before.share, 1), percent(after.share, 1), repaired, broken, p.toPrecision(2),
  ]);
  return unfolded("Class by class", ["Class", "Images", "Before", "After", "Repaired", "Broken", "p"], rows);
}

export function comparison({ methods }, words) {
  const rows = methods.map(({ name, mean, deviation, a12, effect, p }) => [
    name,
    percent(mean, 2),
    (100 * deviation).toFixed(2),
    a12 === null ? "" : `${a12.toFixed(2)} (${effect})`,
    p === null ? "" : p.toPrecision(2),
  ]);
  const titles = ["Images chosen by", "Mean accuracy", "Deviation, points", "A12 of ours against it", "Mann-Whitney p"];
  return unfolded("Other ways to spend as many labels", titles, rows, words);
}

export function setup(found) {
  const rows = [
    ["Training set", `${found.training}, ${count(found.training_images, "image")}`],
    ["Unsafe set", `${count(found.unsafe_images, "image")}, balanced to ${whole(found.balanced_images)}`],
    ["Held out", count(found.held_out, "image")],
    ["Test set", `${found.test}, ${count(found.change.before.images, "image")}`],
    ["Groups of test images", found.groups || "none: images count as independent"],
    ...Object.entries(found.recipe).map(([name, value]) => [name[0].toUpperCase() + name.slice(1), value]),
  ];
  return make(
    "details",
    {},
    make("summary", {}, "How it was retrained"),
    make("dl", {}, ...definitions(rows)),
  );
}
