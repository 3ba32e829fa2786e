// A completion, token by token: what ran, what was learned from, and every number of a token.
"use strict";

const completion = {};

completion.STATES = {
  x: ["executed", "on a statement that a test executed"],
  n: ["not executed", "on a statement that no test executed"],
  c: ["cut away", "not part of the program that was run"],
  u: ["unknown", "nothing was executed, or the program tampered with its coverage"],
  s: ["no text", "such as the end of the sequence"],
};

completion.REASONS = {
  "not executed": "no test executed its statement (FGO)",
  "not blamed": "a test executed it, and it did not lead to what the program raised (learner.mask error)",
  "before divergence": "the canonical solution begins in the same way (learner.mask divergence)",
  "at random": "dropped at random (learner.mask random, random_error, random_divergence)",
  "cut away": "its text was cut away behind the program",
  truncated: "the response was cut off at its limit",
  aborted: "the engine aborted the response",
};

completion.VALUES = {
  engine: ["engine log-probability", "nats"], learner: ["learner log-probability", "nats"],
  ratio: ["ratio learner / engine", ""], reference: ["reference log-probability", "nats"],
  kl: ["KL to the reference (k1)", "nats"], entropy: ["entropy", "nats"], value: ["critic's value", ""],
  return: ["return", ""], advantage: ["advantage", ""], weight: ["importance weight", ""],
};

/** Whether a program was given, and no model of this evaluation wrote a completion. */
completion.absent = (sample) => sample.token_count === null && !sample.tokens.length;

/** Why each token is not in the policy loss; null where that is not known. */
completion.reasons = (sample) =>
  sample.left_out && sample.left_out.flatMap(([reason, tokens]) => new Array(tokens).fill(reason));

/** The rule that cut each token away, by its first byte. */
completion.rules = (sample) => {
  const encoder = new TextEncoder();
  let at = 0;
  return sample.tokens.map((token) => {
    const cut = sample.cuts.find(([begin, end]) => begin <= at && at < end);
    at += encoder.encode(token).length;
    return cut ? cut[2] : "";
  });
};

/** Colours of a token by one of its numbers: [background, ...] by share from -1 to 1. */
const heat = (numbers, name) => {
  const centre = name === "ratio" || name === "weight" ? 1 : 0;
  const sizes = numbers.map((value) => Math.abs(value - centre)).sort((a, b) => a - b);
  const limit = sizes[Math.floor(0.98 * (sizes.length - 1))] || 1e-9;
  return numbers.map((value) => {
    const share = Math.max(-1, Math.min(1, (value - centre) / limit));
    return `color-mix(in srgb, var(${share < 0 ? "--cold" : "--warm"}) ${Math.round(62 * Math.abs(share))}%, transparent)`;
  });
};

/** The completion behind its prefix as a block of code. */
completion.block = (sample, prefix, colour, label) => {
  const reasons = completion.reasons(sample);
  const code = h("pre.completion", { tabindex: "0", role: "group", "aria-label": label });
  if (prefix) code.append(h("span.prefix", {}, prefix));
  const numbers = colour && sample.values[colour];
  const shades = numbers && numbers.length === sample.tokens.length ? heat(numbers, colour) : null;
  const made = document.createDocumentFragment();
  sample.tokens.forEach((token, at) => {
    const state = sample.states[at];
    const masked = reasons && reasons[at] ? " m" : "";
    const element = document.createElement("span");
    element.className = shades ? `t${masked}` : `t ${state}${masked}`;
    element.dataset.at = at;
    element.textContent = text.plain(token) || (state === "s" ? "▪" : "");
    if (shades) element.style.background = shades[at];
    made.append(element);
  });
  code.append(made);
  if (!sample.tokens.length) code.append(h("span.prefix", {}, "(empty)"));
  completion.listen(code, sample, reasons);
  return code;
};

