// What the points of the map are coloured by: their cluster, their family, or a column of values.
// No element is made per image, for a run may have very many.

import { BRIGHT_VIRIDIS, CATEGORIES, OTHERS, UNKNOWN, css, cyclic, mix, ofCluster } from "../lib/colours.js";
import { make } from "../lib/elements.js";
import { count, figure, range, whole } from "../lib/numbers.js";
import { get } from "../lib/server.js";
import { served } from "./run.js";

const STEPS = 64; // colours that a range of numbers or angles is cut into

// Return the colouring of the map by `value`: "cluster", "family", or SOURCE/INDEX of a column.
export async function colouring(run, value) {
  if (value === "cluster") return byCluster(run);
  if (value === "family") return byFamily(run);
  const [source, index] = value.split("/");
  const column = run.colourings.find((known) => known.source === source && known.index === Number(index));
  const answer = await values(run, value, column.name);
  if ("categories" in answer !== (column.kind === "category")) {
    throw new Error(`The column ${column.name} has changed since the run was opened. Open the run again.`);
  }
  return { number: byNumber, angle: byAngle, category: byCategory }[column.kind](column, answer);
}

// Return the values of a column, which are fetched once. The request names the column: if the run was
// explained again meanwhile, another column may have this index.
function values(run, column, name) {
  const kept = run.values;
  if (!kept.has(column)) {
    const answer = get(served(run, `values/${column}?name=${encodeURIComponent(name)}`));
    answer.catch(() => kept.delete(column)); // so that the next request fetches it again
    kept.set(column, answer);
  }
  return kept.get(column);
}

// Return a colouring of the map. `keys` has, for each image, the position of its colour in `colours`;
// `key` makes the elements of the legend, and `say` returns the value of an image as text.
function makePaint(colours, keys, { name, key = () => [], say = () => null }) {
  const groups = colours.map((colour) => [colour, []]);
  keys.forEach((place, position) => groups[place][1].push(position));
  return { name, groups, of: (position) => colours[keys[position]], key, say };
}

export function byCluster({ clusters, images }) {
  const ids = clusters.map(({ cluster }) => cluster);
  const places = new Map(ids.map((id, place) => [id, place]));
  const keys = images.cluster.map((id) => places.get(id));
  return makePaint(ids.map(ofCluster), keys, { name: "cluster" });
}

function byFamily({ clusters, families, images }) {
  const familyOf = new Map(clusters.map(({ cluster, family }) => [cluster, family]));
  const of = images.cluster.map((id) => familyOf.get(id));
  const ids = families.map(({ family }) => family);
  const { colours, keys, rows } = rankCategories(of, ids, { title: (id) => `Family ${id}`, unknown: "Noise" });
  return makePaint(colours, keys, { name: "family", key: () => rows.map(swatch) });
}

function byCategory({ name }, { categories, values: places }) {
  const title = (place) => categories[place];
  const ids = categories.map((_, place) => place);
  const { colours, keys, rows } = rankCategories(places, ids, { title, unknown: "unknown" });
  return makePaint(colours, keys, {
    name,
    key: () => rows.map(swatch),
    say: (position) => categories[places[position]] ?? "unknown",
  });
}

// Give each of the most frequent `ids` a colour of its own, and all others one colour. `of` has the id
// of each image; null is unknown.
export function rankCategories(of, ids, { title, unknown }) {
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
    if (unknowns === numbers.length) return ["No image has a value."];
    const gradient = `background: linear-gradient(to right, ${shades.join(", ")})`;
    const nodes = [make("span", {}, low), make("i", { class: "ramp", style: gradient }), make("span", {}, high)];
    return unknowns ? [...nodes, swatch([UNKNOWN, "unknown", unknowns])] : nodes;
  };
  return makePaint(
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
