// The result pane of the Clusters tab: GIF, what is said of it, tiles, words and images of one run.
//
// Gradio runs this, elements.js and map.js as one script, once, with `element` (empty), `props` and
// `watch`.
// props.value is null, or tells of the run to show: its `key`, and whether it is `busy`, because a
// job explains it. Data comes from run/KEY/data, and words go to run/KEY/words; what a run says
// (file names, columns, cluster names, notes) only ever enters the page as text, never as HTML.

const IMAGES_A_PAGE = 48;
const ROWS_SHOWN = 1000;
const SAID_AT_ONCE = 3;
const MILLISECONDS_TO_SAVE = 300;
const MILLISECONDS_TO_LOAD = 80; // clusters that are only passed on the way load no pictures
const MARKS = new Map([["plausible cause", "✓"], ["several causes", "2+"], ["unclear", "?"]]);
const NOTHING_OPEN =
  "Root cause clusters appear here: an animated picture of each, its images, and a map of them all.";

let run = null; // what run/KEY/data answers, and what is derived from it
let view = {}; // the parts of the pane that change
let chosen = null; // cluster id
let image = null; // position of the selected image in run.images, or null
let firstShown = 0; // position, among the cluster's images, of the first one on the page
let unsaved = null; // words that are typed and not sent yet: {url, started, cluster, fields, timer}
let loading = 0; // timer of the pictures of the chosen cluster
let sent = Promise.resolve(); // the last words sent: words reach the server in their order
let sending = 0; // how many words are on their way

const address = (name) => `run/${run.key}/${name}`;
const full = (position) => `${run.folder}/${run.images.path[position]}`;
const row = (id) => run.clusters.find((cluster) => cluster.cluster === id);
// A cluster by itself needs no bracket; where kinds are told, these have the brackets.
const isShown = (family) => family.clusters.length > 1 && !run.headline.length;

// --- opening a run ------------------------------------------------------------------------------

async function show() {
  const wanted = props.value;
  if (!wanted) {
    close();
    remember();
    return;
  }
  if (wanted.busy && run?.key === wanted.key) {
    rest();
    return;
  }
  let answer;
  do {
    save();
    await sent; // a run that is opened again has them by then
    try {
      const response = await fetch(`run/${wanted.key}/data`);
      answer = response.ok ? await response.json() : { error: await reason(response) };
    } catch (error) {
      answer = { error: `The page's server does not answer (${error.message}).` };
    }
    if (props.value !== wanted) return; // another run was opened meanwhile
  } while (unsaved);
  if (answer.error) {
    close(make("div", { class: "error", role: "status" }, answer.error));
    return;
  }
  close();
  run = { ...answer, key: wanted.key, members: new Map(), positions: new Map(), values: new Map() };
  run.images.path.forEach((path, position) => {
    const id = run.images.cluster[position];
    if (!run.members.has(id)) run.members.set(id, []);
    run.members.get(id).push(position);
    run.positions.set(path, position);
  });
  for (const members of run.members.values()) {
    const { part, distance } = run.images;
    members.sort((a, b) => part[a] - part[b] || distance[a] - distance[b] || a - b);
  }
  run.order = order();
  chosen = image = null;
  build();
  if (wanted.busy) rest();
  if (run.clusters.length) {
    const asked = new URLSearchParams(location.search);
    const id = asked.get("run") === run.run ? Number(asked.get("cluster") ?? NaN) : NaN;
    choose(run.members.has(id) ? id : run.order[0]);
  } else {
    remember();
  }
}

// The clusters as they are shown: family by family, the largest first, and noise last.
function order() {
  const ids = run.clusters.map((cluster) => cluster.cluster); // noise is their last
  const related = run.headline.length ? [] : run.families.flatMap((family) => family.clusters);
  return [...new Set([...related, ...ids])];
}

// A job writes into the run: words could not be saved, and would be lost.
function rest() {
  save();
  for (const field of view.fields ?? []) field.disabled = true;
  say("Words can be typed again when the job has finished.");
}

function close(instead = make("p", { class: "empty" }, NOTHING_OPEN)) {
  save();
  clearTimeout(loading);
  run = paint = null;
  element.replaceChildren(instead);
}