/** Hovering a token, or moving over the block with the arrow keys, shows its card. */
completion.listen = (code, sample, reasons) => {
  let current = null, rules = null;
  const show = (element) => {
    rules = rules || completion.rules(sample);
    if (current) current.classList.remove("current");
    current = element;
    element.classList.add("current");
    completion.showCard(element, sample, Number(element.dataset.at), reasons, rules);
  };
  const leave = () => {
    if (current) current.classList.remove("current");
    current = null;
    document.getElementById("card").hidden = true;
  };
  code.addEventListener("mouseover", (event) => {
    const element = event.target.closest(".t");
    if (element) show(element);
  });
  code.addEventListener("mouseleave", leave);
  code.addEventListener("blur", leave);
  code.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || !sample.tokens.length) return;
    const at = current ? Math.max(0, Math.min(sample.tokens.length - 1, Number(current.dataset.at) + by)) : 0;
    show(code.querySelector(`[data-at="${at}"]`));
    current.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  });
};

/** Where a token is seen: of one that ends its line, the indentation on the next. */
const seenBox = (element) => [...element.getClientRects()].sort((a, b) => b.width - a.width)[0] || element.getBoundingClientRect();

completion.showCard = (element, sample, at, reasons, rules) => {
  const card = document.getElementById("card");
  const state = sample.states[at];
  const [name, meaning] = completion.STATES[state];
  const reason = reasons && reasons[at];
  const values = Object.entries(completion.VALUES).filter(([key]) => sample.values[key] && sample.values[key].length === sample.tokens.length);
  card.replaceChildren(
    h("div.token-head", {}, h("code", {}, text.visible(element.textContent.slice(0, 60)) || "␂"),
      h("span.muted", {}, sample.ids ? `token ${at + 1} of ${sample.tokens.length}, id ${sample.ids[at]}` : "")),
    h("div.token-state", {}, h("span.key.t", { class: state }), h("strong", {}, name), ` ${state === "c" && rules[at] ? `by the rule “${rules[at]}”` : meaning}`),
    ...(reasons ? [h("div.token-state", {}, h("span.key.t", { class: reason ? "m" : "" }), h("strong", {}, reason ? "not learned from" : "learned from"), reason ? ` ${completion.REASONS[reason] || reason}` : " in the policy loss")] : []),
    ...(values.length ? [h("dl", {}, values.map(([key, [label, unit]]) => [h("dt", {}, label), h("dd", {}, `${text.number(sample.values[key][at])}${unit ? ` ${unit}` : ""}`)]))] : []),
  );
  card.hidden = false;
  const box = seenBox(element), own = card.getBoundingClientRect();
  const block = element.closest("pre").getBoundingClientRect();
  // In a wide block the card stands at its right end, beside the code; else below or above the token.
  const beside = box.right + own.width + 32 < block.right;
  const below = box.bottom + 8 + own.height < innerHeight;
  card.style.left = `${beside ? block.right - own.width - 14 : Math.max(8, Math.min(innerWidth - own.width - 8, box.left))}px`;
  const top = beside ? box.top - 14 : below ? box.bottom + 8 : box.top - own.height - 8;
  card.style.top = `${Math.max(8, Math.min(innerHeight - own.height - 8, top))}px`;
};

/** What the colours mean, for the states that occur. */
completion.legend = (sample, colour) => {
  const reasons = completion.reasons(sample);
  const items = colour
    ? [h("li", {}, h("span.key.scale", { "aria-hidden": "true" }), colour === "ratio" || colour === "weight" ? "below and above 1" : "negative and positive")]
    : Object.entries(completion.STATES).filter(([state]) => sample.states.includes(state)).map(([state, [name, meaning]]) =>
      h("li", { title: meaning }, h("span.key.t", { class: state, "aria-hidden": "true" }), name));
  if (reasons && reasons.some(Boolean)) items.push(h("li", { title: "not in the policy loss" }, h("span.key.t.m", { "aria-hidden": "true" }), "masked out of the loss"));
  return items.length > 0 && h("ul.legend", {}, items);
};
