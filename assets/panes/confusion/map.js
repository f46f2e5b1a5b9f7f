// The map: the nearer two classes, the smaller their distance. Lines join the reported pairs.

import { nearest, pen, place } from "../lib/canvas.js";
import { BLUE, RED } from "../lib/colours.js";
import { clip, count, whole } from "../lib/numbers.js";
import { KINDS } from "./kinds.js";

const MARGIN = 26;
const HIT_RADIUS = 12;
const MOST_NAMES = 60; // classes above which only the chosen ones have names
const LONGEST = 16; // characters of a name
const LINKS = 30; // reported pairs joined by lines, at most

export function drawMap({ run, view, kind, chosen }) {
  const node = view.map;
  const brush = pen(node);
  brush.font = `11px ${getComputedStyle(node).fontFamily}`;
  view.points = placeClasses(run.classes, node);
  const ink = getComputedStyle(node).color;
  const few = view.points.size <= MOST_NAMES;
  const reported = run.pairs[kind].filter((row) => row[KINDS[kind].flag] === "1");
  brush.globalAlpha = 0.3;
  for (const { a, b } of reported.slice(0, LINKS)) join(brush, view.points, [a, b], { style: ink, width: 1 });
  brush.globalAlpha = 1;
  if (chosen) join(brush, view.points, chosen, { style: RED, width: 2 });
  for (const [position, point] of view.points) {
    const isChosen = chosen?.includes(position) ?? false;
    drawPoint(brush, point, { style: isChosen ? RED : BLUE, radius: few ? 4 : 2.5 });
    if (few || isChosen) drawName(brush, point, { name: run.classes[position].name, ink, width: node.clientWidth });
  }
  node.setAttribute(
    "aria-label",
    `Map of ${view.points.size} classes: the nearer two of them, the more alike they activate the neurons`,
  );
}

// Return the points of the classes that have a place on the map, by the position of the class.
function placeClasses(classes, node) {
  const positions = classes.flatMap(({ x }, position) => (x === null ? [] : [position]));
  const box = { width: node.clientWidth, height: node.clientHeight, margin: MARGIN };
  const axis = (name) => positions.map((position) => classes[position][name]);
  const places = place(axis("x"), axis("y"), box);
  return new Map(positions.map((position, number) => [position, places[number]]));
}

function join(brush, points, [a, b], { style, width }) {
  if (!points.has(a) || !points.has(b)) return;
  brush.strokeStyle = style;
  brush.lineWidth = width;
  brush.beginPath();
  brush.moveTo(...points.get(a));
  brush.lineTo(...points.get(b));
  brush.stroke();
}

function drawPoint(brush, [x, y], { style, radius }) {
  brush.fillStyle = style;
  brush.beginPath();
  brush.arc(x, y, radius, 0, 2 * Math.PI);
  brush.fill();
}

// Write the name of a class to the right of its point, or to the left where there is no room.
function drawName(brush, [x, y], { name, ink, width }) {
  const text = clip(name, LONGEST);
  const long = brush.measureText(text).width;
  brush.fillStyle = ink;
  brush.textAlign = "left";
  brush.textBaseline = "middle";
  brush.fillText(text, x + 7 + long > width ? x - 7 - long : x + 7, y);
}

// Describe the class next to the mouse; null where none is near.
export function tellClass({ run, view }, { offsetX, offsetY }) {
  const positions = [...view.points.keys()];
  const number = nearest([...view.points.values()], [offsetX, offsetY], HIT_RADIUS);
  if (number === null) return null;
  const { name, predicted, labelled } = run.classes[positions[number]];
  const seen = predicted === null ? "" : `, predicted for ${count(predicted, "image")}`;
  return `${name}${seen}${labelled === null ? "" : `, shown by ${whole(labelled)}`}`;
}
