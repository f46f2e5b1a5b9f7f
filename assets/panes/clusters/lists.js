// Lists below a run: files that could not be used, and remarks on the parameter tables.

import { download, make, table } from "../lib/elements.js";
import { count, whole } from "../lib/numbers.js";
import { served } from "./run.js";

const ROWS_SHOWN = 1000;

// Make a table of the first rows; `cells` returns the texts of a row.
export function listing(titles, all, cells) {
  return table(titles, all.slice(0, ROWS_SHOWN).map(cells));
}

export function rejected(run) {
  return unfolding(
    "rejected",
    `${count(run.rejected.length, "file")} could not be used`,
    listing(["File", "Reason"], run.rejected, (pair) => pair),
    run.rejected.length,
    download(served(run, "download/rejected.txt"), "rejected.txt"),
  );
}

export function problems(run) {
  const cells = ({ file, row, column, what }) => [file, row || "", column, what];
  return unfolding(
    "problems",
    aboutTables(run.problems),
    listing(["Table", "Line", "Column", "Problem"], run.problems, cells),
    run.problems.length,
  );
}

function aboutTables(all) {
  const unused = all.reduce((sum, { count: entries, used }) => sum + (used ? 0 : entries), 0);
  if (!unused) return "Remarks on the parameter tables";
  return `${count(unused, "entry", "entries")} of the parameter tables could not be used`;
}

function unfolding(name, summary, content, length, link = null) {
  const more = length - ROWS_SHOWN;
  return make(
    "details",
    { class: `listed ${name}`, open: length <= 5 },
    make("summary", {}, summary),
    content,
    make("p", {}, more > 0 ? `and ${whole(more)} more ` : "", link),
  );
}
