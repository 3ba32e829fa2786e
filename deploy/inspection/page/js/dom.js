// Elements and texts.
"use strict";

/** An element: h("a.link", {href}, "text", child, ...). Text is never parsed as HTML, and is `text.plain`. */
const h = (tag, attributes = {}, ...children) => {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className += ` ${value}`;
    else element.setAttribute(key, value === true ? "" : value);
  }
  const shown = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...shown.map((child) => (typeof child === "string" ? text.plain(child) : child)));
  return element;
};

/** An SVG element. */
const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const OUTCOME_NAMES = {
  passed: "passed", failed: "failed", runtime_error: "runtime error", compile_error: "compile error",
  timeout: "timeout", out_of_memory: "out of memory", infra_error: "infra error", not_judged: "not judged",
  not_run: "not run", checker_failed: "checker failed",
};

const text = {
  /** With characters that change the order of those behind them by their codes: code reads as it runs. */
  plain: (value) => value.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => `⟨U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`),
  count: (number) => (Number.isNaN(number) ? "–" : number.toLocaleString("en")),
  signed: (number, digits = 2) =>
    Number.isNaN(number) || number === null ? "–" : (number > 0 ? "+" : number < 0 ? "−" : "") + Math.abs(number).toFixed(digits),
  number: (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replaceAll("-", "−");
    return value.toFixed(size >= 100 ? 1 : 4).replace("-", "−");
  },
  seconds: (value) => (value < 1 ? `${(1000 * value).toFixed(value < 0.1 ? 1 : 0)} ms` : `${value.toFixed(2)} s`),
  outcome: (outcome) => OUTCOME_NAMES[outcome] || outcome,
  end: (reason) => ({ stop: "the policy", length: "the token limit", abort: "the engine", refused: "a refusal of the prompt" })[reason] || reason,
  stage: (stage, stages) => (stage < 0 ? "full task" : `${stage + 1} of ${stages}`),
  plural: (number, noun) => `${text.count(number)} ${noun}${number === 1 ? "" : "s"}`,
  /** Where something stands among what the filters select. */
  place: (place, total) => (place < 0 ? `not among the ${text.count(total)} of the list` : `number ${text.count(place + 1)} of the ${text.count(total)} in the list`),
  /** What a token writes, with its white space visible. */
  visible: (token) =>
    token.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍").replaceAll("\0", "␀"),
};

/** A coloured mark and the outcome in words. */
const outcomeBadge = (outcome) =>
  h("span.outcome", {}, h("span.dot", { class: `o-${outcome}`, "aria-hidden": "true" }), text.outcome(outcome));

/** A value between two ends as a bar from zero. */
const signedBar = (value, limit) => {
  const share = Number.isNaN(value) || !limit ? 0 : Math.min(1, Math.abs(value) / limit);
  const bar = h("span.bar", { "aria-hidden": "true" });
  const fill = h("span.fill", { class: value < 0 ? "negative" : "positive" });
  fill.style.width = `${50 * share}%`;
  if (value < 0) fill.style.right = "50%";
  else fill.style.left = "50%";
  bar.append(fill);
  return bar;
};

/** A titled part of a view. */
const panel = (title, ...children) => h("section.panel", {}, h("h2", {}, title), ...children);

/** A list of facts: [[name, value], ...]; empty values are left out. */
const facts = (pairs) =>
  h("dl.facts", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
