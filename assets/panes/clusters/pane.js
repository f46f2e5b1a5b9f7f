// The result pane of the Clusters tab: the clusters of one run as tiles and on a map, and the GIF,
// explanation, words and images of the chosen one.
//
// props.value is null, or names the run to show: its `key`, and `busy` while a job explains it. Data
// comes from run/KEY/data, and the engineer's words go to run/KEY/words.

import { make, notice } from "../lib/elements.js";
import { address, get, same } from "../lib/server.js";
import { byCluster } from "./colouring.js";
import { runHead } from "./head.js";
import { fillImages, makeImages, showDetails, showImage } from "./images.js";
import { problems, rejected } from "./lists.js";
import { draw, fillKey, makeMap } from "./map.js";
import { derive, row } from "./run.js";
import { fillGif, fillExplanation, makeGif, makeExplanation } from "./explanation.js";
import { makeTiles, markTile } from "./tiles.js";
import { fillFigures, fillWords, lockWords, makeWords, save } from "./words.js";

const MILLISECONDS_TO_LOAD = 80; // a cluster that arrow keys only pass by loads no pictures
const NOTHING_OPEN =
  "Root cause clusters appear here: an animated picture of each, its images, and a map of them all.";

// Show in `element` what `props` names, now and whenever it changes.
export function open({ element, props, watch }) {
  const pane = {
    element,
    props,
    run: null, // the answer of run/KEY/data, and what is derived from it
    view: {}, // the elements of the pane that change
    chosen: null, // cluster id
    image: null, // position of the selected image in run.images, or null
    firstShown: 0, // position, among the cluster's images, of the first one on the page
    colouring: "cluster", // what the map is coloured by: a value of its list of choices
    paint: null, // the colouring itself
    loading: 0, // timer of the pictures of the chosen cluster
    unsaved: null, // words that are typed and not sent yet: {url, started, cluster, fields, timer}
    sent: Promise.resolve(), // the last request that saves words: the next one waits for it
    sending: 0, // requests that save words and are not answered yet
  };
  window.addEventListener("pagehide", () => save(pane));
  watch("value", () => show(pane));
  close(pane, notice(NOTHING_OPEN));
  if (props.value) show(pane); // else leave the page's address as it is: the server has yet to read it
}

// --- opening a run ------------------------------------------------------------------------------

async function show(pane) {
  const wanted = pane.props.value;
  if (!wanted) {
    close(pane, notice(NOTHING_OPEN));
    remember(pane);
    return;
  }
  if (wanted.busy && pane.run?.key === wanted.key) {
    lockWords(pane);
    return;
  }
  let answer;
  try {
    do {
      save(pane);
      await pane.sent; // so that the answer has them
      answer = await get(address(wanted.key, "data"));
      if (!same(pane.props.value, wanted)) return; // another run was opened meanwhile
    } while (pane.unsaved);
  } catch (error) {
    if (same(pane.props.value, wanted)) close(pane, make("div", { class: "error", role: "status" }, error.message));
    return;
  }
  close(pane, "");
  openRun(pane, derive(answer, wanted.key), wanted.busy);
}

function openRun(pane, run, busy) {
  Object.assign(pane, { run, chosen: null, image: null, colouring: "cluster", paint: byCluster(run) });
  build(pane);
  if (busy) lockWords(pane);
  if (!run.clusters.length) {
    remember(pane);
    return;
  }
  const query = new URLSearchParams(location.search);
  const id = query.get("run") === run.run ? Number(query.get("cluster") ?? NaN) : NaN;
  choose(pane, run.members.has(id) ? id : run.order[0]);
}

function close(pane, instead) {
  save(pane);
  clearTimeout(pane.loading);
  pane.run = pane.paint = null;
  pane.element.replaceChildren(instead);
}

// The address of the page names the run and the cluster, so that reloading it changes nothing.
function remember({ run, chosen }) {
  const url = new URL(location.href);
  if (run) url.searchParams.set("run", run.run);
  else url.searchParams.delete("run");
  if (run && chosen !== null) url.searchParams.set("cluster", chosen);
  else url.searchParams.delete("cluster");
  history.replaceState(history.state, "", url);
}

function build(pane) {
  const { run } = pane;
  const ending = {
    failed: `failed. ${run.message}`,
    stopped: "was stopped.",
    killed: "was killed.",
    running: "is still being written.",
  }[run.ended];
  const clustered = run.clusters.length > 0;
  pane.view = {};
  pane.element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Run ${run.name}` },
      runHead(run, (event) => report(pane, event)),
      ending ? make("div", { class: "error" }, `This run ${ending}`) : null,
      ...run.notes.map((note) => make("div", { class: "note" }, note)),
      clustered ? parts(pane) : null,
      clustered ? makeTiles(pane, (id) => choose(pane, id, { focus: true })) : null,
      run.rejected.length ? rejected(run) : null,
      run.problems.length ? problems(run) : null,
    ),
  );
  if (!clustered) return;
  fillKey(pane);
  new ResizeObserver(() => draw(pane)).observe(pane.view.canvas);
}

function parts(pane) {
  const choosePosition = (position) => select(pane, position);
  return make(
    "div",
    { class: "pane" },
    make("div", { class: "judge" }, makeGif(pane), makeWords(pane)),
    make("div", { class: "look" }, makeExplanation(pane), makeImages(pane, choosePosition)),
    makeMap(pane, choosePosition),
  );
}

// The report should have the words typed last: open it only when they are saved.
async function report(pane, event) {
  save(pane);
  if (!pane.sending) return;
  const link = event.currentTarget;
  event.preventDefault();
  await pane.sent;
  link.click();
}

// --- the chosen cluster and image ---------------------------------------------------------------

function choose(pane, id, { focus = false } = {}) {
  if (id === pane.chosen) return;
  save(pane);
  const { run } = pane;
  const cluster = row(run, id);
  const before = pane.chosen;
  pane.chosen = id;
  if (pane.image !== null && run.images.cluster[pane.image] !== id) pane.image = null;
  pane.firstShown = 0;
  fillWords(pane, cluster);
  fillExplanation(pane, cluster);
  fillFigures(pane, cluster);
  markTile(pane, before, id, focus);
  clearTimeout(pane.loading);
  pane.loading = setTimeout(() => {
    fillGif(pane, cluster);
    fillImages(pane);
  }, MILLISECONDS_TO_LOAD);
  showDetails(pane, pane.image);
  draw(pane);
  remember(pane);
}

function select(pane, position) {
  if (position === null) return;
  const before = pane.chosen;
  pane.image = position;
  choose(pane, pane.run.images.cluster[position]);
  showImage(pane, pane.chosen === before); // else the images of its cluster are still being loaded
  showDetails(pane, position);
  draw(pane);
}
