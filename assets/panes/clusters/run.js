// A run as the pane sees it: the answer of run/KEY/data, and what is derived from it.

import { address } from "../lib/server.js";

// Add to an answer the `members` of each cluster (positions of images, the most central first), the
// `positions` of images by their path, the `order` of clusters, and room for `values` of columns.
export function derive(answer, key) {
  const { path, cluster, part, distance } = answer.images;
  const members = new Map();
  const positions = new Map();
  path.forEach((name, position) => {
    const id = cluster[position];
    if (!members.has(id)) members.set(id, []);
    members.get(id).push(position);
    positions.set(name, position);
  });
  for (const images of members.values()) {
    images.sort((a, b) => part[a] - part[b] || distance[a] - distance[b] || a - b);
  }
  return { ...answer, key, members, positions, order: order(answer), values: new Map() };
}

// The clusters as they are shown: family by family, the largest first, and noise last.
function order({ clusters, families, headline }) {
  const ids = clusters.map(({ cluster }) => cluster); // noise is their last
  const related = headline.length ? [] : families.flatMap((family) => family.clusters);
  return [...new Set([...related, ...ids])];
}

export const row = (run, id) => run.clusters.find(({ cluster }) => cluster === id);

// Return the families that get a bracket. A family of one cluster needs none; in a run with
// situations, the kinds of clusters have the brackets.
export function shownFamilies({ families, headline }) {
  return headline.length ? [] : families.filter(({ clusters }) => clusters.length > 1);
}

export const served = (run, name) => address(run.key, name);

// The path of an image on the disk, for the user to read.
export const fullPath = (run, position) => `${run.folder}/${run.images.path[position]}`;
