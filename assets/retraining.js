// The result pane of the Retraining tab: the curve while it trains, then what retraining changed.
//
// Gradio runs this and elements.js as one script, once, with `element` (empty), `props` and `watch`.
// props.value is null without an open run, or tells the `key` of the retraining (empty where there
// is none) and whether it is `live`.  Data comes from run/KEY/retraining.  Names and paths only ever
// enter the page as text, never as HTML.

const MILLISECONDS_BETWEEN_LOOKS = 1000;
const SVG = "http://www.w3.org/2000/svg";
const STATES = { repaired: "good", "not repaired": "bad", unclear: "" };

let shown = ""; // what is on the screen, as text: what has not changed is not drawn again
let open = new Set(); // clusters whose images are looked at

async function show() {
  const wanted = props.value;
  if (!wanted) return close("Open a run whose unsafe set is labelled: what retraining changes is shown here.");
  if (!wanted.key) return close("This run's DNN was not retrained yet. Label its unsafe set, and retrain.");
  try {
    const response = await fetch(`run/${wanted.key}/retraining`);
    if (props.value !== wanted) return; // another run was opened meanwhile
    if (response.ok) draw(await response.json(), wanted.key);
    else if (!wanted.live) return close(await reason(response), "error");
  } catch (error) {
    if (!wanted.live) return close(`The page's server does not answer (${error.message}).`, "error");
  }
  if (wanted.live) setTimeout(() => props.value === wanted && show(), MILLISECONDS_BETWEEN_LOOKS);
}

function close(words, kind = "empty") {
  shown = "";
  element.replaceChildren(make("p", { class: kind, role: kind === "error" ? "status" : null }, words));
}

function draw(told, key) {
  const text = JSON.stringify([told, key]);
  if (text === shown) return;
  shown = text;
  const { found } = told;
  const address = (name) => `run/${key}/${name}`;
  const download = (name) => make("a", { href: address(`download/${name}`), download: true }, name);
  element.replaceChildren(
    make(
      "section",
      { class: "run retraining", "aria-label": `Retraining ${told.name}` },
      make(
        "header",
        {},
        make(
          "div",
          { class: "title" },
          make("h2", {}, found ? told.name : `${told.name}: training`),
          found ? make("p", { class: "path" }, found.model) : null,
        ),
        found && !told.running
          ? make(
              "nav",
              { "aria-label": "Downloads" },
              make("a", { href: address("report.html"), target: "_blank" }, "Report"),
              download("before_after.csv"),
              download("repairs.csv"),
            )
          : null,
        found ? make("p", { class: "facts" }, told.sentence) : null,
      ),
      ...(found ? found.change && told.notes.map((note) => make("div", { class: "note" }, note)) : []),
      make("div", { class: "curves" }, found ? accuracies(found) : null, curve(told)),
      found ? repairs(found, told.clusters, address) : null,
      found ? images("Broken: right before, wrong now", told.broken, found.change.broken, address) : null,
      found?.classes.length ? classes(found) : null,
      found?.comparison ? comparison(found.comparison, told.compared) : null,
      found ? facts(found) : null,
    ),
  );
}

// --- training -----------------------------------------------------------------------------------

function draws(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter(Boolean));
  return node;
}

