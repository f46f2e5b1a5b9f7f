// The page's scripts are held to what the recommended rules find, and to short files and functions.

import js from "@eslint/js";
import globals from "globals";

const AS_TEXT = "Names and paths enter the page as text: see assets/panes/lib/elements.js.";

export default [
  { ignores: [".venv/", "assets/vendor/", "runs/", "screenshots/"] },
  js.configs.recommended,
  {
    files: ["**/*.js"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      complexity: ["error", 12],
      eqeqeq: "error",
      "max-depth": ["error", 3],
      "max-len": ["error", { code: 120 }],
      "max-lines": ["error", 300],
      "max-lines-per-function": ["error", 60],
      "no-implicit-globals": "error",
      "no-param-reassign": "error",
      "no-shadow": "error",
      "no-undef": "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["assets/panes/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["tests/panes/**/*.js", "eslint.config.js"], languageOptions: { globals: globals.node } },
  {
    files: ["assets/panes/**/*.js"],
    rules: {
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: AS_TEXT })),
      ],
      // Names of browsers' globals that are easily meant as names of one's own.
      "no-restricted-globals": ["error", "name", "event", "status", "open", "close", "stop", "print", "find", "length"],
    },
  },
];
