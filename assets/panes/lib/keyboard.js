// Moving through a list by keys.

// Return the position that a key leads to from `here`, of `length` positions; null for any other key.
export function step(key, here, length) {
  const last = length - 1;
  const leads = {
    ArrowRight: Math.min(here + 1, last),
    ArrowDown: Math.min(here + 1, last),
    ArrowLeft: Math.max(here - 1, 0),
    ArrowUp: Math.max(here - 1, 0),
    Home: 0,
    End: last,
  };
  return Object.hasOwn(leads, key) ? leads[key] : null;
}
