// The result pane of the Heatmaps tab: heatmaps over the images of a cluster, and their mean.
//
// Gradio runs this and elements.js as one script, once, with `element` (empty), `props` and `watch`.
// props.value is null, or tells of the run that is open: its `key`, whether it has `heatmaps`, the
// `test` that listed its images, and the key of the `other` run that it is compared with.  Data
// comes from run/KEY/data, /layers, /heatmaps/CLUSTER and /compare/OTHER.  Names and paths only ever
// enter the page as text, never as HTML.

// Colours from no relevance to the most: the stops of a ramp, red, green, blue.
const COLOURS = new Map([
  ["Fire", [[0, 0, 0], [130, 0, 60], [225, 30, 20], [255, 130, 0], [255, 235, 0]]],
  ["Viridis", [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]],
  ["Grey", [[0, 0, 0], [255, 255, 255]]],
]);
const AGAINST = [37, 99, 235]; // relevance against the class
const WHOLE = 127;

let run = null; // what run/KEY/data answers, with its key
let layers = null; // what run/KEY/layers answers
let view = {}; // the parts of the pane that change
let wish = { layer: "", cluster: 0, strength: 0.7, colours: "Fire" };
let maps = null; // what run/KEY/heatmaps/CLUSTER answers, as bytes
let asked = 0; // how many times heatmaps were asked for: only the last answer is shown

const address = (name) => `run/${run.key}/${name}`;
const row = (id) => run.clusters.find(({ cluster }) => cluster === id);

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(await reason(response));
  return response.json();
}

async function show() {
  const wanted = props.value;
  if (!wanted) return close("Open a run, or find clusters by heatmaps: they are shown here.");
  try {
    const paths = ["data", ...(wanted.heatmaps ? ["layers"] : [])];
    const answers = await Promise.all(paths.map((name) => get(`run/${wanted.key}/${name}`)));
    const compared =
      wanted.other && wanted.other !== wanted.key
        ? await get(`run/${wanted.key}/compare/${wanted.other}`)
        : null;
    if (props.value !== wanted) return; // another run was opened meanwhile
    run = { ...answers[0], key: wanted.key };
    layers = answers[1] ?? null;
    build(wanted, compared);
  } catch (error) {
    if (props.value === wanted) close(error.message, "error");
  }
}

function close(words, kind = "empty") {
  run = layers = maps = null;
  element.replaceChildren(make("p", { class: kind, role: kind === "error" ? "status" : null }, words));
}

