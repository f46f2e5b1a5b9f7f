// Drawing on a canvas, sharp on every screen, and maps of points.

import { range } from "./numbers.js";

// Size a canvas to its place on the screen, and return its context; the unit is a CSS pixel.
export function pen(node) {
  const ratio = window.devicePixelRatio || 1;
  node.width = Math.round(node.clientWidth * ratio);
  node.height = Math.round(node.clientHeight * ratio);
  const context = node.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

// Place points in a box, centred, y upwards; both axes have the same scale.
export function place(xs, ys, { width, height, margin }) {
  const [left, right] = range(xs);
  const [bottom, top] = range(ys);
  const scale = Math.min(
    (width - 2 * margin) / (right - left || 1),
    (height - 2 * margin) / (top - bottom || 1),
  );
  return xs.map((x, position) => [
    width / 2 + (x - (left + right) / 2) * scale,
    height / 2 - (ys[position] - (bottom + top) / 2) * scale,
  ]);
}

// Return the position of the point nearest to a place, or null where none is within `radius`.
export function nearest(places, [left, top], radius) {
  let best = null;
  let distance = radius ** 2;
  places.forEach(([x, y], position) => {
    const away = (x - left) ** 2 + (y - top) ** 2;
    if (away < distance) [best, distance] = [position, away];
  });
  return best;
}
