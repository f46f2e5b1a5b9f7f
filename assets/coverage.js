// The result pane of the Coverage tab: scores, neurons with their regions, combinations, growth,
// and which new images widen a test set.
//
// Gradio runs this and elements.js as one script, once, with `element` (empty), `props` and `watch`.
// props.value is null, or tells of the run that is open: its `key`.  Data comes from
// run/KEY/coverage.  Names and paths only ever enter the page as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const FIRST_ROWS = 12;
const FIRST_IMAGES = 24;
const PLOT = { width: 300, height: 110, bottom: 18 };
const CURVE = { width: 620, height: 240, left: 56, bottom: 34, top: 10, right: 12 };
const CRITERIA = new Map([
  ["IDC", "Importance-driven: combinations of regions of the important neurons"],
  ["NC", "Neurons above 0.75 of their layer"],
  ["KMNC", "Sections of each neuron's range in training, 1,000 each"],
  ["NBC", "Ends of each neuron's range that are passed"],
  ["SNAC", "Upper ends that are passed"],
  ["TKNC", "Neurons among the 3 strongest of their layer"],
  ["LSC", "Surprise by likelihood, 1,000 buckets up to 2,000"],
  ["DSC", "Surprise by distance, 1,000 buckets up to 2"],
]);

let run = null; // what run/KEY/coverage answers, with its key
let chosen = 0; // which test set is looked at

const address = (name) => `run/${run.key}/${name}`;
const share = (value) => (value === null ? "n/a" : `${(100 * value).toFixed(value && value < 0.001 ? 3 : 1)} %`);
const large = (digits) =>
  digits.length < 16 ? Number(digits).toLocaleString("en") : `about 10^${digits.length - 1}`;

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

async function show() {
  const wanted = props.value;
  if (!wanted) {
    return close(
      "Give a model, the images that it was trained on, and a test set: how well the test set exercises the neurons that decide is shown here.",
    );
  }
  try {
    const response = await fetch(`run/${wanted.key}/coverage`);
    if (!response.ok) throw new Error(await reason(response));
    const found = await response.json();
    if (props.value !== wanted) return; // another run was opened meanwhile
    if (run?.key !== wanted.key) chosen = 0;
    run = { ...found, key: wanted.key };
    chosen = Math.min(chosen, run.tests.length - 1);
    build();
  } catch (error) {
    if (props.value === wanted) close(error.message, "error");
  }
}

function close(words, kind = "empty") {
  run = null;
  element.replaceChildren(make("p", { class: kind, role: kind === "error" ? "status" : null }, words));
}

function build() {
  const test = run.tests[chosen];
  const files = ["neurons.csv", "combinations.csv", "criteria.csv", "growth.csv", ...(run.widening ? ["widening.csv"] : [])];
  element.replaceChildren(
    make(
      "section",
      { class: "run", "aria-label": `Coverage of ${run.name}` },
      make(
        "header",
        {},
        make("div", { class: "title" }, make("h2", {}, run.name), make("p", { class: "path" }, run.model)),
        make(
          "nav",
          { class: "tables", "aria-label": "Downloads" },
          ...files.map((name) => make("a", { href: address(`download/${name}`), download: true }, name)),
        ),
        make("p", { class: "facts" }, facts(test)),
      ),
      ...run.notes.map((note) => make("p", { class: "note" }, note)),
      run.tests.length > 1 ? which() : null,
      make(
        "div",
        { class: "scores" },
        part("Criteria", "All of them are shares; a test set that covers more exercises more of the DNN.", criteria()),
        part("How coverage grew", grown(test), curve(test)),
      ),
      part("Neurons that decide", neuronWords(), make("div", { class: "neurons" }, ...run.neurons.map(neuron)), legend(test)),
      make(
        "div",
        { class: "combinations" },
        part("Covered combinations", `${count(test.covered, "combination")} of ${large(run.combinations)}: a region of each neuron above, in their order. Most images first.`, covered(test)),
        part("Not covered", missingWords(test), missing(test)),
      ),
      part("Images alone with their combination", alone(test), images(test.contributors, ({ combination }) => short(combination))),
      run.widening ? widening(run.widening) : null,
    ),
  );
}

function part(heading, words, ...content) {
  return make("section", { class: "part", "aria-label": heading }, make("h3", {}, heading), make("p", { class: "caption" }, words), ...content);
}

function facts(test) {
  const right = test.accuracy === null ? "" : ` The DNN is right on ${(100 * test.accuracy).toFixed(1)} % of them.`;
  const one = run.class === null ? "" : ` Of the class ${run.class} alone.`;
  const bad = run.rejected ? ` ${count(run.rejected, "file")} could not be used.` : "";
  return `${share(test.coverage)}: ${count(test.covered, "combination")} of ${large(run.combinations)} are covered by ${count(test.images, "image")} of ${test.name}.${right} ${count(run.training.images, "training image")} cover ${share(run.training.coverage)}.${one}${bad}`;
}

