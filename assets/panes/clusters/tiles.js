// The clusters as tiles in a row, with brackets over those that belong together.

import { ofCluster } from "../lib/colours.js";
import { make } from "../lib/elements.js";
import { step } from "../lib/keyboard.js";
import { title } from "../lib/names.js";
import { count, percent } from "../lib/numbers.js";
import { thumbnail } from "./images.js";
import { row, shownFamilies } from "./run.js";

const MARKS = new Map([["plausible cause", "✓"], ["several causes", "2+"], ["unclear", "?"]]);

// Make the tiles; `choose` is called with the cluster that is clicked or reached by a key.
export function makeTiles(pane, choose) {
  const { run, view } = pane;
  view.labels = new Map();
  view.marks = new Map();
  view.tile = new Map(run.clusters.map((cluster) => [cluster.cluster, tile(pane, cluster)]));
  const families = new Map(shownFamilies(run).flatMap((family) => family.clusters.map((id) => [id, family])));
  const kinds = new Map(Object.keys(run.kinds).map((kind) => [kind, ofKind(run, kind)]));
  const groups = new Set(run.order.map((id) => families.get(id) ?? kinds.get(row(run, id).kind) ?? id));
  const nodes = [...groups].map((group) => (typeof group === "number" ? view.tile.get(group) : bracket(view, group)));
  view.tiles = make(
    "div",
    { class: "tiles", role: "listbox", "aria-label": "Clusters", "aria-orientation": "horizontal" },
    ...nodes,
  );
  view.tiles.addEventListener("click", (event) => {
    const clicked = event.target.closest(".tile");
    if (clicked) choose(Number(clicked.dataset.cluster));
  });
  view.tiles.addEventListener("keydown", (event) => {
    const to = step(event.key, run.order.indexOf(pane.chosen), run.order.length);
    if (to === null) return;
    event.preventDefault();
    choose(run.order[to]);
  });
  return view.tiles;
}

// --- brackets -----------------------------------------------------------------------------------

// Clusters that are not situations of their own stand together, under a bracket that names their kind.
function ofKind({ clusters, kinds }, kind) {
  const alike = clusters.filter((cluster) => cluster.kind === kind);
  const size = alike.reduce((sum, cluster) => sum + cluster.size, 0);
  return { title: kinds[kind], clusters: alike.map(({ cluster }) => cluster), size };
}

export function familyTitle({ family, clusters, size }) {
  return `Family ${family} · ${count(clusters.length, "cluster")} · ${count(size, "image")}`;
}

function bracket(view, group) {
  const { words, label, tip } = group.title ? kindWords(group) : familyWords(group);
  return make(
    "div",
    { class: "family", role: "group", "aria-label": label },
    make("div", { class: "bracket", title: tip, "aria-hidden": "true" }, make("span", {}, words)),
    ...group.clusters.map((id) => view.tile.get(id)),
  );
}

function kindWords(kind) {
  const words = `${kind.title} · ${count(kind.size, "failure")}`;
  return { words, label: kind.title, tip: words };
}

function familyWords(family) {
  const shared = [...family.hints, ...family.parameters.map(({ words }) => words)];
  const brief = shared.map((words) => words.split(":")[0]).join(", "); // without the figures
  const parts = [`Family ${family.family}`, count(family.size, "image"), brief];
  const label = familyTitle(family);
  return { words: parts.filter(Boolean).join(" · "), label, tip: [label, ...shared].join("\n") };
}

// --- one tile -----------------------------------------------------------------------------------

function tile(pane, cluster) {
  const { run, view } = pane;
  const label = make("b", {});
  const mark = make("span", { class: "mark", role: "img" });
  view.labels.set(cluster.cluster, label);
  view.marks.set(cluster.cluster, mark);
  fillLabel(pane, cluster);
  const swatch = make("i", { style: `background:${ofCluster(cluster.cluster)}` });
  const rate = { class: "fails", title: cluster.rate };
  return make(
    "div",
    { class: "tile", role: "option", tabindex: -1, "data-cluster": cluster.cluster, "aria-selected": false },
    thumbnail(run, run.positions.get(cluster.central_image)),
    mark,
    label,
    make("small", {}, swatch, count(cluster.size, "image")),
    cluster.failing === null ? null : make("small", rate, `fails ${percent(cluster.failing)}`),
  );
}

// Write the cluster's name on its tile, and mark its verdict.
export function fillLabel({ view }, cluster) {
  const { verdict } = cluster;
  const mark = view.marks.get(cluster.cluster);
  view.labels.get(cluster.cluster).textContent = title(cluster);
  mark.hidden = !verdict;
  mark.textContent = MARKS.get(verdict) ?? "•";
  mark.title = verdict;
  mark.dataset.verdict = verdict;
  mark.setAttribute("aria-label", verdict);
}

// Mark the tile of the chosen cluster, and bring it into sight.
export function markTile({ view }, before, id, focus) {
  const last = view.tile.get(before);
  const next = view.tile.get(id);
  if (last) {
    last.setAttribute("aria-selected", false);
    last.tabIndex = -1;
  }
  next.setAttribute("aria-selected", true);
  next.tabIndex = 0;
  if (focus) next.focus({ preventScroll: true });
  const strip = view.tiles.getBoundingClientRect();
  const { left, right, width } = next.getBoundingClientRect();
  if (left < strip.left || right > strip.right) {
    view.tiles.scrollLeft += left - strip.left - (strip.width - width) / 2;
  }
}