// The address of the page names the run and the cluster, so that reloading it changes nothing.
function remember() {
  const url = new URL(location.href);
  if (run) url.searchParams.set("run", run.run);
  else url.searchParams.delete("run");
  if (run && chosen !== null) url.searchParams.set("cluster", chosen);
  else url.searchParams.delete("cluster");
  history.replaceState(history.state, "", url);
}

function build() {
  view = {};
  const how = {
    failed: `failed. ${run.message}`,
    stopped: "was stopped.",
    killed: "was killed.",
    running: "is still being written.",
  }[run.ended];
  const found = run.clusters.length;
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Run ${run.name}` },
      head(),
      how ? make("div", { class: "error" }, `This run ${how}`) : null,
      ...run.notes.map((note) => make("div", { class: "note" }, note)),
      found ? pane() : null,
      found ? tiles() : null,
      run.rejected.length ? rejected() : null,
      run.problems.length ? problems() : null,
    ),
  );
  if (!found) return;
  fillKey();
  new ResizeObserver(draw).observe(view.canvas);
}

function pane() {
  return make(
    "div",
    { class: "pane" },
    make("div", { class: "judge" }, gif(), words()),
    make("div", { class: "look" }, said(), images()),
    map(),
  );
}

function head() {
  const used = run.images.path.length;
  const download = (name, text) => make("a", { href: address(name), download: true }, text);
  return make(
    "header",
    {},
    make("div", { class: "title" }, make("h2", {}, run.name), make("p", { class: "path" }, run.folder)),
    used
      ? make(
          "nav",
          { "aria-label": "Report and downloads" },
          make(
            "a",
            { href: address("report.html"), target: "_blank", rel: "noopener", onclick: report },
            "Report",
          ),
          download("download/labels.txt", "labels.txt"),
          download("download/clusters.csv", "clusters.csv"),
          download("gifs.zip", "GIFs (ZIP)"),
        )
      : null,
    make("p", { class: "facts" }, used ? facts(used) : "No clusters."),
    run.unsafe_values.length ? unsafe() : null,
  );
}

function facts(used) {
  if (run.headline.length) return whole(run.headline.join(" "));
  const clusters = run.clusters.filter((cluster) => cluster.cluster !== NOISE).length;
  const noise = run.members.get(NOISE)?.length ?? 0;
  const related = run.families.some(isShown);
  const families = related ? ` in ${count(run.families.length, "family", "families")}` : "";
  const ofFamilies = related ? `, of each family ${percent(run.family_share)}` : "";
  return (
    `${count(clusters, "root cause cluster")}${families} of ${count(used, "image")}; ` +
    `${count(noise, "image")} (${percent(noise / used)}) ${noise === 1 ? "is" : "are"} noise. ` +
    (run.inspection_share
      ? `Five images of each cluster are ${percent(run.inspection_share)}${ofFamilies} of all.`
      : "")
  );
}

// A figure and its percent sign stay on one line.
const whole = (text) => text.replaceAll(" %", "\u00a0%");

// The report is to have the words that were typed last: it opens when they are saved.
async function report(event) {
  save();
  if (!sending) return;
  const link = event.currentTarget;
  event.preventDefault();
  await sent;
  link.click();
}

function unsafe() {
  const number = (kind) => run.unsafe_values.filter((value) => covered(value) === kind).length;
  const [yes, no, unmet] = ["yes", "no", "unmet"].map(number);
  const summary = [
    `${yes} of ${count(run.unsafe_values.length, "unsafe value")} ${yes === 1 ? "is" : "are"} covered by clusters`,
    no ? `${no} ${no === 1 ? "is" : "are"} not` : "",
    unmet ? `${unmet} ${unmet === 1 ? "has" : "have"} no failing image next to ${unmet === 1 ? "it" : "them"}` : "",
  ];
  const table = rows(
    ["Unsafe value", "Failing images", "Clusters next to it"],
    run.unsafe_values,
    ({ words, images, clusters }) => [
      words,
      images.toLocaleString("en"),
      clusters.map((id) => title(row(id))).join(", ") || (images ? "none" : ""),
    ],
  );
  const words = summary.filter(Boolean).join(", ");
  return make("details", { class: "unsafe" }, make("summary", {}, words), table);
}

// Whether a cluster lies next to an unsafe value; none can where no failing image does.
function covered({ clusters, images }) {
  if (clusters.length) return "yes";
  return images ? "no" : "unmet";
}

function rejected() {
  return listed(
    "rejected",
    `${count(run.rejected.length, "file")} could not be used`,
    rows(["File", "Reason"], run.rejected, (pair) => pair),
    run.rejected,
    make("a", { href: address("download/rejected.txt"), download: true }, "rejected.txt"),
  );
}

function aboutTables() {
  const unused = run.problems.reduce((sum, { count, used }) => sum + (used ? 0 : count), 0);
  if (!unused) return "Remarks on the parameter tables";
  const entries = `${unused.toLocaleString("en")} ${unused === 1 ? "entry" : "entries"}`;
  return `${entries} of the parameter tables could not be used`;
}

function problems() {
  const cells = ({ file, row, column, what }) => [file, row || "", column, what];
  return listed(
    "problems",
    aboutTables(),
    rows(["Table", "Line", "Column", "Problem"], run.problems, cells),
    run.problems,
  );
}

function listed(name, summary, table, all, link = null) {
  const more = all.length - ROWS_SHOWN;
  return make(
    "details",
    { class: `listed ${name}`, open: all.length <= 5 },
    make("summary", {}, summary),
    table,
    make("p", {}, more > 0 ? `and ${more.toLocaleString("en")} more ` : "", link),
  );
}

function rows(titles, all, cells) {
  const line = (tag, texts) => make("tr", {}, ...texts.map((text) => make(tag, {}, text)));
  const shown = all.slice(0, ROWS_SHOWN).map((one) => line("td", cells(one)));
  return make("table", {}, make("thead", {}, line("th", titles)), make("tbody", {}, ...shown));
}

// --- the chosen cluster -------------------------------------------------------------------------

function choose(id, { focus = false } = {}) {
  if (id === chosen) return;
  save();
  const before = view.tile.get(chosen);
  const tile = view.tile.get(id);
  chosen = id;
  if (image !== null && run.images.cluster[image] !== id) image = null;
  firstShown = 0;
  const cluster = row(id);
  fillWords(cluster);
  fillSaid(cluster);
  fillFigures(cluster);
  before?.setAttribute("aria-selected", false);
  if (before) before.tabIndex = -1;
  tile.setAttribute("aria-selected", true);
  tile.tabIndex = 0;
  if (focus) tile.focus({ preventScroll: true });
  scrollTo(tile);
  clearTimeout(loading);
  loading = setTimeout(() => {
    fillGif(cluster);
    fillImages();
  }, MILLISECONDS_TO_LOAD);
  tell(image);
  draw();
  remember();
}

function scrollTo(tile) {
  const strip = view.tiles.getBoundingClientRect();
  const { left, right, width } = tile.getBoundingClientRect();
  if (left < strip.left || right > strip.right) {
    view.tiles.scrollLeft += left - strip.left - (strip.width - width) / 2;
  }
}

function gif() {
  view.gif = make("img", {});
  view.caption = make("figcaption");
  return make("figure", { class: "gif" }, view.gif, view.caption);
}

function fillGif(cluster) {
  view.gif.src = address(cluster.gif);
  view.gif.alt = `Animated images of ${title(cluster)}`;
  const frames = Math.min(cluster.size, 100);
  view.caption.textContent =
    `${frames < cluster.size ? `${frames} of ${cluster.size}` : count(frames, "image")}, most central first`;
}

function fillFigures(cluster) {
  const figures = [
    ["Images", `${cluster.size.toLocaleString("en")} (${percent(cluster.share)} of all)`],
    cluster.parts > 1 ? ["Appearances", `${cluster.parts}, one after the other below`] : null,
    cluster.groups === null ? null : ["Groups", cluster.groups.toLocaleString("en")],
    cluster.cluster === NOISE ? null : ["Core images", cluster.cores.toLocaleString("en")],
    cluster.silhouette === null ? null : ["Mean silhouette", cluster.silhouette.toFixed(2)],
    ["Most central", cluster.central_image],
  ].filter((figure) => figure);
  view.figures.replaceChildren(
    ...figures.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
}

// What is said of the images of the cluster: nothing where there is nothing to say.
function said() {
  view.said = make("section", { class: "said", "aria-label": "What its images share" });
  return view.said;
}

function fillSaid(cluster) {
  const parameter = ({ parameter, words }) => {
    const rest = words.startsWith(parameter) ? words.slice(parameter.length) : ` ${words}`;
    return make("li", {}, make("b", {}, parameter), rest);
  };
  const confusion = ({ label, prediction, images }) =>
    make("li", {}, `${label} taken for ${prediction}: ${count(images, "image")}`);
  const hint = (words) => make("li", { class: "hint" }, words);
  const unsafe = (words) => make("li", {}, `Next to ${words}`);
  const family = run.families.find((each) => each.family === cluster.family && isShown(each));
  view.said.replaceChildren(
    ...part("Failure rate", "rate", cluster.rate ? [make("li", {}, whole(cluster.rate))] : []),
    ...part("Pictures", "hints", cluster.hints.map(hint)),
    ...part("Parameters", "parameters", cluster.parameters.map(parameter)),
    ...part("Confusions", "confusions", cluster.confusions.map(confusion)),
    ...part("Unsafe values", "values", cluster.unsafe_values.map(unsafe)),
    ...part(
      "Family",
      "kin",
      family
        ? [make("li", {}, called(family)), ...family.hints.map(hint), ...family.parameters.map(parameter)]
        : [],
    ),
  );
}

function part(title, name, items) {
  if (!items.length) return [];
  const more = items.slice(SAID_AT_ONCE);
  return [
    make("h3", {}, title),
    make(
      "div",
      {},
      make("ul", { class: name, "aria-label": title }, ...items.slice(0, SAID_AT_ONCE)),
      more.length
        ? make("details", {}, make("summary", {}, `${more.length} more`), make("ul", { class: name }, ...more))
        : null,
    ),
  ];
}

function called({ family, clusters, size }) {
  return `Family ${family} · ${clusters.length} clusters · ${count(size, "image")}`;
}

function words() {
  const field = (name, label, tag, attributes = {}) => {
    view[name] = make(tag, {
      ...attributes,
      "aria-label": label,
      maxlength: tag === "select" ? null : run.longest[name],
      oninput: (event) => typed(name, event.target.value),
      onblur: save,
    });
    return view[name];
  };
  const labelled = (text, ...nodes) => make("div", {}, make("b", {}, text), ...nodes);
  view.saved = make("span", { class: "saved", role: "status" });
  view.figures = make("dl");
  const pane = make(
    "div",
    { class: "words" },
    labelled("Name ", view.saved, field("name", "Name", "input", { type: "text" })),
    make(
      "div",
      { class: "judged" },
      labelled("Verdict", field("verdict", "Verdict", "select")),
      labelled("Severity", field("severity", "Severity", "input", { type: "text", placeholder: "S0 to S3" })),
      labelled("Likelihood", field("likelihood", "Likelihood", "input", { type: "text", placeholder: "E0 to E4" })),
    ),
    labelled("Note", field("note", "Note", "textarea", { rows: 2 })),
    view.figures,
  );
  view.fields = [view.name, view.verdict, view.severity, view.likelihood, view.note];
  return pane;
}

function fillWords(cluster) {
  const verdicts = new Set(["", ...run.verdicts, cluster.verdict]); // a table may say another
  view.verdict.replaceChildren(
    ...[...verdicts].map((verdict) => {
      const known = !verdict || run.verdicts.includes(verdict);
      return make("option", { value: verdict, disabled: !known }, verdict || "none yet");
    }),
  );
  for (const name of ["name", "verdict", "severity", "likelihood", "note"]) {
    view[name].value = cluster[name];
  }
  if (!view.saved.classList.contains("bad") && !view.name.disabled) view.saved.textContent = "";
}

// Words are saved as they are typed: a moment after the last key.
function typed(name, text) {
  const cluster = row(chosen);
  cluster[name] = text;
  view.labels.get(chosen).textContent = title(cluster);
  fillMark(cluster);
  say("Saving …");
  clearTimeout(unsaved?.timer);
  unsaved = {
    url: address("words"),
    started: run.started,
    cluster: chosen,
    fields: { ...unsaved?.fields, [name]: text }, // what another page changed stays as it is
    timer: setTimeout(save, MILLISECONDS_TO_SAVE),
  };
}

function save() {
  if (!unsaved) return;
  const { url, started, cluster, fields, timer } = unsaved;
  const name = title(row(cluster));
  clearTimeout(timer);
  unsaved = null;
  const send = async () => {
    let problem = "";
    try {
      const answer = await fetch(url, {
        method: "POST",
        body: JSON.stringify({ started, cluster, ...fields }),
        headers: { "Content-Type": "application/json" },
        keepalive: true, // also while the page is being closed
      });
      if (!answer.ok) problem = await reason(answer);
    } catch (error) {
      problem = `the page's server does not answer (${error.message}).`;
    }
    sending -= 1;
    if (problem) say(`${name} is not saved: ${problem} Type again to try again.`, true);
    else if (!unsaved && !sending) say("Saved");
  };
  sending += 1;
  sent = sent.then(send);
}