function build(wanted, compared) {
  view = {};
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Heatmaps of ${run.name}` },
      make(
        "header",
        {},
        make(
          "div",
          { class: "title" },
          make("h2", {}, `Heatmaps of ${run.name}`),
          make("p", { class: "path" }, layers ? layers.model : run.folder),
        ),
        make("p", { class: "facts" }, facts(wanted.test)),
      ),
      compared ? agreement(compared) : null,
      wanted.test?.picture ? confusions(wanted.test) : null,
      layers ? searched() : null,
      layers && run.clusters.length ? controls() : null,
      layers ? (view.grid = make("div", { class: "heat" })) : null,
    ),
  );
  if (layers && run.clusters.length) load();
}

function facts(test) {
  const tested = test
    ? `The DNN is right on ${(100 * test.accuracy).toFixed(1)} % of ${count(test.images, "test image")}. `
    : "";
  if (!layers) {
    return `${tested}This run was found by appearance, and has no heatmaps: find clusters by heatmaps, or compare it with a run that has.`;
  }
  const chosen = layers.layers.find((layer) => layer.chosen === "1");
  const explained = layers.explain ? `the output ${layers.explain}` : "the output that is wrong";
  return `${tested}${count(run.clusters.length, "root cause cluster")} by the heatmaps of ${chosen.layer}, for ${explained}, rule ${layers.rule}.`;
}

function table(titles, rows) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, {}, String(cell))));
  return make("table", {}, make("thead", {}, line("th", titles)), make("tbody", {}, ...rows.map((cells) => line("td", cells))));
}

function searched() {
  const rows = layers.layers.map(({ layer, shape, clusters, wicd, seconds, chosen }) => [
    chosen === "1" ? `${layer} (chosen)` : layer, shape, clusters, wicd, seconds,
  ]);
  return make(
    "details",
    { class: "searched" },
    make("summary", {}, `${count(layers.layers.length, "layer")} searched; the one with the least WICD is chosen`),
    table(["Layer", "Shape", "Clusters", "WICD", "Seconds"], rows),
  );
}

function confusions(test) {
  return make(
    "details",
    { class: "confusions" },
    make("summary", {}, "What the DNN takes for what"),
    make("img", { src: `run/${test.key}/confusion.png`, alt: "Confusion matrix of the test", loading: "lazy" }),
  );
}

function agreement({ name, other, images, rows, columns, table: overlaps, index }) {
  const words =
    images === 0
      ? `${name} and ${other} have no image in common.`
      : `${count(images, "image")} in common with ${other}; adjusted Rand index ${index === null ? "not defined" : index.toFixed(2)} (1: the same clusters, 0: as by chance). Rows: clusters of ${name}; columns: of ${other}.`;
  const called = (id) => (id === NOISE ? "Noise" : id);
  return make(
    "details",
    { class: "agreement", open: true },
    make("summary", {}, words),
    images
      ? make(
          "div",
          { class: "wide" },
          table(
            ["Cluster", ...columns.map(called)],
            rows.map((id, place) => [called(id), ...overlaps[place].map((number) => number || "")]),
          ),
        )
      : null,
  );
}

function controls() {
  const select = (label, values, chosen, change) => {
    const field = make(
      "select",
      { "aria-label": label, onchange: (event) => change(event.target.value) },
      ...values.map(([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text)),
    );
    return make("label", {}, label, field);
  };
  const clusters = run.clusters.map((cluster) => [cluster.cluster, `${title(cluster)} · ${count(cluster.size, "image")}`]);
  if (!run.clusters.some(({ cluster }) => cluster === wish.cluster)) wish.cluster = run.clusters[0].cluster;
  if (!layers.shown.includes(wish.layer)) wish.layer = layers.shown.includes("input") ? "input" : layers.shown[0];
  return make(
    "div",
    { class: "controls" },
    select("Cluster", clusters, wish.cluster, (value) => load({ cluster: Number(value) })),
    select("Layer", layers.shown.map((name) => [name, name]), wish.layer, (value) => load({ layer: value })),
    select("Colours", [...COLOURS.keys()].map((name) => [name, name]), wish.colours, (value) => paint({ colours: value })),
    make(
      "label",
      {},
      "Strength",
      make("input", {
        type: "range", min: 0, max: 1, step: 0.05, value: wish.strength, "aria-label": "Strength",
        oninput: (event) => paint({ strength: event.target.valueAsNumber }),
      }),
    ),
  );
}

async function load(change = {}) {
  wish = { ...wish, ...change };
  const mine = (asked += 1);
  if (!wish.layer) return;
  try {
    const answer = await get(address(`heatmaps/${wish.cluster}?layer=${encodeURIComponent(wish.layer)}`));
    if (mine !== asked) return;
    maps = { ...answer, data: Int8Array.from(atob(answer.data), (letter) => letter.charCodeAt(0)) };
    draw();
  } catch (error) {
    if (mine === asked) view.grid.replaceChildren(make("p", { class: "error", role: "status" }, error.message));
  }
}

function draw() {
  const positions = new Map(run.images.path.map((path, position) => [path, position]));
  const tile = (src, label, place) =>
    make(
      "figure",
      { title: label },
      make(
        "div",
        { style: `aspect-ratio: ${maps.width} / ${maps.height}` },
        src ? make("img", { src, alt: "", loading: "lazy", draggable: "false", onload: fit }) : null,
        make("canvas", { width: maps.width, height: maps.height, "data-place": place, "aria-hidden": "true" }),
      ),
      make("figcaption", {}, label),
    );
  const shown = maps.paths.map((path, place) => tile(address(run.images.thumbnail[positions.get(path)]), path, place));
  const { size } = row(wish.cluster);
  view.grid.replaceChildren(tile("", `Mean of ${count(size, "image")}`, maps.paths.length), ...shown);
  paint();
}

// The DNN sees every image in its own format: the heatmap is stretched back to that of the image.
function fit({ target }) {
  target.parentElement.style.aspectRatio = `${target.naturalWidth} / ${target.naturalHeight}`;
}

// Colour every heatmap anew, and lay it over its image.
function paint(change = {}) {
  wish = { ...wish, ...change };
  if (!maps) return;
  const ramp = COLOURS.get(wish.colours);
  const colour = (share) => {
    const at = share * (ramp.length - 1);
    const below = Math.min(Math.floor(at), ramp.length - 2);
    return ramp[below].map((from, channel) => from + (at - below) * (ramp[below + 1][channel] - from));
  };
  const size = maps.width * maps.height;
  for (const canvas of view.grid.querySelectorAll("canvas")) {
    const mean = Number(canvas.dataset.place) === maps.paths.length;
    const pixels = new ImageData(maps.width, maps.height);
    const start = Number(canvas.dataset.place) * size;
    for (let at = 0; at < size; at += 1) {
      const share = maps.data[start + at] / WHOLE;
      const [red, green, blue] = share < 0 ? AGAINST : colour(share);
      // Where there is no relevance the image is left as it is.
      const opacity = mean ? 1 : wish.strength * Math.sqrt(Math.abs(share));
      pixels.data.set([red, green, blue, 255 * opacity], 4 * at);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

watch("value", show);
show();
