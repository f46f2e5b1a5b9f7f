// The result pane of the Unsafe set tab: the chosen new images beside the images of their clusters.
//
// Gradio runs this and elements.js as one script, once, with `element` (empty), `props` and `watch`.
// props.value is null, or tells of the run that is open: its `key`, and whether its unsafe set is
// `selected`. Data comes from run/KEY/data and run/KEY/unsafe; changes go to run/KEY/recut, which
// answers as run/KEY/unsafe does. Names and paths only ever enter the page as text, never as HTML.

const SHOWN_AT_ONCE = 36;
const OF_THE_CLUSTER = 6;
const MILLISECONDS_TO_CUT = 250;

let run = null; // what run/KEY/data answers, with its key
let set = null; // what run/KEY/unsafe answers
let view = {}; // the parts of the pane that change
let unfolded = new Set(); // clusters of which all images are shown
let wished = 0; // timer of a number that is still being chosen
let sent = Promise.resolve(); // changes reach the server in their order
let sending = 0;
let changes = 0; // how many were made: what was fetched before the last one is out of date

const address = (name) => `run/${run.key}/${name}`;

// --- opening an unsafe set ----------------------------------------------------------------------

async function show() {
  const wanted = props.value;
  if (!wanted) return close("Open a run: here come the new images that are worth a label.");
  if (!wanted.selected) {
    return close(
      "This run has no unsafe set yet. Give a folder of new images: those that belong to a root " +
        "cause cluster are shown here, beside the images of that cluster.",
    );
  }
  let answers;
  let before;
  do {
    await sent;
    before = changes;
    try {
      const responses = await Promise.all(
        ["data", "unsafe"].map((name) => fetch(`run/${wanted.key}/${name}`)),
      );
      const refused = responses.find((response) => !response.ok);
      if (refused) throw new Error(await reason(refused));
      answers = await Promise.all(responses.map((response) => response.json()));
    } catch (error) {
      if (props.value === wanted) close(error.message, "error");
      return;
    }
    if (props.value !== wanted) return; // another run was opened meanwhile
  } while (changes !== before);
  const found = { ...answers[0], key: wanted.key };
  if (JSON.stringify([found, answers[1]]) === JSON.stringify([run, set])) return;
  if (run?.key !== wanted.key) unfolded = new Set();
  run = found;
  set = answers[1];
  build();
}

function close(words, kind = "empty") {
  run = set = null;
  element.replaceChildren(make("p", { class: kind, role: kind === "error" ? "status" : null }, words));
}

// --- the pane -----------------------------------------------------------------------------------

function build() {
  view = { facts: make("p", { class: "facts" }), remarks: make("div"), groups: make("div", { class: "groups" }) };
  const download = (name) => make("a", { href: address(`download/${name}`), download: true }, name);
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Unsafe set of ${run.name}` },
      make(
        "header",
        {},
        make(
          "div",
          { class: "title" },
          make("h2", {}, `Unsafe set of ${run.name}`),
          make("p", { class: "path" }, set.folder),
        ),
        make("nav", { "aria-label": "Downloads" }, download("IS_filenames.txt"), download("unsafe_set.csv")),
        view.facts,
      ),
      view.remarks,
      number(),
      view.groups,
    ),
  );
  fill();
}

function number() {
  const field = (attributes) =>
    make("input", {
      "aria-label": attributes.type === "range" ? "Images to choose" : "Number of images to choose",
      ...attributes,
      oninput: (event) => wish(event.target),
    });
  view.slider = field({ type: "range", min: 1, max: set.images, step: 1 });
  // Text: in a field of type "number" browsers drop a comma, and 1,5 becomes 15.
  view.number = field({ type: "text", inputmode: "numeric" });
  view.saved = make("span", { class: "saved", role: "status" });
  return make(
    "div",
    { class: "number" },
    make("b", {}, "Images to choose"),
    view.slider,
    view.number,
    make("span", { class: "of" }, `of ${set.images.toLocaleString("en")}`),
    view.saved,
  );
}

// The slider and the number follow one another; the set is cut a moment after the last move.
function wish(field) {
  clearTimeout(wished);
  const text = field.value.trim();
  if (!text) return; // while another number is typed
  const plain = /^\d{1,15}$/.test(text);
  const count = plain ? Math.min(Number(text), set.images) : text; // the server says what is wrong with a text
  if (plain) for (const other of [view.slider, view.number]) if (other !== field) other.value = count;
  say("Choosing …");
  wished = setTimeout(() => change({ count }), MILLISECONDS_TO_CUT);
}

function change(what) {
  const url = address("recut");
  const key = run.key;
  const { measured } = set;
  sending += 1;
  changes += 1;
  say("Choosing …");
  sent = sent.then(async () => {
    let problem = "";
    let answer = null;
    try {
      const response = await fetch(url, {
        method: "POST",
        body: JSON.stringify({ measured, ...what }),
        headers: { "Content-Type": "application/json" },
        keepalive: true, // also while the page is being closed
      });
      if (response.ok) answer = await response.json();
      else problem = await reason(response);
    } catch (error) {
      problem = `the page's server does not answer (${error.message}).`;
    }
    sending -= 1;
    if (run?.key !== key || set?.measured !== measured) return;
    if (answer) set = answer;
    if (!sending) fill();
    if (problem) say(`Not changed: ${problem}`, true);
    else if (!sending) say("Saved");
  });
}

