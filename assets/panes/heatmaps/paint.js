// Heatmaps as pixels over their images.

import { mix } from "../lib/colours.js";

// Colours from no relevance to the most.
export const RAMPS = new Map([
  ["Fire", [[0, 0, 0], [130, 0, 60], [225, 30, 20], [255, 130, 0], [255, 235, 0]]],
  ["Viridis", [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]],
  ["Grey", [[0, 0, 0], [255, 255, 255]]],
]);
const NEGATIVE = [37, 99, 235]; // relevance against the class
const HIGHEST = 127;

// Return the colour and the opacity of a relevance, -127 to 127. Without relevance the image shows as
// it is. The mean has no image below it, and is opaque.
export function pixel(relevance, ramp, { strength, mean }) {
  const share = relevance / HIGHEST;
  const colour = share < 0 ? NEGATIVE : mix(ramp, share);
  const opacity = mean ? 1 : strength * Math.sqrt(Math.abs(share));
  return [...colour, 255 * opacity];
}

// Paint every heatmap over its image.
export function paint({ maps, settings, grid }) {
  if (!maps) return;
  const ramp = RAMPS.get(settings.colours);
  const size = maps.width * maps.height;
  for (const canvas of grid.querySelectorAll("canvas")) {
    const place = Number(canvas.dataset.place);
    const options = { strength: settings.strength, mean: place === maps.paths.length };
    const pixels = new ImageData(maps.width, maps.height);
    for (let at = 0; at < size; at += 1) {
      pixels.data.set(pixel(maps.data[place * size + at], ramp, options), 4 * at);
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

// Stretch a heatmap to the shape of its image: the DNN sees all images in one shape.
export function fit({ target }) {
  target.parentElement.style.aspectRatio = `${target.naturalWidth} / ${target.naturalHeight}`;
}
