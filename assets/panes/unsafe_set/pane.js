// The result pane of the Unsafe set tab: the chosen new images beside the images of their clusters.
//
// props.value is null, or describes the run that is open: its `key`, and whether its unsafe set is
// `selected`. Data comes from run/KEY/data and run/KEY/unsafe; changes go to run/KEY/recut, which
// answers as run/KEY/unsafe does.

import { download, head, make, notice } from "../lib/elements.js";
import { whole } from "../lib/numbers.js";
import { address, because, get, parse, post, same } from "../lib/server.js";
import { facts } from "./facts.js";
import { fillGroups } from "./groups.js";

const MILLISECONDS_TO_CUT = 250;
const NOTHING_SELECTED =
  "This run has no unsafe set yet. Give a folder of new images: those that belong to a root " +
  "cause cluster are shown here, beside the images of that cluster.";

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, watch }) {
  const pane = {
    element,
    props,
    run: null, // the answer of run/KEY/data, with its key
    set: null, // the answer of run/KEY/unsafe
    view: {}, // the elements of the pane that change
    unfolded: new Set(), // clusters of which all images are shown
    timer: 0, // of a number that is still being chosen
    sent: Promise.resolve(), // the last change sent: the next one waits for it
    sending: 0, // changes that are not answered yet
    changes: 0, // changes made so far: an answer that was requested before the last one is out of date
    change: (what) => change(pane, what),
  };
  watch("value", () => show(pane));
  show(pane);
}

// --- opening an unsafe set ----------------------------------------------------------------------

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) return close(pane, "Open a run: the new images that are worth a label are shown here.");
  if (!wanted.selected) return close(pane, NOTHING_SELECTED);
  try {
    const answers = await read(pane, wanted);
    if (answers) openSet(pane, { ...answers[0], key: wanted.key }, answers[1]);
  } catch (error) {
    if (same(pane.props.value, wanted)) close(pane, error.message, "error");
  }
}

// Fetch the run and its unsafe set after the last change; null where another run was opened meanwhile.
async function read(pane, wanted) {
  for (;;) {
    await pane.sent;
    const before = pane.changes;
    const answers = await Promise.all(["data", "unsafe"].map((name) => get(address(wanted.key, name))));
    if (!same(pane.props.value, wanted)) return null;
    if (pane.changes === before) return answers;
  }
}

function openSet(pane, run, set) {
  if (JSON.stringify([run, set]) === JSON.stringify([pane.run, pane.set])) return;
  if (pane.run?.key !== run.key) pane.unfolded = new Set();
  Object.assign(pane, { run, set });
  build(pane);
}

function close(pane, words, kind) {
  pane.run = pane.set = null;
  pane.element.replaceChildren(notice(words, kind));
}

// --- the pane -----------------------------------------------------------------------------------

function build(pane) {
  const { run, set } = pane;
  pane.view = {
    facts: make("p", { class: "facts" }),
    remarks: make("div"),
    groups: make("div", { class: "groups" }),
    saved: make("span", { class: "saved", role: "status" }),
    slider: field(pane, { type: "range", min: 1, max: set.images, step: 1, "aria-label": "Images to choose" }),
    // Text: in a field of type "number" browsers drop a comma, and 1,5 becomes 15.
    number: field(pane, { type: "text", inputmode: "numeric", "aria-label": "Number of images to choose" }),
  };
  const { view } = pane;
  const links = ["IS_filenames.txt", "unsafe_set.csv"].map((name) =>
    download(address(run.key, `download/${name}`), name),
  );
  const heading = `Unsafe set of ${run.name}`;
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": heading },
      head(heading, set.folder, make("nav", { "aria-label": "Downloads" }, ...links), view.facts),
      view.remarks,
      make(
        "div",
        { class: "number" },
        make("b", {}, "Images to choose"),
        view.slider,
        view.number,
        make("span", { class: "of" }, `of ${whole(set.images)}`),
        view.saved,
      ),
      view.groups,
    ),
  );
  fill(pane);
}

function field(pane, attributes) {
  return make("input", { ...attributes, oninput: (event) => chooseCount(pane, event.target) });
}

// Slider and number show the same count; the set changes a moment after the last move.
function chooseCount(pane, moved) {
  clearTimeout(pane.timer);
  const text = moved.value.trim();
  if (!text) return; // while another number is typed
  const plain = /^\d{1,15}$/.test(text);
  const count = plain ? Math.min(Number(text), pane.set.images) : text; // the server says what is wrong with a text
  if (plain) for (const other of [pane.view.slider, pane.view.number]) if (other !== moved) other.value = count;
  say(pane, "Choosing …");
  pane.timer = setTimeout(() => change(pane, { count }), MILLISECONDS_TO_CUT);
}

function change(pane, what) {
  const { key } = pane.run;
  const { measured } = pane.set;
  pane.sending += 1;
  pane.changes += 1;
  say(pane, "Choosing …");
  pane.sent = pane.sent.then(async () => {
    let problem = "";
    let answer = null;
    try {
      answer = await parse(await post(address(key, "recut"), { measured, ...what }));
    } catch (error) {
      problem = because("Not changed", error);
    }
    pane.sending -= 1;
    if (pane.run?.key !== key || pane.set?.measured !== measured) return;
    if (answer) pane.set = answer;
    if (!pane.sending) fill(pane);
    if (problem) say(pane, problem, true);
    else if (!pane.sending) say(pane, "Saved");
  });
}

function say({ view }, text, bad = false) {
  view.saved.textContent = text;
  view.saved.classList.toggle("bad", bad);
}

// Show the set as it is now.
function fill(pane) {
  const { set, view } = pane;
  view.facts.textContent = facts(set);
  view.remarks.replaceChildren(...set.remarks.map((remark) => make("div", { class: "note" }, remark)));
  for (const number of [view.slider, view.number]) {
    // A comparison with text that is no number is false, too: such text stays.
    const typed = document.activeElement === number && !(Number(number.value) > set.images);
    if (!typed) number.value = Math.min(set.count, set.images);
  }
  fillGroups(pane);
}
