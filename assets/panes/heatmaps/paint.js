// Heatmaps as pixels over their images.

import { mix } from "../lib/colours.js";

// Colours from no relevance to the most.
export const RAMPS = new Map([
  ["Fire", [[0, 0, 0], [130, 0, 60], [225, 30, 20], [255, 130, 0], [255, 235, 0]]],
  ["Viridis", [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]],
  ["Grey", [[0, 0, 0], [255, 255, 255]]],
]);
const AGAINST = [37, 99, 235]; // relevance against the class
const WHOLE = 127;

// The colour and the opacity of relevance, -127 to 127. Where there is none the image is left as it
// is; the mean stands on no image, and is opaque.
export function pixel(relevance, ramp, { strength, mean }) {
  const share = relevance / WHOLE;
  const colour = share < 0 ? AGAINST : mix(ramp, share);
  const opacity = mean ? 1 : strength * Math.sqrt(Math.abs(share));
  return [...colour, 255 * opacity];
}

// Colour every heatmap anew, and lay it over its image.
export function paint({ maps, wish, grid }) {
  if (!maps) return;
  const ramp = RAMPS.get(wish.colours);
  const size = maps.width * maps.height;
  for (const canvas of grid.querySelectorAll("canvas")) {
    const place = Number(canvas.dataset.place);
    const options = { strength: wish.strength, mean: place === maps.paths.length };
    const pixels = new ImageData(maps.width, maps.height);
    for (let at = 0; at < size; at += 1) {
      pixels.data.set(pixel(maps.data[place * size + at], ramp, options), 4 * at);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

// The DNN sees every image in its own format: the heatmap is stretched back to that of the image.
export function fit({ target }) {
  target.parentElement.style.aspectRatio = `${target.naturalWidth} / ${target.naturalHeight}`;
}
