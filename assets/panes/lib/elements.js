// Elements of the page. Names and paths enter it as text, never as HTML.

const isShown = (child) => child !== null && child !== undefined;

// Make an element: attributes that begin with "on" are listeners, null and false leave one out.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) node.setAttribute(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(isShown));
  return node;
}

// Make the text of an empty pane: an invitation, or an error.
export function notice(words, kind = "empty") {
  return make("p", { class: kind, role: kind === "error" ? "status" : null }, words);
}

// Show words in the place of the run that a pane had open.
export function close(pane, words, kind) {
  pane.run = null;
  pane.element.replaceChildren(notice(words, kind));
}

// Make the head of a pane: heading, path, links, and the facts in a sentence.
export function head(heading, path, links, facts) {
  return make(
    "header",
    {},
    make("div", { class: "title" }, make("h2", {}, heading), path === null ? null : make("p", { class: "path" }, path)),
    links,
    facts,
  );
}

export function download(href, words) {
  return make("a", { href, download: true }, words);
}

function line(tag, cells, attributes = {}) {
  return make("tr", {}, ...cells.map((cell) => make(tag, attributes, cell instanceof Node ? cell : String(cell))));
}

// Make a table; cells are text, numbers or elements.
export function table(titles, rows, { kind = null, scope = null } = {}) {
  return make(
    "table",
    { class: kind },
    make("thead", {}, line("th", titles, { scope })),
    make("tbody", {}, ...rows.map((cells) => line("td", cells))),
  );
}

// Wrap content that may be wider than the pane, so that it scrolls by itself.
export function wide(content) {
  return make("div", { class: "wide" }, content);
}

// Make a list of names and values.
export function definitions(rows) {
  return rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}

// Make a labelled list to choose from; options are pairs of value and text.
export function select(label, options, chosen, change) {
  const field = make(
    "select",
    { "aria-label": label, onchange: (event) => change(event.target.value) },
    ...options.map(([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text)),
  );
  return make("label", {}, label, field);
}

// Make a picture that is loaded when it scrolls into view.
export function picture(src, attributes = {}) {
  return make("img", { src, alt: "", loading: "lazy", ...attributes });
}
