// How many failing images of each cluster are right now; a click on a cluster shows its images.

import { make, wide } from "../lib/elements.js";
import { NOISE, title } from "../lib/names.js";
import { count, whole } from "../lib/numbers.js";
import { bar } from "./accuracies.js";
import { strip } from "./strip.js";

const KINDS = { repaired: "good", "not repaired": "bad", unclear: "" };
const TITLES = ["Cluster", "Failing images", "Trained with", "Right now", "", "State"];

// `images` has the images to show, by the number of their cluster; `unfolded` has the clusters whose
// images are shown.
export function repairs(clusters, images, key, unfolded) {
  const heading = make("h3", {}, "What became of the failing images of each cluster");
  if (!clusters.length) {
    return make("div", {}, heading, make("p", { class: "caption" }, "None of them is in the test set."));
  }
  const rows = clusters.flatMap((repair) => {
    const shown = images[String(repair.cluster)] ?? { repaired: [], left: [] };
    return row(repair, shown, key, unfolded);
  });
  const titles = TITLES.map((words) => make("th", { scope: "col" }, words));
  return make(
    "div",
    {},
    heading,
    make("p", { class: "caption" }, summary(clusters)),
    wide(
      make(
        "table",
        { class: "repairs" },
        make("thead", {}, make("tr", {}, ...titles)),
        make("tbody", {}, ...rows),
      ),
    ),
  );
}

function summary(clusters) {
  const counted = clusters.filter(({ cluster }) => cluster !== NOISE);
  const of = (state) => counted.filter((repair) => repair.state === state).length;
  return (
    `${count(counted.length, "cluster")}: ${of("repaired")} repaired, ${of("not repaired")} not repaired; ` +
    "the others are unclear: the 95 % interval (the line in a bar) lies on both sides of a half. " +
    "Click on a cluster to see its images."
  );
}

// Make the row of a cluster, and the one below it with its images.
function row(repair, shown, key, unfolded) {
  const { cluster, failing, labelled, after, state } = repair;
  const cell = make("td", { colspan: 6 });
  const more = make("tr", { class: "looked" }, cell);
  const look = make("button", { class: "look-at", onclick: () => turn(!unfolded.has(cluster)) }, title(repair));
  const turn = (open) => {
    if (open) unfolded.add(cluster);
    else unfolded.delete(cluster);
    more.hidden = !open;
    look.setAttribute("aria-expanded", String(open));
    if (!open || cell.childNodes.length) return;
    cell.append(
      strip("Right now", shown.repaired, after.right, key),
      strip("Still wrong", shown.left, failing - after.right, key),
    );
  };
  turn(unfolded.has(cluster));
  const cells = [look, whole(failing), whole(labelled), bar(after), `${whole(after.right)} of ${whole(failing)}`];
  return [
    make(
      "tr",
      { "data-cluster": cluster },
      ...cells.map((content) => make("td", {}, content)),
      make("td", { class: `state ${KINDS[state]}` }, state),
    ),
    more,
  ];
}
