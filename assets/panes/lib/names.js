// Names of clusters.

export const NOISE = -1;

// The name that an engineer gave a cluster, or its number.
export function title({ cluster, name }) {
  if (cluster === NOISE && (!name || name === "noise")) return "Noise";
  return name || `Cluster ${cluster}`;
}
