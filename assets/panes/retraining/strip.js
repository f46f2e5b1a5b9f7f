// A row of images whose prediction retraining changed, or did not repair.

import { make, picture } from "../lib/elements.js";
import { whole } from "../lib/numbers.js";
import { address } from "../lib/server.js";

// `images` are those that are shown, out of `all` images.
export function strip(words, images, all, key) {
  const some = all > images.length && images.length > 0;
  return make(
    "div",
    { class: "strip" },
    make("p", { class: "caption" }, `${words}: ${some ? `${images.length} of ` : ""}${whole(all)}`),
    make("div", { class: "grid" }, ...images.map((image) => thumb(image, key))),
  );
}

function thumb({ path, expected, before, after, thumbnail }, key) {
  const words = `${path}: ${expected}; before ${before}, now ${after}`;
  return make("figure", { class: "thumb", title: words }, picture(address(key, thumbnail), { alt: words }));
}
