// The curve of loss and accuracy, epoch by epoch.

import { make } from "../lib/elements.js";
import { percent } from "../lib/numbers.js";
import { draw, scale } from "../lib/svg.js";

const SIZE = { width: 560, height: 230 };
const [LEFT, RIGHT, TOP, BOTTOM] = [46, SIZE.width - 46, 14, SIZE.height - 26];
const STEPS = 4; // parts of an axis

export function curve({ history, epochs, running }) {
  const words = caption(history, epochs, running);
  return make(
    "figure",
    { class: "curve" },
    plot(history, epochs, running, `Training: ${words}`),
    make(
      "div",
      { class: "key" },
      key("accuracy", "validation accuracy (left)"),
      key("loss", "training loss (right)"),
      key("validation-loss", "validation loss (right)"),
    ),
    make("figcaption", { role: "status" }, words),
  );
}

function caption(history, epochs, running) {
  if (!history.length) return running ? "The first epoch is running." : "No epoch was finished.";
  const best = running ? "" : `, the best is ${1 + history.findIndex((row) => row.best)}`;
  return `Epoch ${history.length} of ${epochs}${best}`;
}

function key(kind, words) {
  return make("span", {}, make("i", { class: kind }), make("span", {}, words));
}

// Draw the curve. Accuracy and loss have an axis each: the accuracy's begins near the lowest value, so that
// epochs can be compared; the loss's begins at 0.
function plot(history, epochs, running, label) {
  const accuracies = history.map((row) => row["validation accuracy"]);
  const floor = Math.max(0, Math.floor(Math.min(...accuracies, 0.9) * 10) / 10);
  const losses = history.flatMap((row) => [row.loss, row["validation loss"]]);
  const highest = Math.max(...losses, 1e-6);
  const x = scale([1, Math.max(epochs, 2)], [LEFT, RIGHT]);
  const ofLoss = scale([0, highest], [BOTTOM, TOP]);
  const ofAccuracy = scale([floor, 1], [BOTTOM, TOP]);
  const best = running ? null : history.find((row) => row.best);
  return draw(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": label },
    ...grid(floor, history.length ? highest : null),
    ...ticks(epochs).map((epoch) => text(epoch, { x: x(epoch), y: SIZE.height - 6, "text-anchor": "middle" })),
    ...line("loss", history, "loss", x, ofLoss),
    ...line("validation-loss", history, "validation loss", x, ofLoss),
    ...line("accuracy", history, "validation accuracy", x, ofAccuracy),
    best ? circle("best", [x(best.epoch), ofAccuracy(best["validation accuracy"])], 6) : null,
  );
}

function text(words, attributes) {
  return draw("text", attributes, String(words));
}

// Draw the lines of the axes, with the accuracy on the left and the loss, if any, on the right.
function grid(floor, highest) {
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const part = step / STEPS;
    const y = TOP + (BOTTOM - TOP) * part;
    return [
      draw("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, class: "grid-line" }),
      text(percent(1 - (1 - floor) * part), { x: LEFT - 6, y: y + 4, "text-anchor": "end" }),
      text(highest === null ? "" : (highest * (1 - part)).toPrecision(2), { x: RIGHT + 6, y: y + 4 }),
    ];
  }).flat();
}

// Return the epochs that the axis names: the first, and the end of every fifth of them.
export function ticks(epochs) {
  const parts = Array.from({ length: 5 }, (_, part) => Math.round(((part + 1) * epochs) / 5));
  return [...new Set([1, ...parts])].filter((epoch) => epoch >= 1);
}

function line(kind, history, value, x, y) {
  const places = history.map((row) => [x(row.epoch), y(row[value])]);
  return [
    draw("polyline", { class: kind, points: places.map((place) => place.join()).join(" ") }),
    ...places.map((place) => circle(kind, place, 2.5)),
  ];
}

function circle(kind, [cx, cy], r) {
  return draw("circle", { class: kind, cx, cy, r });
}
