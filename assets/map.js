// The map of the Clusters tab: every image as a point, coloured by its cluster, its family, or a
// column of values. One scope with clusters.js, which follows it and has the state: `run`, `view`,
// `chosen`, `image`. Nothing here makes a node for each image.

const HIT_RADIUS = 12;
const CATEGORIES_SHOWN = 12;
const STEPS = 64; // colours that a range of numbers or angles is cut into
const UNKNOWN = "hsl(0 0% 62%)";
const OTHERS = "hsl(25 12% 42%)";
// Viridis (van der Walt and Smith, 2015), which is perceptually uniform, without its darkest tenth:
// that could not be told from the dark page.
const NUMBERS = [
  [72, 36, 117], [68, 57, 131], [60, 79, 138], [50, 100, 142], [42, 120, 142], [35, 138, 141],
  [31, 158, 137], [53, 183, 121], [94, 201, 98], [155, 217, 60], [223, 227, 24],
];
// Colours that also the colour-blind tell apart as far as twelve can be (after Paul Tol's schemes).
const CATEGORIES = [
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
  "#ee7733", "#009988", "#6655cc", "#999933", "#cc3311", "#bb99dd",
];

let colouring = "cluster"; // what the select says: "cluster", "family" or SOURCE/INDEX
let paint = null; // how the map is coloured, see `painted`

function colour(id) {
  return id === NOISE ? "hsl(0 0% 55%)" : `hsl(${(id * 137.508 + 210) % 360} 65% 48%)`;
}

function map() {
  view.colour = choice();
  view.canvas = make("canvas", { role: "img" });
  view.canvas.addEventListener("mousemove", (event) => {
    const position = nearest(event);
    view.canvas.style.cursor = position === null ? "" : "pointer";
    tell(position ?? image);
  });
  view.canvas.addEventListener("mouseleave", () => tell(image));
  view.canvas.addEventListener("click", (event) => select(nearest(event)));
  view.key = make("div", { class: "key", role: "status" });
  view.detail = make("div", { class: "detail" });
  colouring = "cluster";
  paint = byCluster();
  return make(
    "div",
    { class: "map" },
    make("label", { class: "colouring", hidden: !run.colourings.length }, "Colour", view.colour),
    view.canvas,
    view.key,
    make("p", { class: "legend" }, "Every image at its first two principal components; click a point."),
    view.detail,
  );
}

// --- what the points are coloured by ------------------------------------------------------------

function choice() {
  const option = (value, text) => make("option", { value }, text);
  const group = (label, source) => {
    const columns = run.colourings.filter((column) => column.source === source);
    if (!columns.length) return null;
    return make(
      "optgroup",
      { label },
      ...columns.map((column) => option(`${source}/${column.index}`, column.name)),
    );
  };
  return make(
    "select",
    { onchange: (event) => recolour(event.target.value) },
    option("cluster", "Cluster"),
    run.families.some(isShown) ? option("family", "Family") : null,
    group("Parameters", "parameters"),
    group("Pixel properties", "properties"),
  );
}

async function recolour(value) {
  const mine = run;
  let next;
  let problem = "";
  try {
    next = await painting(value);
  } catch (error) {
    problem = error.message;
  }
  if (run !== mine || view.colour.value !== value) return; // another was chosen meanwhile
  if (problem) {
    view.colour.value = colouring;
    view.key.replaceChildren(make("span", { class: "bad" }, problem));
    return;
  }
  colouring = value;
  paint = next;
  fillKey();
  draw();
  tell(view.told);
}

async function painting(value) {
  if (value === "cluster") return byCluster();
  if (value === "family") return byFamily();
  const [source, index] = value.split("/");
  const column = run.colourings.find((one) => one.source === source && one.index === Number(index));
  const answer = await values(value, column.name); // by name, too: it may be another by now
  if ("categories" in answer !== (column.kind === "category")) {
    throw new Error(`${column.name} holds something else by now. Open the run again.`);
  }
  return { number: byNumber, angle: byAngle, category: byCategory }[column.kind](column, answer);
}

