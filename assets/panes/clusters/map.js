// The map: every image as a point at its first two principal components.
// No element is made per image, for a run may have very many.

import { nearest, pen, place } from "../lib/canvas.js";
import { make } from "../lib/elements.js";
import { colouring } from "./colouring.js";
import { showDetails } from "./images.js";
import { shownFamilies } from "./run.js";

const HIT_RADIUS = 12;
const MARGIN = 12;
const MANY = 2000; // images above which points are smaller

// `select` is called with the position of the image that is clicked, or null.
export function makeMap(pane, select) {
  const { run, view } = pane;
  const hit = ({ offsetX, offsetY }) => nearest(view.places, [offsetX, offsetY], HIT_RADIUS);
  view.colour = choice(pane);
  view.canvas = make("canvas", { role: "img" });
  view.canvas.addEventListener("mousemove", (event) => {
    const position = hit(event);
    view.canvas.style.cursor = position === null ? "" : "pointer";
    showDetails(pane, position ?? pane.image);
  });
  view.canvas.addEventListener("mouseleave", () => showDetails(pane, pane.image));
  view.canvas.addEventListener("click", (event) => select(hit(event)));
  view.key = make("div", { class: "key", role: "status" });
  view.detail = make("div", { class: "detail" });
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

function choice(pane) {
  const { run } = pane;
  const option = (value, text) => make("option", { value }, text);
  const group = (label, source) => {
    const columns = run.colourings.filter((column) => column.source === source);
    const options = columns.map((column) => option(`${source}/${column.index}`, column.name));
    return columns.length ? make("optgroup", { label }, ...options) : null;
  };
  return make(
    "select",
    { onchange: (event) => recolour(pane, event.target.value) },
    option("cluster", "Cluster"),
    shownFamilies(run).length ? option("family", "Family") : null,
    group("Parameters", "parameters"),
    group("Pixel properties", "properties"),
  );
}

async function recolour(pane, value) {
  const { run, view } = pane;
  let paint = null;
  let problem = "";
  try {
    paint = await colouring(run, value);
  } catch (error) {
    problem = error.message;
  }
  if (pane.run !== run || view.colour.value !== value) return; // another was chosen meanwhile
  if (problem) {
    view.colour.value = pane.colouring;
    view.key.replaceChildren(make("span", { class: "bad" }, problem));
    return;
  }
  Object.assign(pane, { colouring: value, paint });
  fillKey(pane);
  draw(pane);
  showDetails(pane, view.detailed);
}

export function fillKey({ view, paint, colouring: value }) {
  view.key.replaceChildren(...paint.key());
  view.canvas.setAttribute(
    "aria-label",
    `Map: every image as a point, at its first two principal components, coloured by ${paint.name}`,
  );
  // The swatch of a tile has the colour of its points only while clusters give the colours.
  view.tiles.classList.toggle("plain", value !== "cluster");
}

// --- drawing ------------------------------------------------------------------------------------

// Draw the map, in O(n): every image is one square, those of the chosen cluster above all others.
export function draw(pane) {
  const { run, view, image } = pane;
  const { canvas } = view;
  if (!run || !canvas?.clientWidth) return;
  const brush = pen(canvas);
  const box = { width: canvas.clientWidth, height: canvas.clientHeight, margin: MARGIN };
  view.places = place(run.images.x, run.images.y, box);
  const ink = getComputedStyle(canvas).color;
  drawOthers(brush, pane);
  drawMembers(brush, pane, ink);
  if (image !== null) ring(brush, view.places[image], ink);
}

// When values give the colours, all images should be readable, not only those of the chosen cluster.
const isValued = ({ colouring: value }) => value !== "cluster";
const side = ({ images }) => (images.path.length > MANY ? 3 : 5);

function drawOthers(brush, pane) {
  const { run, view, chosen, paint } = pane;
  const { cluster } = run.images;
  const size = side(run);
  brush.globalAlpha = isValued(pane) ? 0.5 : 0.22;
  for (const [shade, positions] of paint.groups) {
    brush.fillStyle = shade;
    for (const position of positions) if (cluster[position] !== chosen) square(brush, view.places[position], size);
  }
  brush.globalAlpha = 1;
}

function drawMembers(brush, pane, ink) {
  const { run, view, chosen, paint } = pane;
  const members = run.members.get(chosen) ?? [];
  const valued = isValued(pane);
  const size = side(run);
  brush.fillStyle = ink;
  if (valued) for (const position of members) square(brush, view.places[position], size + 5);
  for (const position of members) {
    brush.fillStyle = paint.of(position);
    square(brush, view.places[position], valued ? size + 2 : size);
  }
}

function square(brush, [x, y], size) {
  brush.fillRect(x - size / 2, y - size / 2, size, size);
}

function ring(brush, [x, y], style) {
  brush.strokeStyle = style;
  brush.lineWidth = 2;
  brush.beginPath();
  brush.arc(x, y, 8, 0, 2 * Math.PI);
  brush.stroke();
}