function which() {
  return make(
    "div",
    { class: "controls" },
    make(
      "label",
      {},
      "Test set",
      make(
        "select",
        {
          "aria-label": "Test set",
          onchange: (event) => {
            chosen = Number(event.target.value);
            build();
          },
        },
        ...run.tests.map(({ name, coverage }, place) =>
          make("option", { value: place, selected: place === chosen }, `${name} · ${share(coverage)}`),
        ),
      ),
    ),
  );
}

function table(titles, rows, kind = "") {
  return make(
    "div",
    { class: "wide" },
    make(
      "table",
      { class: kind },
      make("thead", {}, make("tr", {}, ...titles.map((cell) => make("th", { scope: "col" }, cell)))),
      make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))))),
    ),
  );
}

function criteria() {
  const [first] = run.tests;
  const titles = ["", ...run.tests.map(({ name }) => name), ...run.tests.slice(1).map(({ name }) => `${first.name} + ${name}`)];
  const rows = run.criteria.map(({ criterion, tests }) => [
    make("span", { title: CRITERIA.get(criterion) ?? "" }, make("b", {}, criterion), make("small", {}, CRITERIA.get(criterion) ?? "")),
    ...tests.map(({ value }) => share(value)),
    ...tests.slice(1).map(({ added }) => share(added)),
  ]);
  return table(titles, rows, "criteria");
}

// --- growth -------------------------------------------------------------------------------------

function grown(test) {
  const half = test.expected.findLast(([images]) => 2 * images <= test.images);
  const left = test.covered - (half ? half[1] : 0);
  return `Line: the images in the order of their paths. Dashes: as expected in a random order; its second half adds ${left.toFixed(1)} combinations.`;
}

function curve(test) {
  const { width, height, left, right, top, bottom } = CURVE;
  const x = (images) => left + ((width - left - right) * images) / test.images;
  const y = (combinations) => height - bottom - ((height - bottom - top) * combinations) / Math.max(1, test.covered);
  let path = `M${x(0)},${y(0)}`;
  for (const [images, combinations] of test.growth) path += `H${x(images).toFixed(1)}V${y(combinations).toFixed(1)}`;
  path += `H${x(test.images)}`;
  const expected = test.expected.map(([images, combinations]) => `${x(images).toFixed(1)},${y(combinations).toFixed(1)}`).join(" ");
  const text = (words, attributes) => {
    const node = draw("text", attributes);
    node.textContent = words;
    return node;
  };
  const middle = Math.round(test.covered / 2);
  const marks = [...new Set([0, middle, test.covered])];
  return draw(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", class: "curve", "aria-label": `Combinations covered by ${test.name}, image by image` },
    ...marks.map((mark) => draw("line", { x1: left, x2: width - right, y1: y(mark), y2: y(mark), class: "rule" })),
    ...marks.map((mark) => text(mark.toLocaleString("en"), { x: left - 6, y: y(mark) + 4, "text-anchor": "end" })),
    draw("polyline", { points: expected, class: "expected" }),
    draw("path", { d: path, class: "grown" }),
    text("0", { x: left, y: height - bottom + 16, "text-anchor": "middle" }),
    text(count(test.images, "image"), { x: width - right, y: height - bottom + 16, "text-anchor": "end" }),
  );
}

// --- neurons ------------------------------------------------------------------------------------

function neuronWords() {
  return `The ${run.neurons.length} of ${run.neurons_of_layer.toLocaleString("en")} neurons of ${run.layer} with the most relevance on the training images (rule ${run.rule}). Shaded stripes are the regions that their activations fall into.`;
}

