// Colours of clusters, values and angles.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BRIGHT_VIRIDIS, CATEGORIES, VIRIDIS, css, cyclic, mix, ofCluster } from "../../assets/panes/lib/colours.js";
import { RAMPS, pixel } from "../../assets/panes/heatmaps/paint.js";

test("a ramp has its stops at equal distances, and mixes in between", () => {
  const ramp = [[0, 0, 0], [100, 50, 10], [200, 0, 30]];
  assert.deepEqual(mix(ramp, 0), [0, 0, 0]);
  assert.deepEqual(mix(ramp, 0.25), [50, 25, 5]);
  assert.deepEqual(mix(ramp, 0.5), [100, 50, 10]);
  assert.deepEqual(mix(ramp, 0.75), [150, 25, 20]);
  assert.deepEqual(mix(ramp, 1), [200, 0, 30]);
  for (const stops of [VIRIDIS, BRIGHT_VIRIDIS, ...RAMPS.values()]) {
    stops.forEach((stop, place) => {
      const mixed = mix(stops, place / (stops.length - 1)).map(Math.round);
      assert.deepEqual(mixed, stop);
    });
  }
});

test("the ramps for numbers grow lighter all along", () => {
  const luminance = ([red, green, blue]) => 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
  for (const stops of [VIRIDIS, BRIGHT_VIRIDIS]) {
    const steps = Array.from({ length: 101 }, (_, step) => luminance(mix(stops, step / 100)));
    steps.slice(1).forEach((light, place) => assert.ok(light > steps[place], `step ${place + 1}`));
  }
});

test("colours are written for style sheets", () => {
  assert.equal(css([72.4, 35.5, 0]), "rgb(72 36 0)");
  assert.equal(cyclic(0), "oklch(0.68 0.13 20)");
  assert.equal(cyclic(0.5), "oklch(0.68 0.13 200)");
});

test("clusters next to one another in number are far apart in hue, and noise is grey", () => {
  const hue = (id) => Number(/hsl\((\S+) /.exec(ofCluster(id))[1]);
  for (let id = 0; id < 500; id += 1) {
    assert.ok(hue(id) >= 0 && hue(id) < 360);
    const turn = Math.abs(hue(id) - hue(id + 1));
    assert.ok(Math.min(turn, 360 - turn) > 100);
  }
  assert.equal(ofCluster(-1), "hsl(0 0% 55%)");
  assert.equal(new Set(CATEGORIES).size, 12);
});

test("a heatmap's pixel shows the image where there is no relevance, and blue where it is against", () => {
  const ramp = RAMPS.get("Grey");
  const options = { strength: 0.5, mean: false };
  assert.deepEqual(pixel(0, ramp, options), [0, 0, 0, 0]);
  assert.deepEqual(pixel(127, ramp, options), [255, 255, 255, 127.5]);
  assert.deepEqual(pixel(-127, ramp, options), [37, 99, 235, 127.5]);
  assert.deepEqual(pixel(0, ramp, { strength: 0.5, mean: true }), [0, 0, 0, 255]);
  const [, , , opacity] = pixel(32, ramp, { strength: 1, mean: false });
  assert.ok(Math.abs(opacity - 255 * Math.sqrt(32 / 127)) < 1e-9);
});
