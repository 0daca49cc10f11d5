// Requests to the daemon. A session that ended is renewed by whoever signs in, and the request is made again: no view loses its place.

const BASE = new URL("api/v1/", document.baseURI);

/** What the daemon answered instead of what was asked for. */
export class Failure extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.hint = error.hint ?? null;
  }
}

let csrf = null;
let renew = async () => {};

/** The word that proves that a request comes from this page. */
export function setCsrf(word) {
  csrf = word;
}

/** What is done when the session has ended; the request waits for it. */
export function onSessionEnd(handler) {
  renew = handler;
}

/** The address of something below /api/v1. A `path` in the query is percent-encoded already. */
export function address(words, query = {}) {
  const path = words.map(encodeURIComponent).join("/");
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = pairs.map(([name, value]) => `${name}=${name === "path" ? value : encodeURIComponent(value)}`).join("&");
  return new URL(text ? `${path}?${text}` : path, BASE);
}

/** Asks for JSON: `get(["nodes", name])`. */
export function get(words, query, signal) {
  return withRenewal("GET", words, { query, signal });
}

/** Sends JSON. */
export function post(words, body = {}) {
  return withRenewal("POST", words, { body });
}

/** As the three above, without renewal: for the session itself. */
export async function ask(method, words, { query, body, signal } = {}) {
  const answer = await reach(address(words, query), options(method, body, signal));
  const text = await answer.text();
  const told = parse(text);
  if (!answer.ok) throw new Failure(answer.status, told?.error ?? unclear(answer));
  return told;
}

async function withRenewal(method, words, rest) {
  try {
    return await ask(method, words, rest);
  } catch (failure) {
    if (failure.status !== 401) throw failure;
    await renew();
    return ask(method, words, rest);
  }
}

function options(method, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET" && csrf) headers["X-Nodekeep-Csrf"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const content = body === undefined ? undefined : JSON.stringify(body);
  return { method, headers, body: content, signal, credentials: "same-origin", redirect: "error", cache: "no-store" };
}

async function reach(url, how) {
  try {
    return await fetch(url, how);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, { code: "unreachable", message: "The daemon does not answer.", hint: "Is it running? nodekeep daemon status" });
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // No JSON is no reason to fail on its own: the status says what happened.
  }
}

function unclear(answer) {
  return { code: "unclear", message: `The daemon answered ${answer.status} ${answer.statusText}.`, hint: null };
}