function neuron(each) {
  const { width, height, bottom } = PLOT;
  const inner = height - bottom;
  const x = (value) => (width * (value - each.low)) / (each.high - each.low);
  const ends = [each.low, ...each.borders, each.high];
  const shares = (counts) => {
    const total = counts.reduce((sum, number) => sum + number, 0) || 1;
    // Where most images are in one bar, such as that of 0, the others would not be seen.
    return counts.map((number) => Math.sqrt(number / total));
  };
  const sets = [shares(each.training), shares(each.tests[chosen])];
  const most = Math.max(...sets.flat());
  const bars = (heights, kind, part) => {
    const step = width / heights.length;
    return heights.map((height, place) => {
      if (!height) return null;
      const tall = (height / most) * (inner - 6);
      const x = (place + (1 - part) / 2) * step;
      return draw("rect", { x: x.toFixed(1), width: (part * step).toFixed(1), y: (inner - tall).toFixed(1), height: tall.toFixed(1), class: kind });
    });
  };
  const label = (value, at, anchor) => {
    const node = draw("text", { x: at, y: height - 4, "text-anchor": anchor });
    node.textContent = Number(value.toPrecision(3)).toString();
    return node;
  };
  const picture = draw(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Activations of neuron ${each.neuron}` },
    ...each.centroids.map((_, region) =>
      draw("rect", { x: x(ends[region]), width: Math.max(0, x(ends[region + 1]) - x(ends[region])), y: 0, height: inner, class: region % 2 ? "region odd" : "region" }),
    ),
    ...bars(sets[0], "of-training", 0.92),
    ...bars(sets[1], "of-test", 0.45),
    ...each.borders.map((border) => draw("line", { x1: x(border), x2: x(border), y1: 0, y2: inner, class: "border" })),
    ...each.centroids.map((centre) => draw("path", { d: `M${x(centre)},${inner}l-4,6h8z`, class: "centre" })),
    label(each.low, 0, "start"),
    label(each.high, width, "end"),
  );
  const inside = each.inside[chosen];
  const regions = each.centroids.length === 1 ? "constant in training" : `${each.centroids.length} regions, silhouette ${each.silhouette.toFixed(2)}`;
  const numbers = inside.map((number) => number.toLocaleString("en")).join(" · ");
  return make(
    "figure",
    {},
    picture,
    make("figcaption", {}, make("b", {}, `Neuron ${each.neuron}`), ` · ${percent(each.share)} of the relevance · ${regions} · test images: ${numbers}`),
  );
}

function legend(test) {
  const entry = (kind, words) => make("span", {}, make("i", { class: kind }), words);
  return make(
    "p",
    { class: "key" },
    entry("of-training", "training images"),
    entry("of-test", test.name),
    make("span", {}, "Heights: square root of the share. Triangles: centres of regions."),
  );
}

// --- combinations -------------------------------------------------------------------------------

function picture(row) {
  if (!row.thumbnail) return make("span", {}, "");
  const image = make("img", { src: address(row.thumbnail), alt: "", loading: "lazy", title: row.example });
  image.addEventListener("error", () => image.remove());
  return image;
}

const short = (combination) => (run.neurons.some(({ sizes }) => sizes.length > 9) ? combination : combination.replaceAll(" ", ""));
const name = (combination) => make("code", {}, combination);

function folding(rows, titles) {
  const holder = make("div", {});
  const fill = (all) => {
    const button = make("button", { class: "more", onclick: () => fill(true) }, `Show ${rows.length}`);
    holder.replaceChildren(table(titles, all ? rows : rows.slice(0, FIRST_ROWS), "listed-combinations"), ...(all || rows.length <= FIRST_ROWS ? [] : [button]));
  };
  fill(false);
  return holder;
}

function covered(test) {
  const rows = test.table.map((row) => [name(row.combination), row.images.toLocaleString("en"), row.training.toLocaleString("en"), picture(row)]);
  return folding(rows, ["Combination", "Images", "In training", "Example"]);
}

function missingWords(test) {
  const seen = test.trained_uncovered;
  return `${seen ? `${count(seen, "combination")} that training images exercise, these first` : "None that training images exercise"}; then those that differ from a covered one in the fewest neurons.`;
}

function missing(test) {
  if (!test.missing.length) return make("p", {}, "Every combination is covered.");
  const rows = test.missing.map((row) => [name(row.combination), row.training.toLocaleString("en"), String(row.differing), picture(row)]);
  return folding(rows, ["Combination", "In training", "Differs in", "Training image"]);
}

// --- images -------------------------------------------------------------------------------------

function alone(test) {
  if (!test.alone) return "Every combination that is covered has several images.";
  const more = test.alone > test.contributors.length ? `; ${test.contributors.length} are shown` : "";
  return `Without them, coverage would be lower: ${count(test.alone, "image")} of ${test.name}${more}.`;
}

function images(rows, badge) {
  const holder = make("div", {});
  const fill = (all) => {
    const grid = make("div", { class: "grid" });
    for (const row of all ? rows : rows.slice(0, FIRST_IMAGES)) {
      const image = make("img", { src: address(row.thumbnail), alt: "", loading: "lazy" });
      image.addEventListener("error", () => image.replaceWith(make("span", { class: "gone" }, "no picture")));
      grid.append(make("figure", { class: "thumb", title: row.path, "aria-label": row.path }, image, make("span", { class: "badge" }, badge(row))));
    }
    const button = make("button", { class: "more", onclick: () => fill(true) }, `Show ${rows.length}`);
    holder.replaceChildren(grid, ...(all || rows.length <= FIRST_IMAGES ? [] : [button]));
  };
  fill(false);
  return holder;
}

function widening(told) {
  const [first] = run.tests;
  const words = told.adds
    ? `${count(told.adds, "image")} of ${told.images.toLocaleString("en")} in ${told.folder} add a combination each to ${first.name}: with them, coverage is ${share(told.coverage)} instead of ${share(first.coverage)}. Most unlike what is covered first; a number says in how many neurons, = stands for one more of a new combination.`
    : `None of ${count(told.images, "image")} in ${told.folder} exercises a combination that ${first.name} does not.`;
  return part("New images that widen the test set", words, images(told.rows, ({ adds, differing }) => (adds ? `+ ${differing}` : "=")));
}

watch("value", show);
show();
