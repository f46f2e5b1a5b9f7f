// The modules import downwards only: a tab's own folder and lib, and never in a circle.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../assets/panes/", import.meta.url));
const names = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith(".js"));
const imports = new Map(
  names.map((name) => {
    const text = readFileSync(join(ROOT, name), "utf8");
    const specifiers = [...text.matchAll(/^(?:import|export)\b[^;]*?\bfrom "([^"]+)";/gm)];
    return [name, specifiers.map(([, specifier]) => relative(ROOT, join(ROOT, dirname(name), specifier)))];
  }),
);

test("a module imports its own folder and lib", () => {
  assert.ok(names.length > 5);
  for (const [name, targets] of imports) {
    for (const target of targets) {
      assert.ok(imports.has(target), `${name} imports ${target}, which is not there`);
      assert.ok([dirname(name), "lib"].includes(dirname(target)), `${name} imports ${target}`);
    }
  }
});

test("no modules import one another in a circle", () => {
  const done = new Set();
  const visit = (name, path) => {
    assert.ok(!path.includes(name), `a circle: ${[...path, name].join(" → ")}`);
    if (done.has(name)) return;
    for (const target of imports.get(name)) visit(target, [...path, name]);
    done.add(name);
  };
  for (const name of names) visit(name, []);
});
