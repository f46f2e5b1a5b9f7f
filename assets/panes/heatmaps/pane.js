// The result pane of the Heatmaps tab: heatmaps over the images of a cluster, and their mean.
//
// props.value is null, or describes the run that is open: its `key`, whether it has `heatmaps`, the
// `test` that listed its images, and the key of the `other` run that it is compared with. Data comes
// from run/KEY/data, /layers, /heatmaps/CLUSTER and /compare/OTHER.

import { head, make, notice, picture, select, table, wide } from "../lib/elements.js";
import { NOISE, title } from "../lib/names.js";
import { count, percent } from "../lib/numbers.js";
import { address, decode, get, same } from "../lib/server.js";
import { RAMPS, fit, paint } from "./paint.js";

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, watch }) {
  const pane = {
    element,
    props,
    run: null, // the answer of run/KEY/data, with its key
    layers: null, // the answer of run/KEY/layers
    grid: null, // the element with the heatmaps
    settings: { layer: "", cluster: 0, strength: 0.7, colours: "Fire" }, // chosen by the user
    maps: null, // the answer of run/KEY/heatmaps/CLUSTER, as bytes
    requests: 0, // requests for heatmaps so far: only the answer to the last one is shown
  };
  watch("value", () => show(pane));
  show(pane);
}

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) return close(pane, "Open a run, or find clusters by heatmaps: the heatmaps are shown here.");
  try {
    const names = ["data", ...(wanted.heatmaps ? ["layers"] : [])];
    const [data, layers = null] = await Promise.all(names.map((name) => get(address(wanted.key, name))));
    const compared =
      wanted.other && wanted.other !== wanted.key ? await get(address(wanted.key, `compare/${wanted.other}`)) : null;
    if (!same(pane.props.value, wanted)) return; // another run was opened meanwhile
    pane.run = { ...data, key: wanted.key };
    pane.layers = layers;
    build(pane, wanted.test, compared);
  } catch (error) {
    if (same(pane.props.value, wanted)) close(pane, error.message, "error");
  }
}

function close(pane, words, kind) {
  pane.run = pane.layers = pane.maps = null;
  pane.element.replaceChildren(notice(words, kind));
}

