// How numbers are written.

import assert from "node:assert/strict";
import { test } from "node:test";

import { clip, count, figure, large, percent, range, unbroken, whole } from "../../assets/panes/lib/numbers.js";

test("whole numbers have their thousands apart, and nouns their number", () => {
  assert.equal(whole(0), "0");
  assert.equal(whole(999), "999");
  assert.equal(whole(1234567), "1,234,567");
  assert.equal(count(0, "image"), "0 images");
  assert.equal(count(1, "image"), "1 image");
  assert.equal(count(5000, "image"), "5,000 images");
  assert.equal(count(1, "class", "classes"), "1 class");
  assert.equal(count(2, "class", "classes"), "2 classes");
});

test("a share is a percentage, with a decimal where it is small", () => {
  const written = new Map([
    [0, "0.0 %"], [0.0004, "0.04 %"], [0.002, "0.2 %"], [0.0149, "1.5 %"], [0.0999, "10.0 %"],
    [0.1, "10 %"], [0.254, "25 %"], [0.5, "50 %"], [0.994, "99 %"], [1, "100 %"], [1.2, "120 %"], [-0.25, "-25.0 %"],
  ]);
  for (const [share, text] of written) assert.equal(percent(share), text);
  assert.equal(percent(0.98765, 1), "98.8 %");
  assert.equal(percent(0.98765, 2), "98.77 %");
  assert.equal(percent(1, 2), "100.00 %");
});

test("what is not all is not written as 100 %, and what is something not as 0 %", () => {
  assert.equal(percent(0.996), "99.6 %");
  assert.equal(percent(0.9996), "99.96 %");
  assert.equal(percent(0.9996, 1), "99.96 %");
  assert.equal(percent(0.99996, 2), "99.996 %");
  assert.equal(percent(0.0004, 1), "0.04 %");
  assert.equal(percent(1e-9), "0.0000001 %");
});

test("of every share of a million images, only none and all are written as 0 % and 100 %", () => {
  const all = 1_000_000;
  for (const images of [1, 2, 7, 499, 501, 4_999, 5_001, 994_999, 995_001, 999_499, 999_501, 999_950, 999_999]) {
    for (const digits of [0, 1, 2, undefined]) {
      const value = Number.parseFloat(percent(images / all, digits));
      assert.ok(value > 0 && value < 100, `${images}: ${value}`);
      const decimals = digits ?? (images / all < 0.1 ? 1 : 0);
      assert.ok(Math.abs(value - (100 * images) / all) <= 0.5 * 10 ** -decimals + 1e-9, `${images}: ${value}`);
    }
  }
});

test("figures have four significant digits and no zeros at their end", () => {
  assert.equal(figure(0.123456), "0.1235");
  assert.equal(figure(12345), "12350");
  assert.equal(figure(2), "2");
  assert.equal(figure("0.50"), "0.5");
  assert.equal(figure(-1 / 3), "-0.3333");
  assert.equal(figure(1 / 3, 3), "0.333");
});

test("numbers beyond what numbers hold are told by their magnitude", () => {
  assert.equal(large("1024"), "1,024");
  assert.equal(large("999999999999999"), "999,999,999,999,999");
  assert.equal(large((2n ** 64n).toString()), "about 10^19");
});

test("the range of values leaves out what is unknown, and has room for many", () => {
  assert.deepEqual(range([3, null, -2, 5, null]), [-2, 5]);
  assert.deepEqual(range([null]), [Infinity, -Infinity]);
  const many = Array.from({ length: 500_000 }, (_, place) => place); // too many for Math.max(...)
  assert.deepEqual(range(many), [0, 499_999]);
});

test("texts are kept together, and cut to a length", () => {
  assert.equal(unbroken("fails 12 %, or 13 %"), "fails 12\u00a0%, or 13\u00a0%");
  assert.equal(clip("short", 5), "short");
  assert.equal(clip("longer", 5), "long…");
});
