// The result pane of the Retraining tab: the curve while it trains, then what retraining changed.
//
// props.value is null without an open run. Else it has the `key` of the retraining (empty where there is
// none), and `live` while that runs. Data comes from run/KEY/retraining.

import { download, head, make, notice } from "../lib/elements.js";
import { address, get, same } from "../lib/server.js";
import { accuracies } from "./accuracies.js";
import { curve } from "./curve.js";
import { repairs } from "./repairs.js";
import { strip } from "./strip.js";
import { classes, comparison, setup } from "./tables.js";

const MILLISECONDS_BETWEEN_LOOKS = 1000;

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, watch }) {
  const pane = {
    element,
    props,
    shown: "", // what is on the screen, as text: the same is not drawn again
    unfolded: new Set(), // clusters whose images are shown
  };
  watch("value", () => show(pane));
  show(pane);
}

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) {
    return close(pane, "Open a run whose unsafe set is labelled: what retraining changes is shown here.");
  }
  if (!wanted.key) {
    return close(pane, "This run's DNN has not been retrained yet. Label its unsafe set, and retrain.");
  }
  try {
    const answer = await get(address(wanted.key, "retraining"));
    if (!same(pane.props.value, wanted)) return; // another run was opened meanwhile
    draw(pane, answer, wanted.key);
  } catch (error) {
    if (!same(pane.props.value, wanted)) return;
    if (!wanted.live) return close(pane, error.message, "error");
  }
  clearTimeout(pane.looking);
  const look = () => same(pane.props.value, wanted) && show(pane);
  if (wanted.live) pane.looking = setTimeout(look, MILLISECONDS_BETWEEN_LOOKS);
}

function close(pane, words, kind) {
  pane.shown = "";
  pane.element.replaceChildren(notice(words, kind));
}

function draw(pane, answer, key) {
  const text = JSON.stringify([answer, key]);
  if (text === pane.shown) return;
  pane.shown = text;
  const { found, name } = answer;
  const heading = found ? name : `${name}: training`;
  const words = found ? make("p", { class: "facts" }, answer.sentence) : null;
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run retraining", "aria-label": `Retraining ${name}` },
      head(heading, found ? found.model : null, found && !answer.running ? links(key) : null, words),
      ...(found ? outcome(pane, answer, key) : [make("div", { class: "curves" }, curve(answer))]),
    ),
  );
}

function links(key) {
  return make(
    "nav",
    { "aria-label": "Downloads" },
    make("a", { href: address(key, "report.html"), target: "_blank" }, "Report"),
    ...["before_after.csv", "repairs.csv"].map((name) => download(address(key, `download/${name}`), name)),
  );
}

// Show what a finished retraining changed.
function outcome(pane, answer, key) {
  const { found, notes, broken, clusters, compared } = answer;
  return [
    ...notes.map((note) => make("div", { class: "note" }, note)),
    make("div", { class: "curves" }, accuracies(found.change), curve(answer)),
    repairs(found.repairs, clusters, key, pane.unfolded),
    found.change.broken
      ? make(
          "div",
          {},
          make("h3", {}, "Broken: right before, wrong now"),
          strip("Shown", broken, found.change.broken, key),
        )
      : null,
    found.classes.length ? classes(found.classes) : null,
    found.comparison ? comparison(found.comparison, compared) : null,
    setup(found),
  ];
}
