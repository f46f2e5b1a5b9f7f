// The result pane of the Confusion and bias tab: ranked pairs of classes, their distances as a heat
// map and as a map, and the images of a chosen pair.
//
// Gradio runs this and elements.js as one script, once, with `element` (empty), `props`, `trigger` and
// `watch`.  props.value is null, or has the `key` of the inspection that is open.  Data comes from
// run/KEY/inspection and run/KEY/pair/A/B.  Names of classes and paths only ever enter the page as
// text, never as HTML.  Brighter is more error-prone: nearer, or more biased.

// Viridis (van der Walt and Smith, 2015).
const STOPS = [
  [68, 1, 84], [72, 36, 117], [60, 79, 138], [42, 120, 142], [31, 158, 137], [94, 201, 98], [253, 231, 37],
];
const UNKNOWN = [128, 128, 128];
const MOST_LABELS = 34; // classes above which the heat map has no names beside it
const MOST_NAMES = 60; // classes above which the map has none
const LINKS = 30; // reported pairs that the map joins
const KINDS = {
  confusion: {
    title: "Confusion", score: "napvd", said: "NAPVD", flag: "below_one_sd",
    cut: "below mean − 1 sd", likely: "likely confused", file: "confusion.csv",
    picture: "Distances (NAPVD); the brighter, the nearer",
  },
  bias: {
    title: "Bias", score: "average_bias", said: "Average bias", flag: "above_one_sd",
    cut: "above mean + 1 sd", likely: "likely biased", file: "bias.csv",
    picture: "Average bias; the brighter, the larger",
  },
};

let run = null; // what run/KEY/inspection answers, with its key
let view = {}; // the parts of the pane that change
let kind = "confusion";
let chosen = null; // [a, b], positions of classes
let asked = 0; // how many times a pair was asked for: only the last answer is shown

const nameOf = (position) => run.classes[position].name;
const figure = (value) => (value === null || value === "" ? "not known" : String(Number(Number(value).toPrecision(4))));
const hasBias = () => run.pairs.bias.length > 0;

async function get(path) {
  const response = await fetch(`run/${path}`);
  if (!response.ok) throw new Error(await reason(response));
  return response.json();
}

async function show() {
  const wanted = props.value;
  if (!wanted) return close("Inspect a classifier: its pairs of classes are shown here.");
  if (run?.key === wanted.key && run.changed === wanted.changed) return draw();
  try {
    const answer = await get(`${wanted.key}/inspection`);
    if (props.value !== wanted) return; // another was opened meanwhile
    run = { ...answer, ...wanted };
    for (const matrix of Object.values(run.matrices)) {
      matrix.levels = Uint8Array.from(atob(matrix.data), (letter) => letter.charCodeAt(0));
    }
    if (!hasBias()) kind = "confusion";
    const first = run.pairs[kind][0];
    chosen = first ? [first.a, first.b] : null;
    build();
  } catch (error) {
    if (props.value === wanted) close(error.message, "error");
  }
}

function close(words, style = "empty") {
  run = null;
  element.replaceChildren(make("p", { class: style, role: style === "error" ? "status" : null }, words));
}

