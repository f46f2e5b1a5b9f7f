// Coordinates of drawings, and moves by keys.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nearest, place } from "../../assets/panes/lib/canvas.js";
import { step } from "../../assets/panes/lib/keyboard.js";
import { title } from "../../assets/panes/lib/names.js";
import { points, scale, stairs } from "../../assets/panes/lib/svg.js";

test("a scale maps both ends, and may turn", () => {
  const x = scale([10, 20], [0, 300]);
  assert.deepEqual([10, 15, 20].map(x), [0, 150, 300]);
  const y = scale([0, 4], [100, 20]);
  assert.deepEqual([0, 1, 4].map(y), [100, 80, 20]);
});

test("lines are written as SVG takes them", () => {
  assert.equal(points([[0, 1], [2.25, 3.14159]]), "0.0,1.0 2.3,3.1");
  assert.equal(points([]), "");
  assert.equal(stairs([0, 9], [[1, 8], [4, 2]], 6), "M0.0,9.0H1.0V8.0H4.0V2.0H6.0");
  assert.equal(stairs([0, 9], [], 6), "M0.0,9.0H6.0");
});

test("points keep their proportions, centred in their box, y upwards", () => {
  const box = { width: 220, height: 120, margin: 10 };
  assert.deepEqual(place([0, 2, 4], [0, 0, 2], box), [[10, 110], [110, 110], [210, 10]]);
  assert.deepEqual(place([0, 1], [0, 10], box), [[105, 110], [115, 10]]);
  assert.deepEqual(place([7, 7], [3, 3], box), [[110, 60], [110, 60]]);
});

test("the nearest point is the one of all by Pythagoras, within the radius", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 50; round += 1) {
    const places = Array.from({ length: 40 }, () => [100 * random(), 100 * random()]);
    const [left, top] = [100 * random(), 100 * random()];
    const distances = places.map(([x, y]) => Math.hypot(x - left, y - top));
    const least = Math.min(...distances);
    assert.equal(nearest(places, [left, top], 12), least < 12 ? distances.indexOf(least) : null);
  }
  assert.equal(nearest([], [0, 0], 12), null);
});

test("keys lead through a list and not beyond its ends", () => {
  assert.deepEqual(["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"].map((key) => step(key, 1, 5)), [2, 2, 0, 0]);
  assert.deepEqual(["ArrowRight", "ArrowDown"].map((key) => step(key, 4, 5)), [4, 4]);
  assert.deepEqual(["ArrowLeft", "ArrowUp"].map((key) => step(key, 0, 5)), [0, 0]);
  assert.deepEqual(["Home", "End"].map((key) => step(key, 2, 5)), [0, 4]);
  assert.deepEqual(["Enter", "a", "constructor"].map((key) => step(key, 2, 5)), [null, null, null]);
});

test("a cluster has the name that an engineer gave it, or its number", () => {
  assert.equal(title({ cluster: 3, name: "" }), "Cluster 3");
  assert.equal(title({ cluster: 3, name: "noise" }), "noise");
  assert.equal(title({ cluster: -1, name: "" }), "Noise");
  assert.equal(title({ cluster: -1, name: "noise" }), "Noise");
  assert.equal(title({ cluster: -1, name: "Mixed" }), "Mixed");
});