function say(text, bad = false) {
  view.saved.textContent = text;
  view.saved.classList.toggle("bad", bad);
}

function facts() {
  const { chosen, images, counted, inside, same, rejected, rows } = set;
  const outside = rows.outside.filter((is, place) => is && !rows.out[place]).length;
  const labels = rows.label.filter((label, place) => label && !rows.out[place]).length;
  const out = rows.out.filter(Boolean).length;
  return [
    `${count(chosen, "image")} of ${images.toLocaleString("en")} ${chosen === 1 ? "is" : "are"} chosen (${counted})`,
    out ? `, ${out.toLocaleString("en")} more ${out === 1 ? "was" : "were"} taken out` : "",
    ". ",
    `${count(images - inside, "image")} of the improvement set ${images - inside === 1 ? "belongs" : "belong"} to no cluster`,
    outside ? `; ${outside.toLocaleString("en")} of those ${outside === 1 ? "is" : "are"} chosen, marked “outside”` : "",
    ". ",
    same ? `${count(same, "image")} left out for looking the same as a chosen one. ` : "",
    rejected ? `${count(rejected, "file")} could not be used. ` : "",
    labels ? `${count(labels, "label")} filled in.` : "",
  ].join("");
}

// Show the set as it is now; what is on the screen already is only marked anew.
function fill() {
  view.facts.textContent = facts();
  view.remarks.replaceChildren(...set.remarks.map((remark) => make("div", { class: "note" }, remark)));
  for (const field of [view.slider, view.number]) {
    if (document.activeElement !== field || Number(field.value) > set.images) field.value = Math.min(set.count, set.images);
  }
  const by = new Map();
  set.rows.cluster.forEach((id, place) => {
    if (!by.has(id)) by.set(id, []);
    by.get(id).push(place);
  });
  const ids = [...new Set([...run.families.flatMap((family) => family.clusters), ...run.clusters.map(({ cluster }) => cluster)])];
  const used = ids.filter((id) => by.has(id));
  const unused = ids.filter((id) => id !== NOISE && !by.has(id));
  const groups = used.map((id) => {
    const places = by.get(id);
    const names = places.map((place) => set.rows.thumbnail[place]).join();
    const before = view.groups.querySelector(`[data-cluster="${id}"]`);
    if (before?.names === names) {
      mark(before, places);
      return before;
    }
    return group(id, places, names);
  });
  view.groups.replaceChildren(
    ...groups,
    unused.length
      ? make("p", { class: "unused" }, `No new image is chosen for ${unused.map((id) => title(row(id))).join(", ")}.`)
      : "",
  );
}

