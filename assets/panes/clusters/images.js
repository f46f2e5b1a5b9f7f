// The images of the chosen cluster, a page at a time, and the details of one of them.

import { make, picture } from "../lib/elements.js";
import { title } from "../lib/names.js";
import { whole } from "../lib/numbers.js";
import { fullPath, row, served } from "./run.js";

const IMAGES_A_PAGE = 48;

export function thumbnail(run, position) {
  const src = position === undefined ? null : served(run, run.images.thumbnail[position]);
  return picture(src, { draggable: "false" });
}

// `select` is called with the position of the image that is clicked.
export function makeImages(pane, select) {
  const { view } = pane;
  const turn = (by, label, text) => {
    const onclick = () => {
      pane.firstShown += by * IMAGES_A_PAGE;
      fillImages(pane);
    };
    return make("button", { type: "button", onclick, "aria-label": label }, text);
  };
  view.earlier = turn(-1, "Earlier images", "‹");
  view.later = turn(1, "Later images", "›");
  view.range = make("span");
  view.grid = make("div", { class: "grid" });
  const position = (event) => {
    const node = event.target.closest(".thumb");
    return node ? Number(node.dataset.image) : null;
  };
  view.grid.addEventListener("click", (event) => select(position(event)));
  view.grid.addEventListener("mouseover", (event) => showDetails(pane, position(event) ?? pane.image));
  view.grid.addEventListener("mouseleave", () => showDetails(pane, pane.image));
  view.grid.addEventListener("focusin", (event) => showDetails(pane, position(event)));
  view.grid.addEventListener("focusout", () => showDetails(pane, pane.image));
  return make(
    "div",
    { class: "images" },
    make("div", { class: "pager" }, view.earlier, view.range, view.later),
    view.grid,
  );
}

export function fillImages(pane) {
  const { run, view, chosen, firstShown } = pane;
  const members = run.members.get(chosen);
  const end = Math.min(firstShown + IMAGES_A_PAGE, members.length);
  const ordered = row(run, chosen).parts > 1 ? "appearance by appearance" : "most central first";
  view.earlier.disabled = firstShown === 0;
  view.later.disabled = end === members.length;
  view.range.textContent = `Images ${firstShown + 1} to ${end} of ${whole(members.length)}, ${ordered}`;
  for (const image of view.grid.querySelectorAll("img")) {
    if (!image.complete) image.removeAttribute("src"); // else the browser goes on loading it
  }
  view.grid.replaceChildren(...members.slice(firstShown, end).map((position) => thumb(pane, position)));
}

function thumb({ run, image }, position) {
  const { path, distance } = run.images;
  return make(
    "button",
    {
      type: "button",
      class: "thumb",
      "data-image": position,
      "aria-pressed": position === image,
      "aria-label": path[position],
      title: `${fullPath(run, position)}\ndistance to the centre ${distance[position].toFixed(4)}`,
    },
    thumbnail(run, position),
  );
}

// Turn to the page that has the selected image. Without `filled`, the images of its cluster are
// still being loaded, and will be of that page.
export function showImage(pane, filled) {
  const place = pane.run.members.get(pane.chosen).indexOf(pane.image);
  const first = place - (place % IMAGES_A_PAGE);
  if (first !== pane.firstShown) {
    pane.firstShown = first;
    if (filled) fillImages(pane);
  }
  for (const node of pane.view.grid.children) {
    node.setAttribute("aria-pressed", Number(node.dataset.image) === pane.image);
  }
}

// Show the details of an image in the corner under the map.
export function showDetails({ run, view, paint }, position) {
  view.detailed = position;
  if (position === null) {
    view.detail.replaceChildren("Point at an image, or click it, for its path and figures.");
    return;
  }
  const value = paint.say(position);
  view.detail.replaceChildren(
    thumbnail(run, position),
    make(
      "div",
      {},
      value === null ? null : make("p", { class: "value" }, make("b", {}, paint.name), `: ${value}`),
      make("p", { class: "path" }, fullPath(run, position)),
      make("p", {}, figures(run, position)),
    ),
  );
}

function figures(run, position) {
  const { core, distance, cluster, silhouette } = run.images;
  const of = row(run, cluster[position]);
  return [
    `${title(of)}${core[position] ? ", core image" : ""}`,
    `distance to the centre ${distance[position].toFixed(4)}`,
    ...(of.silhouette === null ? [] : [`silhouette ${silhouette[position].toFixed(2)}`]),
  ].join(" · ");
}