// The values of a column, fetched once and kept.
function values(column, name) {
  const kept = run.values;
  if (!kept.has(column)) {
    const asked = fetch(address(`values/${column}?name=${encodeURIComponent(name)}`)).then(async (response) => {
      if (!response.ok) throw new Error(await reason(response));
      return response.json();
    });
    asked.catch(() => kept.delete(column)); // so that it is fetched when it is asked for again
    kept.set(column, asked);
  }
  return kept.get(column);
}

// A way to colour the map: `keys` says for each image which of `colours` it has; `key` makes the
// nodes that explain them, and `say` tells an image's value.
function painted(colours, keys, { name, key = () => [], say = () => null }) {
  const groups = colours.map((each) => [each, []]);
  keys.forEach((place, position) => groups[place][1].push(position));
  return { name, groups, of: (position) => colours[keys[position]], key, say };
}

function byCluster() {
  const ids = run.clusters.map((cluster) => cluster.cluster);
  const places = new Map(ids.map((id, place) => [id, place]));
  return painted(
    ids.map(colour),
    run.images.cluster.map((id) => places.get(id)),
    { name: "cluster" },
  );
}

function byFamily() {
  const family = new Map(run.clusters.map((cluster) => [cluster.cluster, cluster.family]));
  const of = run.images.cluster.map((id) => family.get(id));
  const { colours, keys, rows } = ranked(of, run.families.map((each) => each.family), {
    title: (id) => `Family ${id}`,
    unknown: "Noise",
  });
  return painted(colours, keys, { name: "family", key: () => rows.map(swatch) });
}

function byCategory({ name }, { categories, values }) {
  const { colours, keys, rows } = ranked(values, categories.map((_, place) => place), {
    title: (place) => categories[place],
    unknown: "unknown",
  });
  return painted(colours, keys, {
    name,
    key: () => rows.map(swatch),
    say: (position) => categories[values[position]] ?? "unknown",
  });
}

// Colours the most frequent of `ids`, and all others alike; null is unknown.
function ranked(of, ids, { title, unknown }) {
  const counts = new Map(ids.map((id) => [id, 0]));
  let unknowns = 0;
  for (const id of of) {
    if (counts.has(id)) counts.set(id, counts.get(id) + 1);
    else unknowns += 1;
  }
  const order = [...ids].sort((a, b) => counts.get(b) - counts.get(a));
  const shown = order.slice(0, CATEGORIES_SHOWN);
  const place = new Map(shown.map((id, number) => [id, number + 2]));
  const rows = shown.map((id, number) => [CATEGORIES[number], title(id), counts.get(id)]);
  const others = order.slice(CATEGORIES_SHOWN);
  const images = others.reduce((sum, id) => sum + counts.get(id), 0);
  if (others.length) rows.push([OTHERS, count(others.length, "other"), images]);
  if (unknowns) rows.push([UNKNOWN, unknown, unknowns]);
  return {
    colours: [UNKNOWN, OTHERS, ...CATEGORIES],
    keys: of.map((id) => (counts.has(id) ? (place.get(id) ?? 1) : 0)),
    rows,
  };
}

function byNumber({ name }, { values }) {
  const known = values.filter((value) => value !== null);
  const low = known.reduce((a, b) => Math.min(a, b), Infinity);
  const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  const shade = (value) => Math.round((STEPS - 1) * (high > low ? (value - low) / (high - low) : 0.5));
  return scaled(name, values, sequential, shade, [figure(low), figure(high)], figure);
}

function byAngle({ name, period }, { values }) {
  const shade = (value) => Math.floor(((((value % period) + period) % period) / period) * STEPS) % STEPS;
  const say = (value) => `${figure(value)}°`;
  return scaled(name, values, cyclic, shade, ["0°", `${period}°`], say);
}

