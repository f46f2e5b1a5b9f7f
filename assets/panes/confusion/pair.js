// The images of the chosen pair of classes, and the button that finds the root causes of its confusion.

import { make, picture } from "../lib/elements.js";
import { count } from "../lib/numbers.js";
import { address } from "../lib/server.js";
import { measured } from "./figures.js";
import { KINDS } from "./kinds.js";

// Make the elements on a pair; a click on the button calls `cluster`.
export function pairParts(run, pair, cluster) {
  const [one, other] = [run.classes[pair.a].name, run.classes[pair.b].name];
  const labelled = pair.count !== null;
  const taken = labelled ? "Correctly classified as" : "Classified as";
  const words = labelled ? `Confused: ${count(pair.count, "image")}` : "Nearly a tie between the two";
  const about = describe(pair, `${one} and ${other}`, cluster);
  if (run.parameters.distances) {
    return [about, legend("Tables of another framework have no images: there is none to show or to cluster.")];
  }
  const caption = ({ expected, predicted }) => (labelled ? `${expected} → ${predicted}` : predicted);
  return [
    about,
    side(run, `${taken} ${one}`, pair.first),
    side(run, words, pair.confused, caption),
    side(run, `${taken} ${other}`, pair.second),
  ];
}

const legend = (words) => make("p", { class: "legend" }, words);

function describe(pair, heading, cluster) {
  const figures = Object.entries(pair.figures).map(([kind, value]) => `${KINDS[kind].measure} ${measured(value)}`);
  const thirds = pair.thirds.map(({ name, nearer, bias }) => `${name} sides with ${nearer} (${bias.toFixed(2)})`);
  const button = { type: "button", class: "primary", onclick: cluster };
  return make(
    "div",
    { class: "about" },
    make("h3", {}, heading),
    make("p", {}, figures.join(" · ")),
    thirds.length ? make("p", {}, `What drives its bias: ${thirds.join("; ")}.`) : null,
    pair.list ? make("button", button, "Find the root causes of this confusion") : null,
    pair.list ? make("code", {}, pair.list) : null,
    !pair.list && pair.count ? legend("This pair has no list of images: only pairs with more of them have one.") : null,
  );
}

function side(run, words, images, caption = null) {
  const tiles = images.map((image) =>
    make(
      "figure",
      { title: image.path },
      picture(address(run.key, image.thumbnail), { alt: image.path, draggable: "false" }),
      caption ? make("figcaption", {}, caption(image)) : null,
    ),
  );
  return make(
    "div",
    { class: "side" },
    make("h4", {}, words),
    images.length ? make("div", { class: "grid" }, ...tiles) : legend("No image to show."),
  );
}