// Loss and accuracy, an axis each: the accuracy's is what is compared, the loss falls from its top.
function curve({ history, epochs, running }) {
  const caption = history.length
    ? `Epoch ${history.length} of ${epochs}${running ? "" : `, the best is ${1 + history.findIndex(({ best }) => best)}`}`
    : running
      ? "The first epoch is at work."
      : "No epoch was finished.";
  const [width, height, left, right, top, bottom] = [560, 230, 46, 46, 14, 26];
  const plot = draws("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Training: ${caption}` });
  const x = (epoch) => left + ((width - left - right) * (epoch - 1)) / Math.max(epochs - 1, 1);
  const accuracy = history.map((row) => row["validation accuracy"]);
  const lowest = Math.min(...accuracy, 0.9);
  const floor = Math.max(0, Math.floor(lowest * 10) / 10);
  const ya = (value) => top + ((height - top - bottom) * (1 - value)) / (1 - floor || 1);
  const losses = history.flatMap((row) => [row.loss, row["validation loss"]]);
  const highest = Math.max(...losses, 1e-6);
  const yl = (value) => top + (height - top - bottom) * (1 - value / highest);
  for (let step = 0; step <= 4; step += 1) {
    const at = top + ((height - top - bottom) * step) / 4;
    plot.append(
      draws("line", { x1: left, x2: width - right, y1: at, y2: at, class: "grid-line" }),
      draws("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, percent(1 - ((1 - floor) * step) / 4)),
      draws("text", { x: width - right + 6, y: at + 4 }, history.length ? (highest * (1 - step / 4)).toPrecision(2) : ""),
    );
  }
  for (const epoch of new Set([1, ...Array.from({ length: 5 }, (_, n) => Math.round(((n + 1) * epochs) / 5))])) {
    if (epoch >= 1) plot.append(draws("text", { x: x(epoch), y: height - 6, "text-anchor": "middle" }, String(epoch)));
  }
  const line = (kind, value, y) => {
    const points = history.map((row) => [x(row.epoch), y(row[value])]);
    plot.append(draws("polyline", { class: kind, points: points.map((point) => point.join()).join(" ") }));
    for (const [cx, cy] of points) plot.append(draws("circle", { class: kind, cx, cy, r: 2.5 }));
  };
  line("loss", "loss", yl);
  line("validation-loss", "validation loss", yl);
  line("accuracy", "validation accuracy", ya);
  const best = running ? null : history.find((row) => row.best);
  if (best) plot.append(draws("circle", { class: "best", cx: x(best.epoch), cy: ya(best["validation accuracy"]), r: 6 }));
  const key = (kind, words) => make("span", {}, make("i", { class: kind }), make("span", {}, words));
  return make(
    "figure",
    { class: "curve" },
    plot,
    make(
      "div",
      { class: "key" },
      key("accuracy", "accuracy of what is held out (left)"),
      key("loss", "loss (right)"),
      key("validation-loss", "loss of what is held out"),
    ),
    make("figcaption", { role: "status" }, caption),
  );
}

// --- before and after ---------------------------------------------------------------------------

function bar(accuracy, kind = "") {
  const place = (share) => `${(100 * share).toFixed(2)}%`;
  return make(
    "span",
    { class: `bar ${kind}`, title: `95 % interval ${percent(accuracy.low)} to ${percent(accuracy.high)}` },
    make("i", { style: `width: ${place(accuracy.share)}` }),
    make("b", { style: `left: ${place(accuracy.low)}; right: ${place(1 - accuracy.high)}` }),
  );
}

function accuracies({ change }) {
  const row = (words, accuracy, kind) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, words),
      make("td", {}, bar(accuracy, kind)),
      make("td", {}, `${(100 * accuracy.share).toFixed(2)} %`),
      make("td", {}, `${accuracy.right.toLocaleString("en")} of ${accuracy.images.toLocaleString("en")}`),
    );
  return make(
    "div",
    { class: "accuracies" },
    make("h3", {}, "Right on the test set"),
    make("table", {}, make("tbody", {}, row("before", change.before, "before"), row("after", change.after))),
    make(
      "dl",
      {},
      make("dt", {}, "Repaired"),
      make("dd", {}, change.repaired.toLocaleString("en")),
      make("dt", {}, "Broken"),
      make("dd", {}, change.broken.toLocaleString("en")),
      make("dt", {}, change.groups === null ? "McNemar’s exact test" : "Sign-flip test of groups"),
      make("dd", {}, `p = ${change.p.toPrecision(2)}`),
    ),
  );
}

