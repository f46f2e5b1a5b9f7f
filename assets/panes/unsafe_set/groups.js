// The chosen new images, cluster by cluster, beside the most central images of the cluster.

import { make, picture } from "../lib/elements.js";
import { NOISE, title } from "../lib/names.js";
import { count, whole } from "../lib/numbers.js";
import { address } from "../lib/server.js";

const SHOWN_AT_ONCE = 36;
const OF_THE_CLUSTER = 6;

// Show the groups as they are now; a group that is on the screen already is only marked again.
export function fillGroups(pane) {
  const { run, set, view } = pane;
  const places = placesByCluster(set.rows.cluster);
  const related = run.families.flatMap((family) => family.clusters);
  const ids = [...new Set([...related, ...run.clusters.map(({ cluster }) => cluster)])];
  const used = ids.filter((id) => places.has(id));
  const unused = ids.filter((id) => id !== NOISE && !places.has(id));
  const names = unused.map((id) => title(row(run, id))).join(", ");
  view.groups.replaceChildren(
    ...used.map((id) => groupOf(pane, id, places.get(id))),
    names ? make("p", { class: "unused" }, `No new image is chosen for ${names}.`) : "",
  );
}

function placesByCluster(clusters) {
  const places = new Map();
  clusters.forEach((id, place) => {
    if (!places.has(id)) places.set(id, []);
    places.get(id).push(place);
  });
  return places;
}

const row = (run, id) => run.clusters.find(({ cluster }) => cluster === id);

function groupOf(pane, id, places) {
  const names = places.map((place) => pane.set.rows.thumbnail[place]).join();
  const before = pane.view.groups.querySelector(`[data-cluster="${id}"]`);
  const group = before?.names === names ? before : makeGroup(pane, id, places);
  group.names = names;
  mark(pane.set, group, places);
  return group;
}

function makeGroup(pane, id, places) {
  const { run } = pane;
  const cluster = row(run, id);
  const checkbox = make("input", {
    type: "checkbox",
    onchange: (event) => pane.change({ clusters: [[id, event.target.checked]] }),
  });
  const words = cluster.hints[0] ?? cluster.parameters[0]?.words ?? "";
  return make(
    "section",
    { class: "group", "data-cluster": id, "aria-label": title(cluster) },
    make(
      "div",
      { class: "of-cluster" },
      make("h3", {}, make("label", {}, checkbox, title(cluster))),
      make("p", { class: "explanation" }, words),
      make("div", { class: "grid" }, ...central(run, id).map((position) => own(run, position))),
      make("p", { class: "caption" }, `${count(cluster.size, "failing image")}, the most central ones`),
    ),
    chosen(pane, id, places),
  );
}

function chosen(pane, id, places) {
  const shown = pane.unfolded.has(id) ? places : places.slice(0, SHOWN_AT_ONCE);
  const more = places.length - shown.length;
  const grid = make("div", { class: "grid" }, ...shown.map((place) => thumb(pane, place)));
  grid.addEventListener("click", (event) => {
    const button = event.target.closest(".thumb");
    if (!button || button.disabled) return;
    const path = pane.set.rows.path[button.place];
    pane.change({ images: [[path, button.getAttribute("aria-pressed") === "false"]] });
  });
  const unfold = () => {
    pane.unfolded.add(id);
    pane.view.groups.querySelector(`[data-cluster="${id}"]`).names = null;
    fillGroups(pane);
  };
  return make(
    "div",
    { class: "chosen" },
    make("p", { class: "caption tally" }),
    grid,
    more ? make("button", { type: "button", class: "more", onclick: unfold }, `Show ${whole(more)} more`) : null,
  );
}

function central(run, id) {
  const { cluster, distance } = run.images;
  const members = cluster.flatMap((of, position) => (of === id ? [position] : []));
  return members.sort((a, b) => distance[a] - distance[b] || a - b).slice(0, OF_THE_CLUSTER);
}

function own(run, position) {
  const { path, thumbnail } = run.images;
  const src = address(run.key, thumbnail[position]);
  return make(
    "div",
    { class: "thumb", title: `${run.folder}/${path[position]}` },
    picture(src, { alt: path[position], draggable: "false" }),
  );
}

function thumb({ run, set }, place) {
  const { path, thumbnail } = set.rows;
  return make(
    "button",
    { type: "button", class: "thumb", "aria-label": path[place] },
    picture(address(run.key, `new/${thumbnail[place]}`), {
      draggable: "false",
      onerror: (event) => event.target.replaceWith(make("span", { class: "gone" }, "cannot be shown")),
    }),
    make("span", { class: "badge" }),
  );
}

// Mark which images of a group are chosen; `places` are their places in the rows of the set.
function mark(set, group, places) {
  const { out } = set.rows;
  const without = set.deselected_clusters.includes(Number(group.dataset.cluster));
  const left = places.filter((place) => !out[place]).length;
  group.classList.toggle("out", without);
  group.querySelector("input").checked = !without;
  group.querySelector(".tally").textContent = without
    ? `The cluster is taken out with ${count(places.length, "new image")}`
    : `${count(left, "new image")}, best first` + (left < places.length ? `; ${places.length - left} taken out` : "");
  [...group.querySelectorAll(".chosen .thumb")].forEach((button, index) => {
    markThumb(set, button, places[index], without);
  });
}

function markThumb(set, button, place, without) {
  const { path, out, outside, distance, label } = set.rows;
  const click = out[place] ? "\nClick to choose it again" : "\nClick to take it out";
  button.place = place;
  button.disabled = without;
  button.setAttribute("aria-pressed", !out[place]);
  button.title =
    `${set.folder}/${path[place]}\n` +
    `distance to the nearest core image ${distance[place].toFixed(4)}` +
    (label[place] ? `\nlabel ${label[place]}` : "") +
    (without ? "" : click);
  button.querySelector(".badge").textContent = label[place] || (outside[place] ? "outside" : "");
}
