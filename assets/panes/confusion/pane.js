// The result pane of the Confusion and bias tab: ranked pairs of classes, their distances as a heat
// map and as a map, and the images of a chosen pair.
//
// props.value is null, or has the `key` of the inspection that is open. Data comes from
// run/KEY/inspection and run/KEY/pair/A/B. Brighter cells are more error-prone: nearer or more biased.

import { close, head, make, notice } from "../lib/elements.js";
import { count } from "../lib/numbers.js";
import { address, decode, get, same } from "../lib/server.js";
import { cellAt, drawHeat, tellCell } from "./heat.js";
import { judgement } from "./judgement.js";
import { KINDS, hasBias } from "./kinds.js";
import { drawMap, tellClass } from "./map.js";
import { pairParts } from "./pair.js";
import { ranking } from "./ranking.js";

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, trigger, watch }) {
  const pane = {
    element,
    props,
    trigger,
    run: null, // the answer of run/KEY/inspection, with its key
    view: {}, // the elements of the pane that change
    kind: "confusion",
    chosen: null, // [a, b], positions of classes
    requests: 0, // requests for a pair so far: only the answer to the last one is shown
  };
  watch("value", () => show(pane));
  show(pane);
}

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) return close(pane, "Inspect a classifier: its pairs of classes are shown here.");
  if (pane.run?.key === wanted.key && pane.run.changed === wanted.changed) return draw(pane);
  try {
    const answer = await get(address(wanted.key, "inspection"));
    if (!same(pane.props.value, wanted)) return; // another was opened meanwhile
    pane.run = { ...answer, ...wanted };
    for (const matrix of Object.values(pane.run.matrices)) matrix.levels = decode(matrix.data);
    if (!hasBias(pane.run)) pane.kind = "confusion";
    const [first] = pane.run.pairs[pane.kind];
    pane.chosen = first ? [first.a, first.b] : null;
    build(pane);
  } catch (error) {
    if (same(pane.props.value, wanted)) close(pane, error.message, "error");
  }
}

function build(pane) {
  const { run } = pane;
  const view = {
    kinds: make("div", { class: "kinds", role: "group", "aria-label": "What is ranked" }),
    list: make("div", { class: "ranked" }),
    heat: make("canvas", { role: "img" }),
    heatWords: make("figcaption", { role: "status" }),
    map: make("canvas", { role: "img" }),
    mapWords: make("figcaption", { role: "status" }),
    pair: make("div", { class: "pair" }),
    judged: make("div", {}),
  };
  pane.view = view;
  listen(pane);
  const source = run.parameters.model || run.parameters.distances || "";
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Confusion and bias of ${run.name}` },
      head(run.name, source, null, make("p", { class: "facts" }, facts(run.result))),
      run.notes.length ? make("ul", { class: "notes" }, ...run.notes.map((note) => make("li", {}, note))) : null,
      view.kinds,
      make(
        "div",
        { class: "pairs" },
        view.list,
        make("figure", {}, view.heat, view.heatWords),
        make("figure", {}, view.map, view.mapWords),
      ),
      view.pair,
      view.judged,
    ),
  );
  new ResizeObserver(() => draw(pane)).observe(view.heat);
  switchTo(pane, pane.kind);
  load(pane);
}

function facts(result) {
  const { pairs, classes, confusion, bias, confused_images: confused } = result;
  const sentence = [
    `${count(pairs, "pair")} of ${count(classes, "class", "classes")}`,
    `${count(confusion.one_sd, "pair")} likely confused`,
    bias ? `${count(bias.one_sd, "pair")} likely biased` : null,
    "confused_images" in result ? `${count(confused, "image")} confused between two classes` : "no labels",
  ];
  return `${sentence.filter((fact) => fact).join(" · ")}.`;
}

function listen(pane) {
  const { heat, map } = pane.view;
  heat.addEventListener("mousemove", (event) => {
    const pair = cellAt(pane, event);
    heat.style.cursor = pair ? "pointer" : "";
    say(pane, pair ? tellCell(pane, pair) : null);
  });
  heat.addEventListener("click", (event) => {
    const pair = cellAt(pane, event);
    if (pair) choose(pane, pair);
  });
  map.addEventListener("mousemove", (event) => say(pane, null, tellClass(pane, event)));
  for (const canvas of [heat, map]) canvas.addEventListener("mouseleave", () => say(pane));
}

function switchTo(pane, next) {
  const { run, view } = pane;
  pane.kind = next;
  const kinds = hasBias(run) ? Object.keys(KINDS) : ["confusion"];
  const button = (kind) => {
    const attributes = { type: "button", "aria-pressed": String(kind === next), onclick: () => switchTo(pane, kind) };
    return make("button", attributes, KINDS[kind].title);
  };
  view.kinds.replaceChildren(...kinds.map(button));
  view.list.replaceChildren(...ranking(pane, (pair) => choose(pane, pair)));
  view.judged.replaceChildren(...judgement(run, next));
  draw(pane);
}

function choose(pane, pair) {
  const { list } = pane.view;
  pane.chosen = [Math.min(...pair), Math.max(...pair)];
  const scroll = list.querySelector(".scroll").scrollTop;
  list.replaceChildren(...ranking(pane, (other) => choose(pane, other)));
  list.querySelector(".scroll").scrollTop = scroll;
  draw(pane);
  load(pane);
}

function draw(pane) {
  if (!pane.run || !pane.view.heat?.clientWidth) return;
  drawHeat(pane);
  drawMap(pane);
  say(pane);
}

function say({ view, kind }, cell = null, point = null) {
  view.heatWords.textContent = cell ?? `${KINDS[kind].picture}; classes by similarity. Click a cell.`;
  view.mapWords.textContent = point ?? "Near classes have a small distance. Lines join reported pairs.";
}

async function load(pane) {
  const { run, view } = pane;
  const mine = (pane.requests += 1);
  if (!pane.chosen) return;
  const [a, b] = pane.chosen;
  try {
    const pair = await get(address(run.key, `pair/${a}/${b}`));
    if (mine !== pane.requests) return;
    const sent = { key: run.key, changed: run.changed, a: pair.a, b: pair.b };
    view.pair.replaceChildren(...pairParts(run, pair, () => pane.trigger("submit", sent)));
  } catch (error) {
    if (mine === pane.requests) view.pair.replaceChildren(notice(error.message, "error"));
  }
}
