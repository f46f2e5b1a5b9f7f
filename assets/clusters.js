// The result pane of the Clusters tab: GIF, tiles, figures, words, images and map of one run.
//
// Gradio runs this once, with `element` (empty), `props` and `watch`. props.value is {key, started}
// of the run to show, or null. Data comes from run/KEY/data, and words go to run/KEY/words; what a
// run says (file names, cluster names, notes) only ever enters the page as text, never as HTML.

const NOISE = -1;
const IMAGES_A_PAGE = 48;
const REJECTED_SHOWN = 1000;
const MILLISECONDS_TO_SAVE = 300;
const MILLISECONDS_TO_LOAD = 80; // clusters that are only passed on the way load no pictures
const HIT_RADIUS = 12;
const NOTHING_OPEN =
  "Root cause clusters appear here: an animated picture of each, its images, and a map of them all.";

let run = null; // what run/KEY/data answers, and what is derived from it
let view = {}; // the parts of the pane that change
let chosen = null; // cluster id
let image = null; // position of the selected image in run.images, or null
let firstShown = 0; // position, among the cluster's images, of the first one on the page
let unsaved = null; // words that are typed and not sent yet: {url, started, cluster, fields, timer}
let loading = 0; // timer of the pictures of the chosen cluster
let sent = Promise.resolve(); // the last words sent: words reach the server in their order

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) node.setAttribute(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const address = (name) => `run/${run.key}/${name}`;
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const full = (position) => `${run.folder}/${run.images.path[position]}`;
const title = (cluster) =>
  cluster.cluster === NOISE && (!cluster.name || cluster.name === "noise")
    ? "Noise"
    : cluster.name || `Cluster ${cluster.cluster}`;

function colour(id) {
  return id === NOISE ? "hsl(0 0% 55%)" : `hsl(${(id * 137.508 + 210) % 360} 65% 48%)`;
}

// --- opening a run ------------------------------------------------------------------------------

async function show() {
  const wanted = props.value;
  if (!wanted) {
    close();
    remember();
    return;
  }
  let answer;
  try {
    const response = await fetch(`run/${wanted.key}/data`);
    answer = response.ok ? await response.json() : { error: await response.text() };
  } catch (error) {
    answer = { error: `The page's server does not answer (${error.message}).` };
  }
  if (props.value !== wanted) return; // another run was opened meanwhile
  if (answer.error) {
    close(make("div", { class: "error", role: "status" }, answer.error));
    return;
  }
  close();
  run = { ...answer, key: wanted.key, members: new Map(), positions: new Map() };
  run.images.path.forEach((path, position) => {
    const id = run.images.cluster[position];
    if (!run.members.has(id)) run.members.set(id, []);
    run.members.get(id).push(position);
    run.positions.set(path, position);
  });
  for (const members of run.members.values()) {
    members.sort((a, b) => run.images.distance[a] - run.images.distance[b] || a - b);
  }
  chosen = image = null;
  build();
  if (run.clusters.length) {
    const asked = new URLSearchParams(location.search);
    const id = asked.get("run") === run.run ? Number(asked.get("cluster") ?? NaN) : NaN;
    choose(run.members.has(id) ? id : run.clusters[0].cluster);
  } else {
    remember();
  }
}

function close(instead = make("p", { class: "empty" }, NOTHING_OPEN)) {
  save();
  clearTimeout(loading);
  run = null;
  element.replaceChildren(instead);
}

// The address of the page names the run and the cluster, so that reloading it changes nothing.
function remember() {
  const url = new URL(location.href);
  if (run) url.searchParams.set("run", run.run);
  else url.searchParams.delete("run");
  if (run && chosen !== null) url.searchParams.set("cluster", chosen);
  else url.searchParams.delete("cluster");
  history.replaceState(history.state, "", url);
}

function build() {
  view = {};
  const how = {
    failed: `failed. ${run.message}`,
    stopped: "was stopped.",
    killed: "was killed.",
    running: "is still being written.",
  }[run.ended];
  const found = run.clusters.length;
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Run ${run.name}` },
      head(),
      how ? make("div", { class: "error" }, `This run ${how}`) : null,
      ...run.notes.map((note) => make("div", { class: "note" }, note)),
      found ? make("div", { class: "pane" }, gif(), words(), images(), map()) : null,
      found ? tiles() : null,
      run.rejected.length ? rejected() : null,
    ),
  );
  if (found) new ResizeObserver(draw).observe(view.canvas);
}

function head() {
  const used = run.images.path.length;
  const clusters = run.clusters.filter((cluster) => cluster.cluster !== NOISE).length;
  const noise = run.members.get(NOISE)?.length ?? 0;
  const facts = used
    ? `${count(clusters, "root cause cluster")} of ${count(used, "image")}; ` +
      `${count(noise, "image")} (${percent(noise / used)}) ${noise === 1 ? "is" : "are"} noise. ` +
      (run.inspection_share ? `Five images of each cluster are ${percent(run.inspection_share)} of all.` : "")
    : "No clusters.";
  const download = (name, text) => make("a", { href: address(name), download: true }, text);
  return make(
    "header",
    {},
    make("div", {}, make("h2", {}, run.name), make("p", {}, facts), make("p", { class: "path" }, run.folder)),
    used
      ? make(
          "nav",
          { "aria-label": "Downloads" },
          download("download/labels.txt", "labels.txt"),
          download("download/clusters.csv", "clusters.csv"),
          download("gifs.zip", "GIFs (ZIP)"),
        )
      : null,
  );
}

function rejected() {
  const shown = run.rejected.slice(0, REJECTED_SHOWN);
  const more = run.rejected.length - shown.length;
  return make(
    "details",
    { class: "rejected", open: run.rejected.length <= 5 },
    make("summary", {}, `${count(run.rejected.length, "file")} could not be used`),
    make(
      "table",
      {},
      ...shown.map(([path, reason]) => make("tr", {}, make("td", {}, path), make("td", {}, reason))),
    ),
    make(
      "p",
      {},
      more ? `and ${more.toLocaleString("en")} more: ` : "",
      make("a", { href: address("download/rejected.txt"), download: true }, "rejected.txt"),
    ),
  );
}

// --- the chosen cluster -------------------------------------------------------------------------

function choose(id, { focus = false } = {}) {
  if (id === chosen) return;
  save();
  chosen = id;
  if (image !== null && run.images.cluster[image] !== id) image = null;
  firstShown = 0;
  const cluster = run.clusters.find((row) => row.cluster === id);
  view.name.value = cluster.name;
  view.note.value = cluster.note;
  if (!view.saved.classList.contains("bad")) view.saved.textContent = "";
  fillFigures(cluster);
  for (const tile of view.tiles.children) {
    const selected = Number(tile.dataset.cluster) === id;
    tile.setAttribute("aria-selected", selected);
    tile.tabIndex = selected ? 0 : -1;
    if (selected) {
      if (focus) tile.focus({ preventScroll: true });
      scrollTo(tile);
    }
  }
  clearTimeout(loading);
  loading = setTimeout(() => {
    fillGif(cluster);
    fillImages();
  }, MILLISECONDS_TO_LOAD);
  tell(image);
  draw();
  remember();
}

function scrollTo(tile) {
  const strip = view.tiles;
  const left = tile.offsetLeft - strip.offsetLeft;
  if (left < strip.scrollLeft || left + tile.offsetWidth > strip.scrollLeft + strip.clientWidth) {
    strip.scrollLeft = left - (strip.clientWidth - tile.offsetWidth) / 2;
  }
}

function gif() {
  view.gif = make("img", {});
  view.caption = make("figcaption");
  return make("figure", { class: "gif" }, view.gif, view.caption);
}

function fillGif(cluster) {
  view.gif.src = address(cluster.gif);
  view.gif.alt = `Animated images of ${title(cluster)}`;
  const frames = Math.min(cluster.size, 100);
  view.caption.textContent =
    `${frames < cluster.size ? `${frames} of ${cluster.size}` : count(frames, "image")}, most central first`;
}

function fillFigures(cluster) {
  const figures = [
    ["Images", `${cluster.size.toLocaleString("en")} (${percent(cluster.share)} of all)`],
    cluster.cluster === NOISE ? null : ["Core images", cluster.cores.toLocaleString("en")],
    cluster.silhouette === null ? null : ["Mean silhouette", cluster.silhouette.toFixed(2)],
    ["Most central", cluster.central_image],
  ].filter((figure) => figure);
  const hints = cluster.hint ? cluster.hint.split("; ") : [];
  view.hints.replaceChildren(...hints.map((hint) => make("li", {}, hint)));
  view.figures.replaceChildren(
    ...figures.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
}

function words() {
  const field = (name, tag, attributes) =>
    make(tag, {
      ...attributes,
      "aria-label": name === "name" ? "Name" : "Note",
      maxlength: run.longest[name],
      oninput: (event) => typed(name, event.target.value),
      onblur: save,
    });
  view.name = field("name", "input", { type: "text" });
  view.note = field("note", "textarea", { rows: 3 });
  view.saved = make("span", { class: "saved", role: "status" });
  view.figures = make("dl");
  view.hints = make("ul", { class: "hints", "aria-label": "What sets its pictures apart" });
  return make(
    "div",
    { class: "words" },
    view.hints,
    make("div", {}, make("b", {}, "Name "), view.saved, view.name),
    make("div", {}, make("b", {}, "Note"), view.note),
    view.figures,
  );
}

// Words are saved as they are typed: a moment after the last key.
function typed(name, text) {
  const cluster = run.clusters.find((row) => row.cluster === chosen);
  cluster[name] = text;
  view.labels.get(chosen).textContent = title(cluster);
  say("Saving …");
  clearTimeout(unsaved?.timer);
  unsaved = {
    url: address("words"),
    started: run.started,
    cluster: chosen,
    fields: { ...unsaved?.fields, [name]: text }, // what another page changed stays as it is
    timer: setTimeout(save, MILLISECONDS_TO_SAVE),
  };
}

function save() {
  if (!unsaved) return;
  const { url, started, cluster, fields, timer } = unsaved;
  const name = title(run.clusters.find((row) => row.cluster === cluster));
  clearTimeout(timer);
  unsaved = null;
  const send = async () => {
    let problem = "";
    try {
      const answer = await fetch(url, {
        method: "POST",
        body: JSON.stringify({ started, cluster, ...fields }),
        headers: { "Content-Type": "application/json" },
        keepalive: true, // also while the page is being closed
      });
      if (!answer.ok) problem = await answer.text();
    } catch (error) {
      problem = `the page's server does not answer (${error.message}).`;
    }
    if (problem) say(`${name} is not saved: ${problem} Type again to try again.`, true);
    else if (!unsaved) say("Saved");
  };
  sent = sent.then(send);
}

