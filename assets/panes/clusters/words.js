// The engineer's words on a cluster, which are saved as they are typed, and the cluster's figures.

import { definitions, make } from "../lib/elements.js";
import { NOISE, title } from "../lib/names.js";
import { percent, whole } from "../lib/numbers.js";
import { because, post } from "../lib/server.js";
import { row, served } from "./run.js";
import { fillLabel } from "./tiles.js";

const MILLISECONDS_TO_SAVE = 300;
const FIELDS = ["name", "verdict", "severity", "likelihood", "note"];

export function makeWords(pane) {
  const { view } = pane;
  const field = (name, label, tag, attributes = {}) => {
    view[name] = make(tag, {
      ...attributes,
      "aria-label": label,
      maxlength: tag === "select" ? null : pane.run.longest[name],
      oninput: (event) => type(pane, name, event.target.value),
      onblur: () => save(pane),
    });
    return view[name];
  };
  const labelled = (text, ...nodes) => make("div", {}, make("b", {}, text), ...nodes);
  const short = (name, label, placeholder) =>
    labelled(label, field(name, label, "input", { type: "text", placeholder }));
  view.saved = make("span", { class: "saved", role: "status" });
  view.figures = make("dl");
  return make(
    "div",
    { class: "words" },
    labelled("Name ", view.saved, field("name", "Name", "input", { type: "text" })),
    make(
      "div",
      { class: "judged" },
      labelled("Verdict", field("verdict", "Verdict", "select")),
      short("severity", "Severity", "S0 to S3"),
      short("likelihood", "Likelihood", "E0 to E4"),
    ),
    labelled("Note", field("note", "Note", "textarea", { rows: 2 })),
    view.figures,
  );
}

export function fillWords({ run, view }, cluster) {
  const verdicts = new Set(["", ...run.verdicts, cluster.verdict]); // clusters.csv may hold another
  view.verdict.replaceChildren(
    ...[...verdicts].map((verdict) => {
      const known = !verdict || run.verdicts.includes(verdict);
      return make("option", { value: verdict, disabled: !known }, verdict || "none yet");
    }),
  );
  for (const name of FIELDS) view[name].value = cluster[name];
  if (!view.saved.classList.contains("bad") && !view.name.disabled) view.saved.textContent = "";
}

export function fillFigures({ view }, cluster) {
  const { size, share, parts, groups, cores, silhouette } = cluster;
  const figures = [
    ["Images", `${whole(size)} (${percent(share)} of all)`],
    parts > 1 ? ["Appearances", `${parts}, one after the other below`] : null,
    groups === null ? null : ["Groups", whole(groups)],
    cluster.cluster === NOISE ? null : ["Core images", whole(cores)],
    silhouette === null ? null : ["Mean silhouette", silhouette.toFixed(2)],
    ["Most central", cluster.central_image],
  ];
  view.figures.replaceChildren(...definitions(figures.filter((figure) => figure)));
}

// Lock the fields while a job writes into the run: words could not be saved, and would be lost.
export function lockWords(pane) {
  save(pane);
  if (!pane.view.saved) return; // a run without clusters
  for (const name of FIELDS) pane.view[name].disabled = true;
  say(pane, "Words can be typed again when the job has finished.");
}

// Words are saved a moment after the last key.
function type(pane, name, text) {
  const { run, chosen, unsaved } = pane;
  const cluster = row(run, chosen);
  cluster[name] = text;
  fillLabel(pane, cluster);
  say(pane, "Saving …");
  clearTimeout(unsaved?.timer);
  pane.unsaved = {
    url: served(run, "words"),
    started: run.started,
    cluster: chosen,
    fields: { ...unsaved?.fields, [name]: text }, // only these: another page may have changed the others
    timer: setTimeout(() => save(pane), MILLISECONDS_TO_SAVE),
  };
}

// Save what was typed since the last request; requests keep their order.
export function save(pane) {
  if (!pane.unsaved) return;
  const { url, started, cluster, fields, timer } = pane.unsaved;
  const name = title(row(pane.run, cluster));
  clearTimeout(timer);
  pane.unsaved = null;
  const send = async () => {
    let problem = "";
    try {
      await post(url, { started, cluster, ...fields });
    } catch (error) {
      problem = because(`${name} is not saved`, error);
    }
    pane.sending -= 1;
    if (problem) say(pane, `${problem} Type again to try again.`, true);
    else if (!pane.unsaved && !pane.sending) say(pane, "Saved");
  };
  pane.sending += 1;
  pane.sent = pane.sent.then(send);
}

// Show how saving stands; an error stays until something is typed again.
function say({ view: { saved } }, text, bad = false) {
  if (!saved || (saved.classList.contains("bad") && !bad && text !== "Saving …")) return;
  saved.textContent = text;
  saved.classList.toggle("bad", bad);
}