function build() {
  view = {};
  const { result } = run;
  const facts = [
    `${count(result.pairs, "pair")} of ${count(result.classes, "class", "classes")}`,
    `${count(result.confusion.one_sd, "pair")} likely confused`,
    result.bias ? `${count(result.bias.one_sd, "pair")} likely biased` : null,
    "confused_images" in result ? `${count(result.confused_images, "image")} confused between two classes` : "no labels",
  ];
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Confusion and bias of ${run.name}` },
      make(
        "header",
        {},
        make("div", { class: "title" }, make("h2", {}, run.name), make("p", { class: "path" }, run.parameters.model || run.parameters.distances || "")),
        make("p", { class: "facts" }, `${facts.filter((fact) => fact).join(" · ")}.`),
      ),
      run.notes.length ? make("ul", { class: "notes" }, ...run.notes.map((note) => make("li", {}, note))) : null,
      (view.kinds = make("div", { class: "kinds", role: "group", "aria-label": "What is ranked" })),
      make(
        "div",
        { class: "pairs" },
        (view.list = make("div", { class: "ranked" })),
        make("figure", {}, (view.heat = canvas(pickCell, tellCell)), (view.heatWords = make("figcaption", { role: "status" }))),
        make("figure", {}, (view.map = canvas(null, tellClass)), (view.mapWords = make("figcaption", { role: "status" }))),
      ),
      (view.pair = make("div", { class: "pair" })),
      (view.judged = make("div", {})),
    ),
  );
  new ResizeObserver(draw).observe(view.heat);
  switchTo(kind);
  load();
}

function canvas(click, tell) {
  const node = make("canvas", { role: "img" });
  node.addEventListener("mousemove", tell);
  node.addEventListener("mouseleave", () => say());
  if (click) node.addEventListener("click", click);
  return node;
}

function switchTo(next) {
  kind = next;
  const kinds = hasBias() ? Object.keys(KINDS) : ["confusion"];
  view.kinds.replaceChildren(
    ...kinds.map((each) =>
      make("button", { type: "button", "aria-pressed": String(each === kind), onclick: () => switchTo(each) }, KINDS[each].title),
    ),
  );
  list();
  judge();
  draw();
}

// --- the ranking --------------------------------------------------------------------------------

function list() {
  const { score, said, flag, cut, file } = KINDS[kind];
  const rows = run.pairs[kind];
  const flagged = run.result[kind].one_sd;
  const more = run.result.pairs - rows.length;
  const line = (row) => {
    const pair = [row.a, row.b];
    const third = row.third_1 ? `${row.third_1} sides with ${row.nearer_1}` : "";
    const images = row.images && row.images !== "0" ? count(Number(row.images), "image") : "";
    return make(
      "tr",
      { "aria-selected": String(isChosen(pair)), class: row[flag] === "1" ? "flagged" : null, onclick: () => choose(pair) },
      make("td", {}, row.rank),
      make("td", {}, make("button", { type: "button", onclick: (event) => { event.stopPropagation(); choose(pair); } }, `${row.class_a} – ${row.class_b}`), make("small", {}, kind === "bias" ? third : images)),
      make("td", {}, figure(row[score])),
      make("td", {}, row[flag] === "1" ? make("b", { title: cut }, "●") : "", row.true_error === "1" ? make("i", { title: "an error by the labels" }, "✓") : ""),
    );
  };
  const titles = ["", "Pair", said, ""].map((words) => make("th", {}, words));
  view.list.replaceChildren(
    make("p", {}, `${count(flagged, "pair")} ${cut} (${figure(run.result[kind].cut)}), marked ●${run.evaluation ? "; ✓ by the labels" : ""}.`),
    make(
      "div",
      { class: "scroll", tabindex: "0" },
      make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...rows.map(line))),
    ),
    more > 0 ? make("p", { class: "legend" }, `${file} has ${count(more, "more pair")}.`) : "",
  );
}

const isChosen = ([a, b]) => chosen !== null && Math.min(...chosen) === Math.min(a, b) && Math.max(...chosen) === Math.max(a, b);

function choose(pair) {
  chosen = [Math.min(...pair), Math.max(...pair)];
  const scroll = view.list.querySelector(".scroll").scrollTop;
  list();
  view.list.querySelector(".scroll").scrollTop = scroll;
  draw();
  load();
}

// --- the pictures -------------------------------------------------------------------------------

function shade(level) {
  if (!level) return UNKNOWN;
  const share = (level - 1) / 254;
  const at = (kind === "confusion" ? 1 - share : share) * (STOPS.length - 1);
  const below = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[below].map((from, channel) => Math.round(from + (at - below) * (STOPS[below + 1][channel] - from)));
}

function pen(node) {
  const ratio = window.devicePixelRatio || 1;
  node.width = Math.round(node.clientWidth * ratio);
  node.height = Math.round(node.clientHeight * ratio);
  const found = node.getContext("2d");
  found.scale(ratio, ratio);
  found.font = `11px ${getComputedStyle(node).fontFamily}`;
  return found;
}

function clip(text, longest) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

function draw() {
  if (!run || !view.heat?.clientWidth) return;
  drawHeat();
  drawMap();
  say();
}

// Classes in the order of similarity, from top to bottom and from left to right.
function drawHeat() {
  const node = view.heat;
  const brush = pen(node);
  const size = run.classes.length;
  const labelled = size <= MOST_LABELS;
  const names = run.order.map((position) => clip(nameOf(position), 14));
  const margin = labelled ? Math.ceil(Math.max(...names.map((name) => brush.measureText(name).width))) + 8 : 2;
  const side = Math.min(node.clientWidth, node.clientHeight) - margin - 2;
  const cell = side / size;
  view.cells = { margin, cell };
  const pixels = new ImageData(size, size);
  const { levels } = run.matrices[kind];
  run.order.forEach((row, y) => {
    run.order.forEach((column, x) => {
      const [red, green, blue] = row === column ? [0, 0, 0] : shade(levels[row * size + column]);
      pixels.data.set([red, green, blue, row === column ? 0 : 255], 4 * (y * size + x));
    });
  });
  const small = document.createElement("canvas");
  small.width = small.height = size;
  small.getContext("2d").putImageData(pixels, 0, 0);
  brush.imageSmoothingEnabled = cell < 1;
  brush.drawImage(small, margin, margin, side, side);
  brush.fillStyle = getComputedStyle(node).color;
  if (labelled) {
    names.forEach((name, place) => {
      const middle = margin + cell * (place + 0.5);
      brush.textAlign = "right";
      brush.textBaseline = "middle";
      brush.fillText(name, margin - 5, middle);
      brush.save();
      brush.translate(middle, margin - 5);
      brush.rotate(-Math.PI / 2);
      brush.textAlign = "left";
      brush.fillText(name, 0, 0);
      brush.restore();
    });
  }
  if (chosen) {
    const [a, b] = chosen.map((position) => run.order.indexOf(position));
    brush.lineWidth = 2;
    brush.strokeStyle = "#ef4444";
    for (const [x, y] of [[a, b], [b, a]]) {
      const grown = Math.max(cell, 5);
      brush.strokeRect(margin + cell * (x + 0.5) - grown / 2, margin + cell * (y + 0.5) - grown / 2, grown, grown);
    }
  }
  node.setAttribute("aria-label", `Heat map of ${size} classes. ${KINDS[kind].picture}`);
}

function cellAt(event) {
  const { margin, cell } = view.cells;
  const [x, y] = [event.offsetX, event.offsetY].map((at) => Math.floor((at - margin) / cell));
  const size = run.classes.length;
  if (x < 0 || y < 0 || x >= size || y >= size || x === y) return null;
  return [run.order[y], run.order[x]];
}

function pickCell(event) {
  const pair = cellAt(event);
  if (pair) choose(pair);
}

function tellCell(event) {
  const pair = cellAt(event);
  view.heat.style.cursor = pair ? "pointer" : "";
  if (!pair) return say();
  const { low, high, levels } = run.matrices[kind];
  const level = levels[pair[0] * run.classes.length + pair[1]];
  const value = level ? `about ${figure(low + ((level - 1) / 254) * (high - low))}` : "not known";
  say(`${nameOf(pair[0])} – ${nameOf(pair[1])}: ${value}`);
}

function drawMap() {
  const node = view.map;
  const brush = pen(node);
  const margin = 26;
  const known = run.classes.map((each, position) => ({ ...each, position })).filter((each) => each.x !== null);
  const range = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const [[left, right], [bottom, top]] = [range(known.map(({ x }) => x)), range(known.map(({ y }) => y))];
  const scale = Math.min((node.clientWidth - 2 * margin) / (right - left || 1), (node.clientHeight - 2 * margin) / (top - bottom || 1));
  view.points = new Map(
    known.map(({ position, x, y }) => [
      position,
      [node.clientWidth / 2 + (x - (left + right) / 2) * scale, node.clientHeight / 2 - (y - (bottom + top) / 2) * scale],
    ]),
  );
  const join = (a, b, style, width) => {
    if (!view.points.has(a) || !view.points.has(b)) return;
    brush.strokeStyle = style;
    brush.lineWidth = width;
    brush.beginPath();
    brush.moveTo(...view.points.get(a));
    brush.lineTo(...view.points.get(b));
    brush.stroke();
  };
  const ink = getComputedStyle(node).color;
  brush.globalAlpha = 0.3;
  for (const row of run.pairs[kind].filter((each) => each[KINDS[kind].flag] === "1").slice(0, LINKS)) join(row.a, row.b, ink, 1);
  brush.globalAlpha = 1;
  if (chosen) join(...chosen, "#ef4444", 2);
  for (const [position, [x, y]] of view.points) {
    brush.fillStyle = chosen?.includes(position) ? "#ef4444" : "#3b82f6";
    brush.beginPath();
    brush.arc(x, y, known.length > MOST_NAMES ? 2.5 : 4, 0, 2 * Math.PI);
    brush.fill();
    if (known.length <= MOST_NAMES || chosen?.includes(position)) {
      const name = clip(nameOf(position), 16);
      const width = brush.measureText(name).width;
      brush.fillStyle = ink;
      brush.textAlign = "left";
      brush.textBaseline = "middle";
      brush.fillText(name, x + 7 + width > node.clientWidth ? x - 7 - width : x + 7, y);
    }
  }
  node.setAttribute("aria-label", `Map of ${known.length} classes: the nearer to one another, the nearer their neurons see them`);
}

function tellClass(event) {
  let best = null;
  let distance = 144;
  for (const [position, [x, y]] of view.points) {
    const away = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
    if (away < distance) [best, distance] = [position, away];
  }
  if (best === null) return say();
  const { name, predicted, labelled } = run.classes[best];
  const seen = predicted === null ? "" : `, predicted for ${count(predicted, "image")}`;
  say(null, `${name}${seen}${labelled === null ? "" : `, shown by ${labelled.toLocaleString("en")}`}`);
}

function say(cell = null, point = null) {
  view.heatWords.textContent = cell ?? `${KINDS[kind].picture}; classes by similarity. Click a cell.`;
  view.mapWords.textContent = point ?? "Classes as far apart as their distances say; reported pairs are joined.";
}

// --- the chosen pair ----------------------------------------------------------------------------

async function load() {
  const mine = (asked += 1);
  if (!chosen) return;
  const [a, b] = chosen;
  try {
    const pair = await get(`${run.key}/pair/${a}/${b}`);
    if (mine === asked) tellPair(pair);
  } catch (error) {
    if (mine === asked) view.pair.replaceChildren(make("p", { class: "error", role: "status" }, error.message));
  }
}

function tellPair(pair) {
  const [one, other] = [nameOf(pair.a), nameOf(pair.b)];
  const figures = Object.entries(pair.figures).map(([each, value]) => `${KINDS[each].said} ${figure(value)}`);
  const thirds = pair.thirds.map(({ name, nearer, bias }) => `${name} sides with ${nearer} (${bias.toFixed(2)})`);
  const labelled = pair.count !== null;
  const taken = labelled ? "Rightly taken for" : "Taken for";
  const words = labelled ? `Confused: ${count(pair.count, "image")}` : "Nearly a tie between the two";
  const button = make(
    "button",
    { type: "button", class: "primary", onclick: () => trigger("submit", { key: run.key, changed: run.changed, a: pair.a, b: pair.b }) },
    "Find the root causes of this confusion",
  );
  view.pair.replaceChildren(
    make(
      "div",
      { class: "about" },
      make("h3", {}, `${one} and ${other}`),
      make("p", {}, figures.join(" · ")),
      thirds.length ? make("p", {}, `What drives its bias: ${thirds.join("; ")}.`) : null,
      pair.list ? button : null,
      pair.list ? make("code", {}, pair.list) : null,
      !pair.list && labelled && pair.count ? make("p", { class: "legend" }, "Its images are not listed: other pairs have more.") : null,
    ),
    ...(run.parameters.distances
      ? [make("p", { class: "legend" }, "Tables of another framework come without images: none can be shown or clustered.")]
      : [
          group(`${taken} ${one}`, pair.first),
          group(words, pair.confused, (image) => (labelled ? `${image.expected} → ${image.predicted}` : image.predicted)),
          group(`${taken} ${other}`, pair.second),
        ]),
  );
}

function group(words, images, caption = null) {
  const tile = (image) =>
    make(
      "figure",
      { title: image.path },
      make("img", { src: `run/${run.key}/${image.thumbnail}`, alt: image.path, loading: "lazy", draggable: "false" }),
      caption ? make("figcaption", {}, caption(image)) : null,
    );
  return make(
    "div",
    { class: "side" },
    make("h4", {}, words),
    images.length ? make("div", { class: "grid" }, ...images.map(tile)) : make("p", { class: "legend" }, "No image to show."),
  );
}

// --- against the labels -------------------------------------------------------------------------

function judge() {
  const told = run.evaluation?.[kind];
  if (!told) {
    const words = run.evaluation ? "By the labels no pair stands out: there is nothing to judge this ranking by." : "";
    view.judged.replaceChildren(words ? make("p", { class: "legend" }, words) : "");
    return;
  }
  const type = run.evaluation.truth === "type1" ? "Type 1" : "Type 2";
  const truth = kind === "confusion" ? `${type} confusion` : `${type} confusion disparity`;
  const share = (value) => (value === null ? "–" : percent(value));
  const line = (words, cut) => [
    [words, cut.tp, cut.fp, share(cut.precision), share(cut.recall)],
    ["at random", (cut.random_precision * (cut.tp + cut.fp)).toFixed(1), ((1 - cut.random_precision) * (cut.tp + cut.fp)).toFixed(1), share(cut.random_precision), share(cut.random_recall)],
  ];
  const rows = [...line(KINDS[kind].cut, told.one_sd), ...line(`top ${run.parameters.top_percent} %`, told.top_percent)];
  const cells = (tag, values) => make("tr", {}, ...values.map((value) => make(tag, {}, String(value))));
  const curve = make("canvas", { role: "img", "aria-label": `Cost-effectiveness: AUCEC ${told.aucec}, random 0.5, optimum ${told.aucec_optimum}` });
  view.judged.replaceChildren(
    make(
      "details",
      { class: "against", open: true },
      make("summary", {}, `Against the labels: ${told.errors} of ${count(told.pairs, "pair")} are true errors (${truth} above mean + 1 sd)`),
      make(
        "div",
        {},
        make(
          "div",
          {},
          make("table", {}, make("thead", {}, cells("th", ["Reported", "True", "False", "Precision", "Recall"])), make("tbody", {}, ...rows.map((row) => cells("td", row)))),
          make("p", {}, `AUCEC ${told.aucec.toFixed(3)}, ${percent(told.aucec_gain_over_random)} above random (0.5); the optimum is ${told.aucec_optimum.toFixed(3)}.`),
          make("p", {}, `Spearman's correlation of ${KINDS[kind].said} and ${truth}: ${told.spearman === null ? "not defined" : told.spearman.toFixed(2)}.`),
        ),
        make("figure", {}, curve, make("figcaption", {}, "True errors found, by the share of the pairs that is looked at: — this ranking, – – optimum, ·· random")),
      ),
    ),
  );
  new ResizeObserver(() => drawCurve(curve, told)).observe(curve);
}

