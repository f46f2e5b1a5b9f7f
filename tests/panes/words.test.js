// What panes derive from a run: sentences, orders, colourings, figures of drawings.

import assert from "node:assert/strict";
import { test } from "node:test";

import { byAngle, byNumber, rankCategories } from "../../assets/panes/clusters/colouring.js";
import { coverage } from "../../assets/panes/clusters/head.js";
import { derive, fullPath, served, shownFamilies } from "../../assets/panes/clusters/run.js";
import { shade } from "../../assets/panes/confusion/heat.js";
import { heights } from "../../assets/panes/coverage/neurons.js";
import { share } from "../../assets/panes/coverage/parts.js";
import { ticks } from "../../assets/panes/retraining/curve.js";
import { facts } from "../../assets/panes/unsafe_set/facts.js";
import { CATEGORIES, OTHERS, UNKNOWN } from "../../assets/panes/lib/colours.js";

const RUN = {
  folder: "/data/eyes",
  headline: [],
  clusters: [{ cluster: 0 }, { cluster: 1 }, { cluster: 2 }, { cluster: -1 }],
  families: [{ family: 1, clusters: [2, 0] }, { family: 2, clusters: [1] }],
  images: {
    path: ["a.png", "b.png", "c/d.png", "e.png", "f.png"],
    cluster: [0, 0, 1, 0, -1],
    part: [1, 0, 0, 0, 0],
    distance: [0.1, 0.5, 0.2, 0.5, 0.9],
  },
};

test("a run's images are by cluster, appearance by appearance, the most central first", () => {
  const run = derive(RUN, "key");
  assert.deepEqual([...run.members], [[0, [1, 3, 0]], [1, [2]], [-1, [4]]]);
  assert.deepEqual([...run.positions], RUN.images.path.map((path, position) => [path, position]));
  assert.equal(served(run, "data"), "run/key/data");
  assert.equal(fullPath(run, 2), "/data/eyes/c/d.png");
});

test("families stand together, unless the run has situations, and noise is last", () => {
  assert.deepEqual(derive(RUN, "key").order, [2, 0, 1, -1]);
  assert.deepEqual(shownFamilies(RUN).map(({ family }) => family), [1]);
  const contrasted = { ...RUN, headline: ["Three situations."] };
  assert.deepEqual(derive(contrasted, "key").order, [0, 1, 2, -1]);
  assert.deepEqual(shownFamilies(contrasted), []);
});

test("the twelve most frequent categories have colours, all others one", () => {
  const ids = Array.from({ length: 15 }, (_, id) => id);
  const of = [...ids.flatMap((id) => Array(id + 1).fill(id)), null, null];
  const { colours, keys, rows } = rankCategories(of, ids, { title: (id) => `class ${id}`, unknown: "unknown" });
  assert.deepEqual(rows[0], [CATEGORIES[0], "class 14", 15]);
  assert.deepEqual(rows.slice(-2), [[OTHERS, "3 others", 1 + 2 + 3], [UNKNOWN, "unknown", 2]]);
  const shown = (id) => (id > 2 ? CATEGORIES[14 - id] : OTHERS);
  of.forEach((id, position) => assert.equal(colours[keys[position]], id === null ? UNKNOWN : shown(id)));
});

test("numbers are coloured from the lowest to the highest, and unknown ones grey", () => {
  const paint = byNumber({ name: "sharpness" }, { values: [2, null, 10, 6] });
  const [low, unknown, high] = [0, 1, 2].map(paint.of);
  assert.deepEqual([low, unknown, high], ["rgb(72 36 117)", UNKNOWN, "rgb(223 227 24)"]);
  assert.deepEqual([0, 1, 3].map(paint.say), ["2", "unknown", "6"]);
  const flat = byNumber({ name: "sharpness" }, { values: [3, 3] });
  assert.equal(flat.of(0), flat.of(1));
});

test("angles that are a whole turn apart have one colour", () => {
  const paint = byAngle({ name: "gaze", period: 360 }, { values: [10, 370, -350, 190, null] });
  const [one, ...others] = [0, 1, 2, 3].map(paint.of);
  assert.deepEqual(others.slice(0, 2), [one, one]);
  assert.notEqual(others[2], one);
  assert.equal(paint.of(4), UNKNOWN);
  assert.equal(paint.say(1), "370°");
});

test("unsafe values are covered, not covered, or have no failing image", () => {
  const value = (clusters, images) => ({ clusters, images });
  assert.equal(coverage([value([1], 4)]), "1 of 1 unsafe value is covered by clusters");
  assert.equal(
    coverage([value([1], 4), value([], 3), value([], 0), value([], 0)]),
    "1 of 4 unsafe values is covered by clusters, 1 is not, 2 have no failing image next to them",
  );
});

test("an unsafe set is described in a few sentences", () => {
  const rows = { out: [false, true, false], outside: [true, true, false], label: ["", "open", "shut"] };
  const set = { chosen: 2, images: 1200, counted: "10 % of 12", inside: 1199, same: 0, rejected: 1, rows };
  assert.equal(
    facts(set),
    "2 images of 1,200 are chosen (10 % of 12), 1 more was taken out. 1 image of the improvement set belongs to no " +
      "cluster; 1 of those is chosen, marked “outside”. 1 file could not be used. 1 label filled in.",
  );
});

test("a share of very many combinations keeps its decimals", () => {
  assert.equal(share(null), "n/a");
  assert.equal(share(0), "0.0 %");
  assert.equal(share(1), "100.0 %");
  assert.equal(share(0.0004), "0.040 %");
  assert.equal(share(0.123), "12.3 %");
  assert.equal(share(0.9999), "99.99 %");
});

test("bars are as high as the square root of their share", () => {
  assert.deepEqual(heights([0, 0]), [0, 0]);
  assert.deepEqual(heights([1, 0, 3]), [0.5, 0, Math.sqrt(0.75)]);
});

test("the brighter a cell, the nearer or the more biased its classes", () => {
  assert.deepEqual(shade(0, "confusion"), [128, 128, 128]);
  assert.deepEqual(shade(1, "confusion"), [253, 231, 37]);
  assert.deepEqual(shade(255, "confusion"), [68, 1, 84]);
  assert.deepEqual(shade(1, "bias"), [68, 1, 84]);
  assert.deepEqual(shade(255, "bias"), [253, 231, 37]);
});

test("an axis of epochs names the first and the last", () => {
  assert.deepEqual(ticks(1), [1]);
  assert.deepEqual(ticks(3), [1, 2, 3]);
  assert.deepEqual(ticks(40), [1, 8, 16, 24, 32, 40]);
});
