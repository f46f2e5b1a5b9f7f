// Test images that alone cover a combination, and new images that add combinations.

import { make, picture } from "../lib/elements.js";
import { count, whole } from "../lib/numbers.js";
import { address } from "../lib/server.js";
import { folding, part, share } from "./parts.js";

const FIRST = 24;

// Write a combination without spaces, where every region has one digit.
export function short({ neurons }, combination) {
  return neurons.some(({ sizes }) => sizes.length > 9) ? combination : combination.replaceAll(" ", "");
}

export function alone({ alone: number, contributors, name }) {
  if (!number) return "Every combination that is covered has several images.";
  const more = number > contributors.length ? `; ${contributors.length} are shown` : "";
  return `Without them, coverage would be lower: ${count(number, "image")} of ${name}${more}.`;
}

// Show images as tiles; `badge` returns the text on a tile.
export function images(run, rows, badge) {
  return folding(rows, FIRST, (shown) =>
    make("div", { class: "grid" }, ...shown.map((row) => thumb(run, row, badge(row)))),
  );
}

function thumb(run, { path, thumbnail }, words) {
  const image = picture(address(run.key, thumbnail));
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "gone" }, "no picture")));
  return make(
    "figure",
    { class: "thumb", title: path, "aria-label": path },
    image,
    make("span", { class: "badge" }, words),
  );
}

export function widening(run) {
  const { adds: added, images: all, folder, coverage, rows } = run.widening;
  const [first] = run.tests;
  const words = added
    ? `${count(added, "image")} of ${whole(all)} in ${folder} add a combination each to ${first.name}: with them, ` +
      `coverage is ${share(coverage)} instead of ${share(first.coverage)}. The image that differs most from the ` +
      "covered combinations comes first. The number on an image is that of the neurons in which it differs; " +
      "= marks one more image of a new combination."
    : `None of ${count(all, "image")} in ${folder} exercises a combination that ${first.name} does not.`;
  const badge = ({ adds, differing }) => (adds ? `+ ${differing}` : "=");
  return part("New images that widen the test set", words, images(run, rows, badge));
}
