// What the user reads when the server refuses, or does not answer: a server of the test's own says so.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { address, because, decode, get, post, reason, same } from "../../assets/panes/lib/server.js";

const requests = [];
const ANSWERS = {
  "/json": [200, '{"size": 3}'],
  "/refused": [404, '{"detail": "labels.csv: expected a column label."}'],
  "/plain": [409, "/runs/a holds another run by now."],
  "/other": [500, '{"error": 1}'],
  "/empty": [502, ""],
  "/login": [200, "<html>Log in</html>"],
};
let server;
let origin;

before(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      requests.push([request.method, request.url, request.headers["content-type"], body]);
      const [status, text] = ANSWERS[request.url];
      response.writeHead(status).end(text);
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test("what the server answers is read", async () => {
  assert.deepEqual(await get(`${origin}/json`), { size: 3 });
  await post(`${origin}/json`, { name: "ü" });
  assert.deepEqual(requests.at(-1), ["POST", "/json", "application/json", '{"name":"ü"}']);
});

test("what the server refuses is told in its words", async () => {
  const words = {
    "/refused": "labels.csv: expected a column label.",
    "/plain": "/runs/a holds another run by now.",
    "/other": '{"error": 1}',
    "/empty": "The page's server does not answer (status 502).",
  };
  for (const [path, message] of Object.entries(words)) {
    await assert.rejects(get(origin + path), { message });
    await assert.rejects(post(origin + path, {}), { message });
    assert.equal(await reason(await fetch(origin + path)), message);
  }
});

test("a page of a proxy in the place of an answer is told", async () => {
  const message = /^The page's server does not answer as expected \(.+\)\. Reload the page\.$/;
  await assert.rejects(get(`${origin}/login`), { message });
});

test("no answer is told in the same words by all that ask", async () => {
  const gone = createServer();
  await new Promise((listening) => gone.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${gone.address().port}/`;
  await new Promise((closed) => gone.close(closed));
  for (const ask of [get(url), post(url, {})]) {
    const error = await ask.catch((thrown) => thrown);
    assert.match(error.message, /^The page's server does not answer \(.+\)\.$/);
    assert.match(because("Not changed", error), /^Not changed: the page's server does not answer \(/);
  }
});

test("behind what went wrong, the server's words stay as they are", () => {
  const error = new Error("Labels.csv: expected a column label.");
  assert.equal(because("Eyes is not saved", error), "Eyes is not saved: Labels.csv: expected a column label.");
});

test("addresses are relative to the page, whatever path it is below", () => {
  assert.equal(address("k-3_y", "data"), "run/k-3_y/data");
  const page = "https://host.example/tools/safe/?run=a&cluster=1";
  assert.equal(new URL(address("key", "heatmaps/3"), page).pathname, "/tools/safe/run/key/heatmaps/3");
});

test("bytes are read from Base64, signed and unsigned", () => {
  assert.deepEqual([...decode("AH+A/w==")], [0, 127, 128, 255]);
  assert.deepEqual([...decode("AH+A/w==", Int8Array)], [0, 127, -128, -1]);
});

test("what is told once more in another object is the same, and what differs is not", () => {
  const wanted = { key: "a", busy: false };
  assert.ok(same(wanted, { ...wanted }));
  assert.ok(same(null, null));
  assert.ok(!same(wanted, { ...wanted, busy: true }));
  assert.ok(!same(wanted, null));
});