function repairs(found, clusters, address) {
  const known = found.repairs;
  const heading = make("h3", {}, "What became of the failing images of each cluster");
  if (!known.length) return make("div", {}, heading, make("p", { class: "caption" }, "None of them is in the test set."));
  const counted = known.filter(({ cluster }) => cluster !== NOISE);
  const of = (state) => counted.filter((repair) => repair.state === state).length;
  const body = make("tbody");
  for (const repair of known) {
    const images = clusters[String(repair.cluster)] ?? { repaired: [], left: [] };
    const more = make("tr", { class: "looked", hidden: !open.has(repair.cluster) });
    const look = make(
      "button",
      {
        class: "look-at",
        "aria-expanded": String(open.has(repair.cluster)),
        onclick: () => {
          if (open.has(repair.cluster)) open.delete(repair.cluster);
          else open.add(repair.cluster);
          more.hidden = !open.has(repair.cluster);
          look.setAttribute("aria-expanded", String(!more.hidden));
          if (!more.hidden && !more.firstChild.childNodes.length) fill();
        },
      },
      title(repair),
    );
    const fill = () =>
      more.firstChild.append(
        strip("Right now", images.repaired, repair.after.right, address),
        strip("Still wrong", images.left, repair.failing - repair.after.right, address),
      );
    more.append(make("td", { colspan: 6 }));
    if (open.has(repair.cluster)) fill();
    body.append(
      make(
        "tr",
        { "data-cluster": repair.cluster },
        make("td", {}, look),
        make("td", {}, repair.failing.toLocaleString("en")),
        make("td", {}, repair.labelled.toLocaleString("en")),
        make("td", {}, bar(repair.after)),
        make("td", {}, `${repair.after.right.toLocaleString("en")} of ${repair.failing.toLocaleString("en")}`),
        make("td", { class: `state ${STATES[repair.state]}` }, repair.state),
      ),
      more,
    );
  }
  const titles = ["Cluster", "Failing images", "Trained with", "Right now", "", "State"];
  return make(
    "div",
    {},
    heading,
    make(
      "p",
      { class: "caption" },
      `${count(counted.length, "cluster")}: ${of("repaired")} repaired, ${of("not repaired")} not repaired; of the others it is ` +
        "unclear: the 95 % interval (the line in a bar) lies on both sides of a half. Click on a cluster to see its images.",
    ),
    make(
      "div",
      { class: "wide" },
      make(
        "table",
        { class: "repairs" },
        make("thead", {}, make("tr", {}, ...titles.map((words) => make("th", { scope: "col" }, words)))),
        body,
      ),
    ),
  );
}

function strip(words, images, all, address) {
  return make(
    "div",
    { class: "strip" },
    make("p", { class: "caption" }, `${words}: ${all > images.length && images.length ? `${images.length} of ` : ""}${all.toLocaleString("en")}`),
    make("div", { class: "grid" }, ...images.map((image) => thumb(image, address))),
  );
}

function thumb(image, address) {
  const words = `${image.path}: ${image.expected}; before ${image.before}, now ${image.after}`;
  return make(
    "figure",
    { class: "thumb", title: words },
    make("img", { src: address(image.thumbnail), alt: words, loading: "lazy" }),
  );
}

function images(words, list, all, address) {
  if (!all) return null;
  return make("div", {}, make("h3", {}, words), strip("Shown", list, all, address));
}

// --- tables -------------------------------------------------------------------------------------

function table(name, titles, rows, words = "") {
  return make(
    "details",
    { class: "figures", open: true },
    make("summary", {}, name),
    words ? make("p", {}, words) : null,
    make(
      "div",
      { class: "wide" },
      make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ...titles.map((cell) => make("th", { scope: "col" }, cell)))),
        make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, String(cell)))))),
      ),
    ),
  );
}

const figure = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

function classes({ classes: changes }) {
  const rows = changes.map((each) => [
    each.name, each.before.images, figure(each.before.share), figure(each.after.share), each.repaired, each.broken, each.p.toPrecision(2),
  ]);
  return table("Class by class", ["Class", "Images", "Before", "After", "Repaired", "Broken", "p"], rows);
}

function comparison({ methods }, words) {
  const rows = methods.map((each) => [
    each.name,
    figure(each.mean, 2),
    (100 * each.deviation).toFixed(2),
    each.a12 === null ? "" : `${each.a12.toFixed(2)} (${each.effect})`,
    each.p === null ? "" : each.p.toPrecision(2),
  ]);
  const titles = ["Images chosen by", "Mean accuracy", "Deviation, points", "A12 of ours against it", "Mann-Whitney p"];
  return table("Other ways to spend as many labels", titles, rows, words);
}

function facts(found) {
  const rows = [
    ["Training set", `${found.training}, ${count(found.training_images, "image")}`],
    ["Unsafe set", `${count(found.unsafe_images, "image")}, balanced to ${found.balanced_images.toLocaleString("en")}`],
    ["Held out", count(found.held_out, "image")],
    ["Test set", `${found.test}, ${count(found.change.before.images, "image")}`],
    ["Groups of test images", found.groups || "none, every image is by itself"],
    ...Object.entries(found.recipe).map(([name, value]) => [name[0].toUpperCase() + name.slice(1), value]),
  ];
  return make(
    "details",
    {},
    make("summary", {}, "How it was retrained"),
    make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
  );
}

watch("value", show);
show();