function build(pane, test, compared) {
  const { run, layers } = pane;
  const clustered = layers && run.clusters.length > 0;
  const words = make("p", { class: "facts" }, facts(pane, test));
  pane.grid = layers ? make("div", { class: "heat" }) : null;
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Heatmaps of ${run.name}` },
      head(`Heatmaps of ${run.name}`, layers ? layers.model : run.folder, null, words),
      compared ? agreement(compared) : null,
      test?.picture ? confusions(test) : null,
      layers ? searched(layers) : null,
      clustered ? controls(pane) : null,
      pane.grid,
    ),
  );
  if (clustered) load(pane);
}

function facts({ run, layers }, test) {
  const right = test
    ? `The DNN is right on ${percent(test.accuracy, 1)} of ${count(test.images, "test image")}. `
    : "";
  if (!layers) {
    return (
      `${right}The clusters of this run were found by appearance: it has no heatmaps. Find clusters by ` +
      "heatmaps, or compare it with a run that has heatmaps."
    );
  }
  const chosen = layers.layers.find((layer) => layer.chosen === "1");
  const explained = layers.explain ? `the output ${layers.explain}` : "the output that is wrong";
  return (
    `${right}${count(run.clusters.length, "root cause cluster")} by the heatmaps of ${chosen.layer}, ` +
    `for ${explained}, rule ${layers.rule}.`
  );
}

function searched({ layers }) {
  const rows = layers.map(({ layer, shape, clusters, wicd, seconds, chosen }) => [
    chosen === "1" ? `${layer} (chosen)` : layer, shape, clusters, wicd, seconds,
  ]);
  const words = `${count(layers.length, "layer")} searched; the one with the least WICD is chosen`;
  return make(
    "details",
    { class: "searched" },
    make("summary", {}, words),
    table(["Layer", "Shape", "Clusters", "WICD", "Seconds"], rows),
  );
}

function confusions({ key }) {
  return make(
    "details",
    { class: "confusions" },
    make("summary", {}, "What the DNN takes for what"),
    picture(address(key, "confusion.png"), { alt: "Confusion matrix of the test" }),
  );
}

function agreement({ name, other, images, rows, columns, table: overlaps, index }) {
  const rand = index === null ? "not defined" : index.toFixed(2);
  const words =
    images === 0
      ? `${name} and ${other} have no image in common.`
      : `${count(images, "image")} in common with ${other}; adjusted Rand index ${rand} ` +
        `(1: the same clusters; 0: no more alike than by chance). Rows: clusters of ${name}; columns: of ${other}.`;
  const heading = (id) => (id === NOISE ? "Noise" : id);
  const cells = rows.map((id, place) => [heading(id), ...overlaps[place].map((number) => number || "")]);
  return make(
    "details",
    { class: "agreement", open: true },
    make("summary", {}, words),
    images ? wide(table(["Cluster", ...columns.map(heading)], cells)) : null,
  );
}

function controls(pane) {
  const { run, layers, settings } = pane;
  const clusters = run.clusters.map((one) => [one.cluster, `${title(one)} · ${count(one.size, "image")}`]);
  const named = (names) => names.map((name) => [name, name]);
  if (!run.clusters.some(({ cluster }) => cluster === settings.cluster)) settings.cluster = run.clusters[0].cluster;
  const first = layers.shown.includes("input") ? "input" : layers.shown[0];
  if (!layers.shown.includes(settings.layer)) settings.layer = first;
  const repaint = (change) => {
    Object.assign(settings, change);
    paint(pane);
  };
  const reload = (change) => {
    Object.assign(settings, change);
    load(pane);
  };
  const strength = make("input", {
    type: "range", min: 0, max: 1, step: 0.05, value: settings.strength, "aria-label": "Strength",
    oninput: (event) => repaint({ strength: event.target.valueAsNumber }),
  });
  return make(
    "div",
    { class: "controls" },
    select("Cluster", clusters, settings.cluster, (value) => reload({ cluster: Number(value) })),
    select("Layer", named(layers.shown), settings.layer, (layer) => reload({ layer })),
    select("Colours", named([...RAMPS.keys()]), settings.colours, (colours) => repaint({ colours })),
    make("label", {}, "Strength", strength),
  );
}

async function load(pane) {
  const { run, settings } = pane;
  const mine = (pane.requests += 1);
  if (!settings.layer) return;
  try {
    const name = `heatmaps/${settings.cluster}?layer=${encodeURIComponent(settings.layer)}`;
    const answer = await get(address(run.key, name));
    if (mine !== pane.requests || run !== pane.run) return;
    pane.maps = { ...answer, data: decode(answer.data, Int8Array) };
    draw(pane);
  } catch (error) {
    if (mine === pane.requests) pane.grid?.replaceChildren(notice(error.message, "error"));
  }
}

function draw(pane) {
  const { run, maps, settings, grid } = pane;
  const positions = new Map(run.images.path.map((path, position) => [path, position]));
  const thumbnail = (path) => address(run.key, run.images.thumbnail[positions.get(path)]);
  const tiles = maps.paths.map((path, place) => tile(maps, place, path, thumbnail(path)));
  const { size } = run.clusters.find(({ cluster }) => cluster === settings.cluster);
  grid.replaceChildren(tile(maps, maps.paths.length, `Mean of ${count(size, "image")}`), ...tiles);
  paint(pane);
}

function tile({ width, height }, place, label, src = null) {
  return make(
    "figure",
    { title: label },
    make(
      "div",
      { style: `aspect-ratio: ${width} / ${height}` },
      src ? picture(src, { draggable: "false", onload: fit }) : null,
      make("canvas", { width, height, "data-place": place, "aria-hidden": "true" }),
    ),
    make("figcaption", {}, label),
  );
}
