// What the page's server is asked, and how it is told when it refuses or does not answer.

const NO_ANSWER = "The page's server does not answer";

// Where something of a run is served, relative to the page, which may be below any path.
export const address = (key, name) => `run/${key}/${name}`;

// Whether what a pane was told says the same: Gradio may tell it once more, in another object, and does not say so.
export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Why the server refused something, in its words: Gradio's server puts them into JSON.
export async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).detail ?? text;
  } catch {
    return text || `${NO_ANSWER} (status ${response.status}).`;
  }
}

// The message of an error, behind what went wrong by it.
export function because(what, { message }) {
  const clause = message.startsWith(NO_ANSWER) ? message[0].toLowerCase() + message.slice(1) : message;
  return `${what}: ${clause}`;
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    throw new Error(`${NO_ANSWER} (${error.message}).`, { cause: error });
  }
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

// The JSON document of an answer.
export async function parse(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new Error(`${NO_ANSWER} as expected (${error.message}). Reload the page.`, { cause: error });
  }
}

// Ask for a JSON document; what is thrown has a message for the user.
export async function get(url) {
  return parse(await ask(url));
}

// Send a JSON document, also while the page is being closed.
export function post(url, document) {
  return ask(url, {
    method: "POST",
    body: JSON.stringify(document),
    headers: { "Content-Type": "application/json" },
    keepalive: true,
  });
}

// The bytes of a text in Base64.
export function decode(text, Numbers = Uint8Array) {
  return Numbers.from(atob(text), (letter) => letter.charCodeAt(0));
}
