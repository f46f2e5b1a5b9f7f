// Figures of an inspection, which a table may leave empty.

import { figure } from "../lib/numbers.js";

export const measured = (value) => (value === null || value === "" ? "not known" : figure(value));