function say(text, bad = false) {
  if (!view.saved || (view.saved.classList.contains("bad") && !bad && text !== "Saving …")) return;
  view.saved.textContent = text;
  view.saved.classList.toggle("bad", bad);
}

// --- tiles --------------------------------------------------------------------------------------

function tiles() {
  view.labels = new Map();
  view.tiles = make(
    "div",
    { class: "tiles", role: "listbox", "aria-label": "Clusters", "aria-orientation": "horizontal" },
    ...run.clusters.map((cluster) => {
      const central = run.positions.get(cluster.central_image);
      const label = make("b", {}, title(cluster));
      view.labels.set(cluster.cluster, label);
      return make(
        "div",
        { class: "tile", role: "option", "data-cluster": cluster.cluster, "aria-selected": false },
        picture(central),
        label,
        make(
          "small",
          {},
          make("i", { style: `background:${colour(cluster.cluster)}` }),
          count(cluster.size, "image"),
        ),
      );
    }),
  );
  view.tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) choose(Number(tile.dataset.cluster), { focus: true });
  });
  view.tiles.addEventListener("keydown", (event) => {
    const ids = run.clusters.map((cluster) => cluster.cluster);
    const here = ids.indexOf(chosen);
    const last = ids.length - 1;
    const to = {
      ArrowRight: Math.min(here + 1, last),
      ArrowDown: Math.min(here + 1, last),
      ArrowLeft: Math.max(here - 1, 0),
      ArrowUp: Math.max(here - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(ids[to], { focus: true });
  });
  return view.tiles;
}

function picture(position) {
  return make("img", {
    src: position === undefined ? null : address(run.images.thumbnail[position]),
    alt: "",
    loading: "lazy",
    draggable: "false",
  });
}

// --- the images of the cluster ------------------------------------------------------------------

function images() {
  const turn = (by) => () => {
    firstShown += by * IMAGES_A_PAGE;
    fillImages();
  };
  view.earlier = make("button", { type: "button", onclick: turn(-1), "aria-label": "Earlier images" }, "‹");
  view.later = make("button", { type: "button", onclick: turn(1), "aria-label": "Later images" }, "›");
  view.range = make("span");
  view.grid = make("div", { class: "grid" });
  const position = (event) => {
    const thumb = event.target.closest(".thumb");
    return thumb ? Number(thumb.dataset.image) : null;
  };
  view.grid.addEventListener("click", (event) => select(position(event)));
  view.grid.addEventListener("mouseover", (event) => tell(position(event) ?? image));
  view.grid.addEventListener("mouseleave", () => tell(image));
  view.grid.addEventListener("focusin", (event) => tell(position(event)));
  view.grid.addEventListener("focusout", () => tell(image));
  return make(
    "div",
    { class: "images" },
    make("div", { class: "pager" }, view.earlier, view.range, view.later),
    view.grid,
  );
}

function fillImages() {
  const members = run.members.get(chosen);
  const end = Math.min(firstShown + IMAGES_A_PAGE, members.length);
  view.earlier.disabled = firstShown === 0;
  view.later.disabled = end === members.length;
  view.range.textContent =
    `Images ${firstShown + 1} to ${end} of ${members.length.toLocaleString("en")}, most central first`;
  for (const picture of view.grid.querySelectorAll("img")) {
    if (!picture.complete) picture.removeAttribute("src"); // or it would load all the same
  }
  view.grid.replaceChildren(
    ...members.slice(firstShown, end).map((position) =>
      make(
        "button",
        {
          type: "button",
          class: "thumb",
          "data-image": position,
          "aria-pressed": position === image,
          "aria-label": run.images.path[position],
          title: `${full(position)}\ndistance to the centre ${run.images.distance[position].toFixed(4)}`,
        },
        picture(position),
      ),
    ),
  );
}

function select(position) {
  if (position === null) return;
  const before = chosen;
  image = position;
  choose(run.images.cluster[position]);
  const place = run.members.get(chosen).indexOf(position);
  const first = place - (place % IMAGES_A_PAGE);
  if (first !== firstShown) {
    firstShown = first;
    if (chosen === before) fillImages(); // else they are on their way
  }
  for (const thumb of view.grid.children) {
    thumb.setAttribute("aria-pressed", Number(thumb.dataset.image) === position);
  }
  tell(position);
  draw();
}

// Say all that is known of an image, in the corner under the map.
function tell(position) {
  if (position === null) {
    view.detail.replaceChildren("Point at an image, or click it, for its path and figures.");
    return;
  }
  const { core, distance, cluster, silhouette } = run.images;
  const of = run.clusters.find((row) => row.cluster === cluster[position]);
  view.detail.replaceChildren(
    picture(position),
    make(
      "div",
      {},
      make("p", { class: "path" }, full(position)),
      make(
        "p",
        {},
        `${title(of)}${core[position] ? ", core image" : ""} · ` +
          `distance to the centre ${distance[position].toFixed(4)}` +
          (of.silhouette === null ? "" : ` · silhouette ${silhouette[position].toFixed(2)}`),
      ),
    ),
  );
}

// --- the map ------------------------------------------------------------------------------------

function map() {
  view.canvas = make("canvas", {
    role: "img",
    "aria-label": "Map: every image as a point, at its first two principal components",
  });
  view.canvas.addEventListener("mousemove", (event) => {
    const position = nearest(event);
    view.canvas.style.cursor = position === null ? "" : "pointer";
    tell(position ?? image);
  });
  view.canvas.addEventListener("mouseleave", () => tell(image));
  view.canvas.addEventListener("click", (event) => select(nearest(event)));
  view.detail = make("div", { class: "detail" });
  return make(
    "div",
    { class: "map" },
    view.canvas,
    make("p", { class: "legend" }, "Every image at its first two principal components; click a point."),
    view.detail,
  );
}

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

// Draws in O(n): every image is one square.
function draw() {
  const { canvas } = view;
  if (!run || !canvas?.clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  view.places = places();
  const side = run.images.path.length > 2000 ? 3 : 5;
  const point = (position) => {
    const [x, y] = view.places[position];
    pen.fillRect(x - side / 2, y - side / 2, side, side);
  };
  for (const [id, members] of run.members) {
    if (id === chosen) continue;
    pen.fillStyle = colour(id);
    pen.globalAlpha = 0.22;
    members.forEach(point);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = colour(chosen);
  run.members.get(chosen)?.forEach(point);
  if (image !== null) {
    const [x, y] = view.places[image];
    pen.strokeStyle = getComputedStyle(canvas).color;
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

// ------------------------------------------------------------------------------------------------

window.addEventListener("pagehide", save);
watch("value", show);
close(); // and leave the address as it is: the server is still to read it