function drawCurve(node, told) {
  if (!node.clientWidth) return;
  const brush = pen(node);
  const [left, top, right, foot] = [40, 10, node.clientWidth - 12, node.clientHeight - 26];
  const at = ([x, y]) => [left + x * (right - left), foot - y * (foot - top)];
  const line = (points, style, dash, width) => {
    brush.strokeStyle = style;
    brush.lineWidth = width;
    brush.setLineDash(dash);
    brush.beginPath();
    points.forEach((point, place) => (place ? brush.lineTo(...at(point)) : brush.moveTo(...at(point))));
    brush.stroke();
  };
  const ink = getComputedStyle(node).color;
  brush.fillStyle = ink;
  brush.globalAlpha = 0.6;
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    brush.textAlign = "right";
    brush.textBaseline = "middle";
    brush.fillText(`${100 * share} %`, left - 5, at([0, share])[1]);
    brush.textAlign = share === 1 ? "right" : "center";
    brush.textBaseline = "top";
    brush.fillText(`${100 * share} %`, share === 1 ? right + 8 : at([share, 0])[0], foot + 6);
  }
  line([[0, 1], [0, 0], [1, 0]], ink, [], 1);
  line([[0, 0], [1, 1]], ink, [1, 4], 1.5);
  brush.globalAlpha = 1;
  line([[0, 0], [told.errors / told.pairs, 1], [1, 1]], "#16a34a", [6, 4], 1.5);
  line(told.curve, "#3b82f6", [], 2.5);
}

watch("value", show);
show();
