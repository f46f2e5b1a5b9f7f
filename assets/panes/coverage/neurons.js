// The neurons that decide: their regions, and how training and test images fall into them.

import { make } from "../lib/elements.js";
import { figure, percent, whole } from "../lib/numbers.js";
import { draw, scale } from "../lib/svg.js";

const SIZE = { width: 300, height: 110 };
const FOOT = SIZE.height - 18; // where the bars stand
const ROOM = 6; // above the highest bar

export function neuronWords({ neurons, neurons_of_layer: all, layer, rule }) {
  return (
    `The ${neurons.length} of ${whole(all)} neurons of ${layer} with the most relevance on the training ` +
    `images (rule ${rule}). Shaded stripes are the regions that their activations fall into.`
  );
}

// Show the activations of a neuron on the training images and on the chosen test set.
export function neuron(one, chosen) {
  const several = `${one.centroids.length} regions, silhouette ${one.silhouette?.toFixed(2)}`;
  const regions = one.centroids.length === 1 ? "constant in training" : several;
  const inside = one.inside[chosen].map(whole).join(" · ");
  const words = ` · ${percent(one.share)} of the relevance · ${regions} · test images: ${inside}`;
  return make(
    "figure",
    {},
    plot(one, chosen),
    make("figcaption", {}, make("b", {}, `Neuron ${one.neuron}`), words),
  );
}

function plot(one, chosen) {
  const { neuron: number, low, high, borders, centroids, training, tests } = one;
  const x = scale([low, high], [0, SIZE.width]);
  const sets = [heights(training), heights(tests[chosen])];
  const most = Math.max(...sets.flat());
  const label = (value, at, anchor) =>
    draw("text", { x: at, y: SIZE.height - 4, "text-anchor": anchor }, figure(value, 3));
  return draw(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": `Activations of neuron ${number}` },
    ...stripes([low, ...borders, high].map(x)),
    ...bars(sets[0], most, "of-training", 0.92),
    ...bars(sets[1], most, "of-test", 0.45),
    ...borders.map((border) => draw("line", { x1: x(border), x2: x(border), y1: 0, y2: FOOT, class: "border" })),
    ...centroids.map((centre) => draw("path", { d: `M${x(centre)},${FOOT}l-4,6h8z`, class: "centre" })),
    label(low, 0, "start"),
    label(high, SIZE.width, "end"),
  );
}

// Return the heights of bars: square roots of shares. Often most images are in one bar, such as that of
// 0, and with plain shares the others would be too low to see.
export function heights(counts) {
  const total = counts.reduce((sum, number) => sum + number, 0) || 1;
  return counts.map((number) => Math.sqrt(number / total));
}

function stripes(ends) {
  return ends.slice(1).map((end, region) =>
    draw("rect", {
      x: ends[region],
      width: Math.max(0, end - ends[region]),
      y: 0,
      height: FOOT,
      class: region % 2 ? "region odd" : "region",
    }),
  );
}

// Draw bars; `part` is the share of its place that a bar takes.
function bars(shares, most, kind, part) {
  const step = SIZE.width / shares.length;
  return shares.map((share, place) => {
    if (!share) return null;
    const height = (share / most) * (FOOT - ROOM);
    return draw("rect", {
      x: ((place + (1 - part) / 2) * step).toFixed(1),
      width: (part * step).toFixed(1),
      y: (FOOT - height).toFixed(1),
      height: height.toFixed(1),
      class: kind,
    });
  });
}

export function legend(test) {
  const entry = (kind, words) => make("span", {}, make("i", { class: kind }), words);
  return make(
    "p",
    { class: "key" },
    entry("of-training", "training images"),
    entry("of-test", test.name),
    make("span", {}, "Heights: square root of the share. Triangles: centres of regions."),
  );
}
