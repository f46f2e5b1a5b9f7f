// The head of a run: its result in a sentence, links, and which unsafe values its clusters cover.

import { download, head, make } from "../lib/elements.js";
import { NOISE, title } from "../lib/names.js";
import { count, percent, unbroken, whole } from "../lib/numbers.js";
import { listing } from "./lists.js";
import { row, served, shownFamilies } from "./run.js";

// `report` is called with the click on the link to the report.
export function runHead(run, report) {
  const used = run.images.path.length;
  const header = head(
    run.name,
    run.folder,
    used ? links(run, report) : null,
    make("p", { class: "facts" }, used ? facts(run, used) : "No clusters."),
  );
  if (run.unsafe_values.length) header.append(unsafeValues(run));
  return header;
}

function links(run, report) {
  const href = served(run, "report.html");
  return make(
    "nav",
    { "aria-label": "Report and downloads" },
    make("a", { href, target: "_blank", rel: "noopener", onclick: report }, "Report"),
    download(served(run, "download/labels.txt"), "labels.txt"),
    download(served(run, "download/clusters.csv"), "clusters.csv"),
    download(served(run, "gifs.zip"), "GIFs (ZIP)"),
  );
}

function facts(run, used) {
  if (run.headline.length) return unbroken(run.headline.join(" "));
  const clusters = run.clusters.filter(({ cluster }) => cluster !== NOISE).length;
  const noise = run.members.get(NOISE)?.length ?? 0;
  const related = shownFamilies(run).length > 0;
  const families = related ? ` in ${count(run.families.length, "family", "families")}` : "";
  const ofFamilies = related ? `, five of each family ${percent(run.family_share)}` : "";
  return (
    `${count(clusters, "root cause cluster")}${families} of ${count(used, "image")}; ` +
    `${count(noise, "image")} (${percent(noise / used)}) ${noise === 1 ? "is" : "are"} noise. ` +
    (run.inspection_share
      ? `Five images of each cluster make up ${percent(run.inspection_share)} of all images${ofFamilies}.`
      : "")
  );
}

// --- unsafe values ------------------------------------------------------------------------------

function unsafeValues(run) {
  const table = listing(
    ["Unsafe value", "Failing images", "Clusters next to it"],
    run.unsafe_values,
    ({ words, images, clusters }) => [
      words,
      whole(images),
      clusters.map((id) => title(row(run, id))).join(", ") || (images ? "none" : ""),
    ],
  );
  return make("details", { class: "unsafe" }, make("summary", {}, coverage(run.unsafe_values)), table);
}

// Say how many unsafe values have a cluster next to them. One without failing images next to it
// cannot have any, and is counted by itself.
export function coverage(values) {
  const is = (number) => (number === 1 ? "is" : "are");
  const covered = values.filter(({ clusters }) => clusters.length).length;
  const unmet = values.filter(({ clusters, images }) => !clusters.length && !images).length;
  const open = values.length - covered - unmet;
  const [has, it] = unmet === 1 ? ["has", "it"] : ["have", "them"];
  const parts = [
    `${covered} of ${count(values.length, "unsafe value")} ${is(covered)} covered by clusters`,
    open ? `${open} ${is(open)} not` : "",
    unmet ? `${unmet} ${has} no failing image next to ${it}` : "",
  ];
  return parts.filter(Boolean).join(", ");
}
