// What the images of a cluster share (its explanation), and the animated picture of them.

import { make } from "../lib/elements.js";
import { title } from "../lib/names.js";
import { count, unbroken } from "../lib/numbers.js";
import { served, shownFamilies } from "./run.js";
import { familyTitle } from "./tiles.js";

const SHOWN_AT_ONCE = 3; // findings of a kind; the others unfold
const MOST_FRAMES = 100;

export function makeGif({ view }) {
  view.gif = make("img", {});
  view.caption = make("figcaption");
  return make("figure", { class: "gif" }, view.gif, view.caption);
}

export function fillGif({ run, view }, cluster) {
  const frames = Math.min(cluster.size, MOST_FRAMES);
  const shown = frames < cluster.size ? `${frames} of ${cluster.size}` : count(frames, "image");
  view.gif.src = served(run, cluster.gif);
  view.gif.alt = `Animated images of ${title(cluster)}`;
  view.caption.textContent = `${shown}, most central first`;
}

export function makeExplanation({ view }) {
  view.explanation = make("section", { class: "explanation", "aria-label": "What its images share" });
  return view.explanation;
}

// Show what is known of a cluster; an empty section is hidden.
export function fillExplanation({ run, view }, cluster) {
  const families = shownFamilies(run).filter(({ family }) => family === cluster.family);
  const ofFamily = families.flatMap((family) => [
    make("li", {}, familyTitle(family)),
    ...family.hints.map(hint),
    ...family.parameters.map(parameter),
  ]);
  view.explanation.replaceChildren(
    ...part("Failure rate", "rate", cluster.rate ? [make("li", {}, unbroken(cluster.rate))] : []),
    ...part("Pictures", "hints", cluster.hints.map(hint)),
    ...part("Parameters", "parameters", cluster.parameters.map(parameter)),
    ...part("Confusions", "confusions", cluster.confusions.map(confusion)),
    ...part("Unsafe values", "values", cluster.unsafe_values.map((words) => make("li", {}, `Next to ${words}`))),
    ...part("Family", "kin", ofFamily),
  );
}

const hint = (words) => make("li", { class: "hint" }, words);

function parameter({ parameter: name, words }) {
  const rest = words.startsWith(name) ? words.slice(name.length) : ` ${words}`;
  return make("li", {}, make("b", {}, name), rest);
}

function confusion({ label, prediction, images }) {
  return make("li", {}, `${label} taken for ${prediction}: ${count(images, "image")}`);
}

function part(heading, kind, items) {
  if (!items.length) return [];
  const more = items.slice(SHOWN_AT_ONCE);
  return [
    make("h3", {}, heading),
    make(
      "div",
      {},
      make("ul", { class: kind, "aria-label": heading }, ...items.slice(0, SHOWN_AT_ONCE)),
      more.length
        ? make("details", {}, make("summary", {}, `${more.length} more`), make("ul", { class: kind }, ...more))
        : null,
    ),
  ];
}