const row = (id) => run.clusters.find(({ cluster }) => cluster === id);

function group(id, places, names) {
  const cluster = row(id);
  const checkbox = make("input", {
    type: "checkbox",
    onchange: (event) => change({ clusters: [[id, event.target.checked]] }),
  });
  const shown = unfolded.has(id) ? places : places.slice(0, SHOWN_AT_ONCE);
  const more = places.length - shown.length;
  const grid = make("div", { class: "grid" }, ...shown.map(thumb));
  grid.addEventListener("click", (event) => {
    const button = event.target.closest(".thumb");
    if (!button || button.disabled) return;
    change({ images: [[set.rows.path[button.place], button.getAttribute("aria-pressed") === "false"]] });
  });
  const made = make(
    "section",
    { class: "group", "data-cluster": id, "aria-label": title(cluster) },
    make(
      "div",
      { class: "of-cluster" },
      make("h3", {}, make("label", {}, checkbox, title(cluster))),
      make("p", { class: "said" }, cluster.hints[0] ?? cluster.parameters[0]?.words ?? ""),
      make("div", { class: "grid" }, ...central(id).map(own)),
      make("p", { class: "caption" }, `${count(cluster.size, "failing image")}, the most central ones`),
    ),
    make(
      "div",
      { class: "chosen" },
      make("p", { class: "caption tally" }),
      grid,
      more
        ? make("button", { type: "button", class: "more", onclick: () => unfold(id) }, `Show ${more.toLocaleString("en")} more`)
        : null,
    ),
  );
  made.names = names;
  mark(made, places);
  return made;
}

function unfold(id) {
  unfolded.add(id);
  view.groups.querySelector(`[data-cluster="${id}"]`).names = null;
  fill();
}

function central(id) {
  const { cluster, distance } = run.images;
  const members = cluster.flatMap((of, position) => (of === id ? [position] : []));
  return members.sort((a, b) => distance[a] - distance[b] || a - b).slice(0, OF_THE_CLUSTER);
}

function own(position) {
  const src = address(run.images.thumbnail[position]);
  return make(
    "div",
    { class: "thumb", title: `${run.folder}/${run.images.path[position]}` },
    make("img", { src, alt: run.images.path[position], loading: "lazy", draggable: "false" }),
  );
}

function thumb(place) {
  const { path, thumbnail } = set.rows;
  const button = make(
    "button",
    { type: "button", class: "thumb", "aria-label": path[place] },
    make("img", {
      src: address(`new/${thumbnail[place]}`),
      alt: "",
      loading: "lazy",
      draggable: "false",
      onerror: (event) => event.target.replaceWith(make("span", { class: "gone" }, "cannot be shown")),
    }),
    make("span", { class: "badge" }),
  );
  return button;
}

// Mark what of a group is chosen; `places` are those of its images in the rows of the set.
function mark(group, places) {
  const id = Number(group.dataset.cluster);
  const { path, out, outside, distance, label } = set.rows;
  const whole = set.deselected_clusters.includes(id);
  const left = places.filter((place) => !out[place]).length;
  group.classList.toggle("out", whole);
  group.querySelector("input").checked = !whole;
  group.querySelector(".tally").textContent = whole
    ? `The cluster is taken out with ${count(places.length, "new image")}`
    : `${count(left, "new image")}, best first` + (left < places.length ? `; ${places.length - left} taken out` : "");
  [...group.querySelectorAll(".chosen .thumb")].forEach((button, index) => {
    const place = places[index];
    button.place = place;
    button.disabled = whole;
    button.setAttribute("aria-pressed", !out[place]);
    button.title =
      `${set.folder}/${path[place]}\n` +
      `distance to the nearest core image ${distance[place].toFixed(4)}` +
      (label[place] ? `\nlabel ${label[place]}` : "") +
      (whole ? "" : out[place] ? "\nClick to choose it again" : "\nClick to take it out");
    button.querySelector(".badge").textContent = label[place] || (outside[place] ? "outside" : "");
  });
}

watch("value", show);
show();
