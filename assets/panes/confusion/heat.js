// The heat map: every pair of classes as a cell, from top to bottom and from left to right in the
// order of similarity.

import { pen } from "../lib/canvas.js";
import { RED, VIRIDIS, mix } from "../lib/colours.js";
import { clip } from "../lib/numbers.js";
import { measured } from "./figures.js";
import { KINDS } from "./kinds.js";

const UNKNOWN = [128, 128, 128];
const LEVELS = 254; // steps between the lowest level, 1, and the highest, 255; 0 is not known
const MOST_LABELS = 34; // classes above which there are no names beside the cells
const LONGEST = 14; // characters of a name

// Return the colour of a level: the brighter, the more error-prone.
export function shade(level, kind) {
  if (!level) return UNKNOWN;
  const share = (level - 1) / LEVELS;
  return mix(VIRIDIS, kind === "confusion" ? 1 - share : share).map(Math.round);
}

export function drawHeat({ run, view, kind, chosen }) {
  const node = view.heat;
  const brush = pen(node);
  brush.font = `11px ${getComputedStyle(node).fontFamily}`;
  const size = run.classes.length;
  const names = size <= MOST_LABELS ? run.order.map((position) => clip(run.classes[position].name, LONGEST)) : [];
  const margin = names.length ? Math.ceil(Math.max(...names.map((name) => brush.measureText(name).width))) + 8 : 2;
  const side = Math.min(node.clientWidth, node.clientHeight) - margin - 2;
  const cells = { margin, cell: side / size };
  view.cells = cells;
  brush.imageSmoothingEnabled = cells.cell < 1;
  brush.drawImage(cellPixels(run, kind), margin, margin, side, side);
  brush.fillStyle = getComputedStyle(node).color;
  names.forEach((name, place) => drawName(brush, name, place, cells));
  if (chosen) drawChosen(brush, chosen.map((position) => run.order.indexOf(position)), cells);
  node.setAttribute("aria-label", `Heat map of ${size} classes. ${KINDS[kind].picture}`);
}

// Draw a canvas with one pixel per cell; the diagonal is transparent.
function cellPixels({ classes, order, matrices }, kind) {
  const size = classes.length;
  const pixels = new ImageData(size, size);
  const { levels } = matrices[kind];
  order.forEach((row, y) => {
    order.forEach((column, x) => {
      const colour = row === column ? [0, 0, 0, 0] : [...shade(levels[row * size + column], kind), 255];
      pixels.data.set(colour, 4 * (y * size + x));
    });
  });
  const small = document.createElement("canvas");
  small.width = small.height = size;
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}

// Write the name of a class beside its row and, turned, above its column.
function drawName(brush, name, place, { margin, cell }) {
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
}

function drawChosen(brush, [a, b], { margin, cell }) {
  const grown = Math.max(cell, 5);
  brush.lineWidth = 2;
  brush.strokeStyle = RED;
  for (const [x, y] of [[a, b], [b, a]]) {
    const [left, top] = [x, y].map((place) => margin + cell * (place + 0.5) - grown / 2);
    brush.strokeRect(left, top, grown, grown);
  }
}

// Return the pair of classes under the mouse; null on the diagonal and outside.
export function cellAt({ run, view }, { offsetX, offsetY }) {
  const { margin, cell } = view.cells;
  const [x, y] = [offsetX, offsetY].map((at) => Math.floor((at - margin) / cell));
  const size = run.classes.length;
  if (x < 0 || y < 0 || x >= size || y >= size || x === y) return null;
  return [run.order[y], run.order[x]];
}

export function tellCell({ run, kind }, [a, b]) {
  const { low, high, levels } = run.matrices[kind];
  const level = levels[a * run.classes.length + b];
  const value = level ? `about ${measured(low + ((level - 1) / LEVELS) * (high - low))}` : "not known";
  return `${run.classes[a].name} – ${run.classes[b].name}: ${value}`;
}
