// What the points of the map are coloured by: their cluster, their family, or a column of values.
// Nothing here makes a node for each image.

import { BRIGHT_VIRIDIS, CATEGORIES, OTHERS, UNKNOWN, css, cyclic, mix, ofCluster } from "../lib/colours.js";
import { make } from "../lib/elements.js";
import { count, figure, range, whole } from "../lib/numbers.js";
import { get } from "../lib/server.js";
import { served } from "./run.js";

const STEPS = 64; // colours that a range of numbers or angles is cut into

// How the map is coloured by `value`: "cluster", "family" or SOURCE/INDEX of a column.
export async function colouring(run, value) {
  if (value === "cluster") return byCluster(run);
  if (value === "family") return byFamily(run);
  const [source, index] = value.split("/");
  const column = run.colourings.find((one) => one.source === source && one.index === Number(index));
  const answer = await values(run, value, column.name);
  if ("categories" in answer !== (column.kind === "category")) {
    throw new Error(`${column.name} holds something else by now. Open the run again.`);
  }
  return { number: byNumber, angle: byAngle, category: byCategory }[column.kind](column, answer);
}

// The values of a column, fetched once and kept; by name, too: it may be another by now.
function values(run, column, name) {
  const kept = run.values;
  if (!kept.has(column)) {
    const answer = get(served(run, `values/${column}?name=${encodeURIComponent(name)}`));
    answer.catch(() => kept.delete(column)); // so that it is fetched when it is asked for again
    kept.set(column, answer);
  }
  return kept.get(column);
}

// A way to colour the map: `keys` says for each image which of `colours` it has; `key` makes the
// nodes that explain them, and `say` tells an image's value.
function painted(colours, keys, { name, key = () => [], say = () => null }) {
  const groups = colours.map((one) => [one, []]);
  keys.forEach((place, position) => groups[place][1].push(position));
  return { name, groups, of: (position) => colours[keys[position]], key, say };
}

export function byCluster({ clusters, images }) {
  const ids = clusters.map(({ cluster }) => cluster);
  const places = new Map(ids.map((id, place) => [id, place]));
  const keys = images.cluster.map((id) => places.get(id));
  return painted(ids.map(ofCluster), keys, { name: "cluster" });
}

function byFamily({ clusters, families, images }) {
  const family = new Map(clusters.map((one) => [one.cluster, one.family]));
  const of = images.cluster.map((id) => family.get(id));
  const ids = families.map((one) => one.family);
  const { colours, keys, rows } = ranked(of, ids, { title: (id) => `Family ${id}`, unknown: "Noise" });
  return painted(colours, keys, { name: "family", key: () => rows.map(swatch) });
}

function byCategory({ name }, { categories, values: places }) {
  const title = (place) => categories[place];
  const { colours, keys, rows } = ranked(places, categories.map((_, place) => place), { title, unknown: "unknown" });
  return painted(colours, keys, {
    name,
    key: () => rows.map(swatch),
    say: (position) => categories[places[position]] ?? "unknown",
  });
}

// Colours the most frequent of `ids`, and all others alike; null is unknown.
export function ranked(of, ids, { title, unknown }) {
  const counts = new Map(ids.map((id) => [id, 0]));
  let unknowns = 0;
  for (const id of of) {
    if (counts.has(id)) counts.set(id, counts.get(id) + 1);
    else unknowns += 1;
  }
  const order = [...ids].sort((a, b) => counts.get(b) - counts.get(a));
  const shown = order.slice(0, CATEGORIES.length);
  const place = new Map(shown.map((id, number) => [id, number + 2]));
  const rows = shown.map((id, number) => [CATEGORIES[number], title(id), counts.get(id)]);
  const others = order.slice(CATEGORIES.length);
  const images = others.reduce((sum, id) => sum + counts.get(id), 0);
  if (others.length) rows.push([OTHERS, count(others.length, "other"), images]);
  if (unknowns) rows.push([UNKNOWN, unknown, unknowns]);
  return {
    colours: [UNKNOWN, OTHERS, ...CATEGORIES],
    keys: of.map((id) => (counts.has(id) ? (place.get(id) ?? 1) : 0)),
    rows,
  };
}

export function byNumber({ name }, { values: numbers }) {
  const [low, high] = range(numbers);
  const shade = (value) => Math.round((STEPS - 1) * (high > low ? (value - low) / (high - low) : 0.5));
  const ramp = (share) => css(mix(BRIGHT_VIRIDIS, share));
  const say = (value) => figure(value);
  return scaled(name, numbers, { ramp, shade, ends: [low, high].map(say), say });
}

export function byAngle({ name, period }, { values: angles }) {
  const shade = (value) => Math.floor(((((value % period) + period) % period) / period) * STEPS) % STEPS;
  const say = (value) => `${figure(value)}°`;
  return scaled(name, angles, { ramp: cyclic, shade, ends: ["0°", `${period}°`], say });
}

function scaled(name, numbers, { ramp, shade, ends: [low, high], say }) {
  const unknowns = numbers.filter((value) => value === null).length;
  const shades = Array.from({ length: STEPS }, (_, step) => ramp(step / (STEPS - 1)));
  const key = () => {
    if (unknowns === numbers.length) return ["Nothing is known of any image."];
    const gradient = `background: linear-gradient(to right, ${shades.join(", ")})`;
    const nodes = [make("span", {}, low), make("i", { class: "ramp", style: gradient }), make("span", {}, high)];
    return unknowns ? [...nodes, swatch([UNKNOWN, "unknown", unknowns])] : nodes;
  };
  return painted(
    [UNKNOWN, ...shades],
    numbers.map((value) => (value === null ? 0 : 1 + shade(value))),
    { name, key, say: (position) => (numbers[position] === null ? "unknown" : say(numbers[position])) },
  );
}

function swatch([shade, title, images]) {
  return make(
    "span",
    { title },
    make("i", { style: `background: ${shade}` }),
    make("span", {}, title),
    make("small", {}, whole(images)),
  );
}