function scaled(name, values, ramp, shade, [low, high], say) {
  const unknowns = values.filter((value) => value === null).length;
  const shades = Array.from({ length: STEPS }, (_, step) => ramp(step / (STEPS - 1)));
  const key = () =>
    unknowns === values.length
      ? ["Nothing is known of any image."]
      : [
          make("span", {}, low),
          make("i", { class: "ramp", style: `background: linear-gradient(to right, ${shades.join(", ")})` }),
          make("span", {}, high),
          unknowns ? swatch([UNKNOWN, "unknown", unknowns]) : null,
        ].filter((node) => node);
  return painted(
    [UNKNOWN, ...shades],
    values.map((value) => (value === null ? 0 : 1 + shade(value))),
    { name, key, say: (position) => (values[position] === null ? "unknown" : say(values[position])) },
  );
}

function sequential(share) {
  const place = share * (NUMBERS.length - 1);
  const [from, to] = [NUMBERS[Math.floor(place)], NUMBERS[Math.ceil(place)]];
  return `rgb(${from.map((part, channel) => Math.round(part + (to[channel] - part) * (place % 1))).join(" ")})`;
}

// Of one lightness and chroma all around, so that no angle looks like more than another.
function cyclic(share) {
  return `oklch(0.68 0.13 ${Math.round(360 * share + 20)})`;
}

function figure(value) {
  return String(Number(value.toPrecision(4)));
}

function swatch([shade, title, images]) {
  return make(
    "span",
    { title },
    make("i", { style: `background: ${shade}` }),
    make("span", {}, title),
    make("small", {}, images.toLocaleString("en")),
  );
}

function fillKey() {
  view.key.replaceChildren(...paint.key());
  view.canvas.setAttribute(
    "aria-label",
    `Map: every image as a point, at its first two principal components, coloured by ${paint.name}`,
  );
  // A tile's swatch says which points are its own, while that is what colours say.
  view.tiles.classList.toggle("plain", colouring !== "cluster");
}

// --- drawing ------------------------------------------------------------------------------------

// Where each image stands on the canvas, in CSS pixels; both axes have the same scale.
function places() {
  const { x, y } = run.images;
  const { clientWidth: width, clientHeight: height } = view.canvas;
  const margin = 12;
  const range = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const [[left, right], [bottom, top]] = [range(x), range(y)];
  const scale = Math.min(
    (width - 2 * margin) / (right - left || 1),
    (height - 2 * margin) / (top - bottom || 1),
  );
  return x.map((value, position) => [
    width / 2 + (value - (left + right) / 2) * scale,
    height / 2 - (y[position] - (bottom + top) / 2) * scale,
  ]);
}

// Draws in O(n): every image is one square, those of the chosen cluster above all others.
function draw() {
  const { canvas } = view;
  if (!run || !canvas?.clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  view.places = places();
  const ink = getComputedStyle(canvas).color;
  const side = run.images.path.length > 2000 ? 3 : 5;
  const square = (position, size) => {
    const [x, y] = view.places[position];
    pen.fillRect(x - size / 2, y - size / 2, size, size);
  };
  const { cluster } = run.images;
  const members = run.members.get(chosen) ?? [];
  const valued = colouring !== "cluster"; // then the colours of all are to be read
  pen.globalAlpha = valued ? 0.5 : 0.22;
  for (const [shade, positions] of paint.groups) {
    pen.fillStyle = shade;
    for (const position of positions) if (cluster[position] !== chosen) square(position, side);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = ink;
  if (valued) for (const position of members) square(position, side + 5);
  for (const position of members) {
    pen.fillStyle = paint.of(position);
    square(position, valued ? side + 2 : side);
  }
  if (image !== null) {
    const [x, y] = view.places[image];
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 8, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function nearest(event) {
  let best = null;
  let distance = HIT_RADIUS ** 2;
  view.places.forEach(([x, y], position) => {
    const away = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
    if (away < distance) [best, distance] = [position, away];
  });
  return best;
}
