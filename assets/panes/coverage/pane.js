// The result pane of the Coverage tab: scores, neurons with their regions, combinations, growth,
// and which new images widen a test set.
//
// props.value is null, or has the `key` of the run that is open. Data comes from run/KEY/coverage.

import { close, download, head, make, select } from "../lib/elements.js";
import { count, large, percent } from "../lib/numbers.js";
import { address, get, same } from "../lib/server.js";
import { covered, missing, missingWords } from "./combinations.js";
import { criteria } from "./criteria.js";
import { curve, growth } from "./growth.js";
import { alone, images, short, widening } from "./images.js";
import { legend, neuron, neuronWords } from "./neurons.js";
import { part, share } from "./parts.js";

const NOTHING_OPEN =
  "Give a model, its training images and a test set. This pane then shows how well the test set " +
  "exercises the neurons that decide.";

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, watch }) {
  const pane = {
    element,
    props,
    run: null, // the answer of run/KEY/coverage, with its key
    chosen: 0, // position of the test set that is shown
  };
  watch("value", () => show(pane));
  show(pane);
}

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) return close(pane, NOTHING_OPEN);
  try {
    const answer = await get(address(wanted.key, "coverage"));
    if (!same(pane.props.value, wanted)) return; // another run was opened meanwhile
    if (pane.run?.key !== wanted.key) pane.chosen = 0;
    pane.run = { ...answer, key: wanted.key };
    pane.chosen = Math.min(pane.chosen, pane.run.tests.length - 1);
    build(pane);
  } catch (error) {
    if (same(pane.props.value, wanted)) close(pane, error.message, "error");
  }
}

function build(pane) {
  const { run } = pane;
  const test = run.tests[pane.chosen];
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Coverage of ${run.name}` },
      head(run.name, run.model, links(run), make("p", { class: "facts" }, facts(run, test))),
      ...run.notes.map((note) => make("p", { class: "note" }, note)),
      run.tests.length > 1 ? tests(pane) : null,
      ...parts(run, test, pane.chosen),
    ),
  );
}

function links(run) {
  const tables = ["neurons.csv", "combinations.csv", "criteria.csv", "growth.csv"];
  const names = run.widening ? [...tables, "widening.csv"] : tables;
  return make(
    "nav",
    { class: "tables", "aria-label": "Downloads" },
    ...names.map((name) => download(address(run.key, `download/${name}`), name)),
  );
}

function facts(run, test) {
  const { training } = run;
  const right = test.accuracy === null ? "" : ` The DNN is right on ${percent(test.accuracy, 1)} of them.`;
  const one = run.class === null ? "" : ` Only images of the class ${run.class} count.`;
  const bad = run.rejected ? ` ${count(run.rejected, "file")} could not be used.` : "";
  return (
    `${share(test.coverage)}: ${count(test.covered, "combination")} of ${large(run.combinations)} are covered by ` +
    `${count(test.images, "image")} of ${test.name}.${right} ` +
    `${count(training.images, "training image")} cover ${share(training.coverage)}.${one}${bad}`
  );
}

function tests(pane) {
  const options = pane.run.tests.map(({ name, coverage }, place) => [place, `${name} · ${share(coverage)}`]);
  const choose = (value) => {
    pane.chosen = Number(value);
    build(pane);
  };
  return make("div", { class: "controls" }, select("Test set", options, pane.chosen, choose));
}

function parts(run, test, chosen) {
  const neurons = run.neurons.map((one) => neuron(one, chosen));
  const combinations =
    `${count(test.covered, "combination")} of ${large(run.combinations)}. A combination has one region of each ` +
    "neuron above, in their order. Those with most images come first.";
  const shares = "All criteria are shares: the higher, the more of the DNN the test set exercises.";
  return [
    make(
      "div",
      { class: "scores" },
      part("Criteria", shares, criteria(run)),
      part("How coverage grew", growth(test), curve(test)),
    ),
    part("Neurons that decide", neuronWords(run), make("div", { class: "neurons" }, ...neurons), legend(test)),
    make(
      "div",
      { class: "combinations" },
      part("Covered combinations", combinations, covered(run, test)),
      part("Not covered", missingWords(test), missing(run, test)),
    ),
    part(
      "Images alone with their combination",
      alone(test),
      images(run, test.contributors, ({ combination }) => short(run, combination)),
    ),
    run.widening ? widening(run) : null,
  ];
}
