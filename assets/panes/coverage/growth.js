// How the number of covered combinations grew, image by image.

import { count, whole } from "../lib/numbers.js";
import { draw, points, scale, stairs } from "../lib/svg.js";

const SIZE = { width: 620, height: 240 };
const [LEFT, RIGHT, TOP, BOTTOM] = [56, SIZE.width - 12, 10, SIZE.height - 34];

// Explain the curve, and say what the second half of the images adds in a random order.
export function growth(test) {
  const half = test.expected.findLast(([images]) => 2 * images <= test.images);
  const added = test.covered - (half ? half[1] : 0);
  return (
    "Line: the images in the order of their paths. Dashes: what is expected in a random order, whose " +
    `second half of images adds ${added.toFixed(1)} combinations.`
  );
}

export function curve(test) {
  const x = scale([0, test.images], [LEFT, RIGHT]);
  const y = scale([0, Math.max(1, test.covered)], [BOTTOM, TOP]);
  const placed = (pairs) => pairs.map(([images, combinations]) => [x(images), y(combinations)]);
  const marks = [...new Set([0, Math.round(test.covered / 2), test.covered])];
  const path = stairs([x(0), y(0)], placed(test.growth), x(test.images));
  const label = `Combinations covered by ${test.name}, image by image`;
  return draw(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", class: "curve", "aria-label": label },
    ...marks.map((mark) => draw("line", { x1: LEFT, x2: RIGHT, y1: y(mark), y2: y(mark), class: "rule" })),
    ...marks.map((mark) => draw("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, whole(mark))),
    draw("polyline", { points: points(placed(test.expected)), class: "expected" }),
    draw("path", { d: path, class: "grown" }),
    draw("text", { x: LEFT, y: BOTTOM + 16, "text-anchor": "middle" }, "0"),
    draw("text", { x: RIGHT, y: BOTTOM + 16, "text-anchor": "end" }, count(test.images, "image")),
  );
}
