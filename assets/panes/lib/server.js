// Requests to the page's server, and the messages when it refuses or does not answer.

const NO_ANSWER = "The page's server does not answer";

// Return the address of something of a run, relative to the page, which may be below any path.
export const address = (key, name) => `run/${key}/${name}`;

// Tell whether two values of a pane are equal: Gradio may send the same value again as another object.
export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Return why the server refused a request, in its words; Gradio's server puts them into JSON.
export async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).detail ?? text;
  } catch {
    return text || `${NO_ANSWER} (status ${response.status}).`;
  }
}

// Return a message: what went wrong, and why.
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

// Return the JSON document of an answer.
export async function parse(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new Error(`${NO_ANSWER} as expected (${error.message}). Reload the page.`, { cause: error });
  }
}

// Request a JSON document; an error has a message for the user.
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

// Return the bytes of a text in Base64.
export function decode(text, Numbers = Uint8Array) {
  return Numbers.from(atob(text), (letter) => letter.charCodeAt(0));
}