function say(text, bad = false) {
  if (!view.saved || (view.saved.classList.contains("bad") && !bad && text !== "Saving …")) return;
  view.saved.textContent = text;
  view.saved.classList.toggle("bad", bad);
}

// --- tiles --------------------------------------------------------------------------------------

function tiles() {
  view.labels = new Map();
  view.marks = new Map();
  view.tile = new Map(run.clusters.map((cluster) => [cluster.cluster, oneTile(cluster)]));
  const family = new Map(
    run.families.filter(isShown).flatMap((each) => each.clusters.map((id) => [id, each])),
  );
  const kinds = new Map(Object.keys(run.kinds).map((kind) => [kind, ofKind(kind)]));
  const groups = new Set(run.order.map((id) => family.get(id) ?? kinds.get(row(id).kind) ?? id));
  view.tiles = make(
    "div",
    { class: "tiles", role: "listbox", "aria-label": "Clusters", "aria-orientation": "horizontal" },
    ...[...groups].map((group) => (typeof group === "number" ? view.tile.get(group) : bracket(group))),
  );
  view.tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) choose(Number(tile.dataset.cluster), { focus: true });
  });
  view.tiles.addEventListener("keydown", (event) => {
    const here = run.order.indexOf(chosen);
    const last = run.order.length - 1;
    const to = {
      ArrowRight: Math.min(here + 1, last),
      ArrowDown: Math.min(here + 1, last),
      ArrowLeft: Math.max(here - 1, 0),
      ArrowUp: Math.max(here - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(run.order[to], { focus: true });
  });
  return view.tiles;
}

// Clusters that are no situation of their own stand together, below what they are.
function ofKind(kind) {
  const clusters = run.clusters.filter((cluster) => cluster.kind === kind);
  const size = clusters.reduce((sum, cluster) => sum + cluster.size, 0);
  return { title: run.kinds[kind], clusters: clusters.map(({ cluster }) => cluster), size };
}

function bracket(group) {
  if (group.title) return framed(group, [group.title, count(group.size, "failure")].join(" · "));
  return familyOf(group);
}

function framed({ title, clusters }, words) {
  return make(
    "div",
    { class: "family", role: "group", "aria-label": title },
    make("div", { class: "bracket", title: words, "aria-hidden": "true" }, make("span", {}, words)),
    ...clusters.map((id) => view.tile.get(id)),
  );
}

function familyOf(family) {
  const shared = [...family.hints, ...family.parameters.map((finding) => finding.words)];
  const brief = shared.map((words) => words.split(":")[0]).join(", "); // without the figures
  const short = [`Family ${family.family}`, count(family.size, "image"), brief];
  return make(
    "div",
    { class: "family", role: "group", "aria-label": called(family) },
    make(
      "div",
      { class: "bracket", title: [called(family), ...shared].join("\n"), "aria-hidden": "true" },
      make("span", {}, short.filter(Boolean).join(" · ")),
    ),
    ...family.clusters.map((id) => view.tile.get(id)),
  );
}

function oneTile(cluster) {
  const label = make("b", {}, title(cluster));
  const mark = make("span", { class: "mark", role: "img" });
  view.labels.set(cluster.cluster, label);
  view.marks.set(cluster.cluster, mark);
  fillMark(cluster);
  return make(
    "div",
    {
      class: "tile",
      role: "option",
      tabindex: -1,
      "data-cluster": cluster.cluster,
      "aria-selected": false,
    },
    picture(run.positions.get(cluster.central_image)),
    mark,
    label,
    make(
      "small",
      {},
      make("i", { style: `background:${colour(cluster.cluster)}` }),
      count(cluster.size, "image"),
    ),
    cluster.failing === null
      ? null
      : make("small", { class: "fails", title: cluster.rate }, `fails ${percent(cluster.failing)}`),
  );
}

function fillMark({ cluster, verdict }) {
  const mark = view.marks.get(cluster);
  mark.hidden = !verdict;
  mark.textContent = MARKS.get(verdict) ?? "•";
  mark.title = verdict;
  mark.dataset.verdict = verdict;
  mark.setAttribute("aria-label", verdict);
}

function picture(position) {
  return make("img", {
    src: position === undefined ? null : address(run.images.thumbnail[position]),
    alt: "",
    loading: "lazy",
    draggable: "false",
  });
}

// --- the images of the cluster ------------------------------------------------------------------

function images() {
  const turn = (by) => () => {
    firstShown += by * IMAGES_A_PAGE;
    fillImages();
  };
  view.earlier = make("button", { type: "button", onclick: turn(-1), "aria-label": "Earlier images" }, "‹");
  view.later = make("button", { type: "button", onclick: turn(1), "aria-label": "Later images" }, "›");
  view.range = make("span");
  view.grid = make("div", { class: "grid" });
  const position = (event) => {
    const thumb = event.target.closest(".thumb");
    return thumb ? Number(thumb.dataset.image) : null;
  };
  view.grid.addEventListener("click", (event) => select(position(event)));
  view.grid.addEventListener("mouseover", (event) => tell(position(event) ?? image));
  view.grid.addEventListener("mouseleave", () => tell(image));
  view.grid.addEventListener("focusin", (event) => tell(position(event)));
  view.grid.addEventListener("focusout", () => tell(image));
  return make(
    "div",
    { class: "images" },
    make("div", { class: "pager" }, view.earlier, view.range, view.later),
    view.grid,
  );
}

function fillImages() {
  const members = run.members.get(chosen);
  const end = Math.min(firstShown + IMAGES_A_PAGE, members.length);
  view.earlier.disabled = firstShown === 0;
  view.later.disabled = end === members.length;
  view.range.textContent =
    `Images ${firstShown + 1} to ${end} of ${members.length.toLocaleString("en")}, ` +
    (row(chosen).parts > 1 ? "appearance by appearance" : "most central first");
  for (const picture of view.grid.querySelectorAll("img")) {
    if (!picture.complete) picture.removeAttribute("src"); // or it would load all the same
  }
  view.grid.replaceChildren(
    ...members.slice(firstShown, end).map((position) =>
      make(
        "button",
        {
          type: "button",
          class: "thumb",
          "data-image": position,
          "aria-pressed": position === image,
          "aria-label": run.images.path[position],
          title: `${full(position)}\ndistance to the centre ${run.images.distance[position].toFixed(4)}`,
        },
        picture(position),
      ),
    ),
  );
}

function select(position) {
  if (position === null) return;
  const before = chosen;
  image = position;
  choose(run.images.cluster[position]);
  const place = run.members.get(chosen).indexOf(position);
  const first = place - (place % IMAGES_A_PAGE);
  if (first !== firstShown) {
    firstShown = first;
    if (chosen === before) fillImages(); // else they are on their way
  }
  for (const thumb of view.grid.children) {
    thumb.setAttribute("aria-pressed", Number(thumb.dataset.image) === position);
  }
  tell(position);
  draw();
}

// Say all that is known of an image, in the corner under the map.
function tell(position) {
  view.told = position;
  if (position === null) {
    view.detail.replaceChildren("Point at an image, or click it, for its path and figures.");
    return;
  }
  const { core, distance, cluster, silhouette } = run.images;
  const of = row(cluster[position]);
  const value = paint.say(position);
  view.detail.replaceChildren(
    picture(position),
    make(
      "div",
      {},
      value === null ? null : make("p", { class: "value" }, make("b", {}, paint.name), `: ${value}`),
      make("p", { class: "path" }, full(position)),
      make(
        "p",
        {},
        `${title(of)}${core[position] ? ", core image" : ""} · ` +
          `distance to the centre ${distance[position].toFixed(4)}` +
          (of.silhouette === null ? "" : ` · silhouette ${silhouette[position].toFixed(2)}`),
      ),
    ),
  );
}

// ------------------------------------------------------------------------------------------------

window.addEventListener("pagehide", save);
watch("value", show);
close(); // and leave the address as it is: the server is still to read it
