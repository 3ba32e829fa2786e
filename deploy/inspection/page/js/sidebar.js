// The form of the filters.
"use strict";

const sidebar = {};
/** As `deploy/inspection/site.py` calls a sample without one. */
const NO_EXCEPTION = "no exception";

/** Draw the form once; `change(changes)` is told what someone chose. */
sidebar.build = (element, index, change) => {
  const count = (codes, size) => {
    const counts = new Array(size).fill(0);
    for (const code of codes) counts[code] += 1;
    return counts;
  };
  const perSample = (column) => Array.from(index.groupOf, (group) => column[group]);
  const order = [...Object.keys(OUTCOME_NAMES), "introductory", "interview", "competition"];
  const choice = (title, key, names, counts, label = (name) => name) =>
    h("fieldset", {}, h("legend", {}, title), names.map((name, code) => [name, code]).filter(([name]) => name !== NO_EXCEPTION).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)).map(([name, code]) =>
      h("label.check", {}, h("input", {
        type: "checkbox", "data-key": key, value: name,
        onchange: () => change({ [key]: new Set([...element.querySelectorAll(`[data-key=${key}]:checked`)].map((box) => box.value)) }),
      }), h("span.name", {}, label(name)), h("span.count", {}, text.count(counts[code])))));
  const field = (title, name, placeholder, key) =>
    h("label.field", {}, h("span", {}, title), h("input", {
      type: "search", id: name, placeholder, autocomplete: "off", spellcheck: "false",
      oninput: debounced((event) => change({ [key]: event.target.value.trim() })),
    }));
  const range = (title, key, step) => {
    const end = (place, label) => h("input", {
      type: "number", step, "data-range": `${key}${place}`, "aria-label": `${title} ${label}`, placeholder: label,
      oninput: debounced(() => {
        const ends = [0, 1].map((at) => element.querySelector(`[data-range=${key}${at}]`).value);
        change({ [key]: [ends[0] === "" ? -Infinity : Number(ends[0]), ends[1] === "" ? Infinity : Number(ends[1])] });
      }),
    });
    return h("fieldset", {}, h("legend", {}, title), h("div.range", {}, end(0, "from"), h("span", { "aria-hidden": "true" }, "–"), end(1, "to")));
  };
  const suites = index.suites, suiteOf = filters.suiteRank(index);
  const quarters = index.quarters.some(Boolean) ? [...new Set(index.quarters.map((quarter) => quarter || "no date"))].sort() : [];
  const quarterOf = index.quarters.map((quarter) => quarters.indexOf(quarter || "no date"));
  const stages = [...new Set(index.groups.stage)].sort((a, b) => a - b);
  const stageCode = new Map(stages.map((stage, code) => [stage, code]));
  element.replaceChildren(...[
    index.notice && h("p.notice", {}, index.notice),
    ...sidebar.figures(index.figures),
    field("Text of a completion", "search", "press / to search", "text"),
    h("p.searching", { role: "status" }),
    field("Problem", "problem", "part of its name", "problem"),
    choice("Outcome", "outcomes", index.outcomes, count(index.samples.outcome, index.outcomes.length), outcomeBadge),
    index.errors.length > 1 && choice("Exception", "errors", index.errors, count(index.samples.error, index.errors.length)),
    index.ends.length > 1 && choice("Ended by", "ends", index.ends, count(index.samples.end, index.ends.length), text.end),
    index.tiers.length > 1 && choice("Tier", "tiers", index.tiers, count(perSample(index.groups.tier), index.tiers.length)),
    suites.length > 1 && choice("Suite", "suites", suites, count(perSample(index.groups.problem).map((problem) => suiteOf[problem]), suites.length)),
    quarters.length > 1 && choice("Published", "quarters", quarters, count(perSample(index.groups.problem).map((problem) => quarterOf[problem]), quarters.length)),
    index.isRun && range("Step", "steps", "1"),
    index.isRun && range("Reward", "rewards", "any"),
    index.isRun && stages.length > 1 && choice("Stage", "stages", stages.map(String), count(perSample(index.groups.stage).map((stage) => stageCode.get(stage)), stages.length),
      (stage) => (stage === "-1" ? "full task" : `stage ${Number(stage) + 1}`)),
    h("button.clear", { type: "button", onclick: () => change({ ...Object.fromEntries(Object.values(filters.LISTS).map((key) => [key, new Set()])), steps: [-Infinity, Infinity], rewards: [-Infinity, Infinity], problem: "", text: "" }) }, "Clear filters"),
  ].filter(Boolean));
};

/** pass@k of a finished evaluation, a table for each suite and k. */
sidebar.figures = (figures) => {
  const percent = (share) => (100 * share).toFixed(1);
  return [...new Set(figures.map(({ title }) => title))].map((title) => h("table.figures", {}, h("caption", {}, title),
    h("tbody", {}, figures.filter((row) => row.title === title).map((row) => h("tr", { title: text.plural(row.problems, "problem") },
      h("th", { scope: "row" }, row.kind === "overall" ? "all" : row.name), h("td.value", {}, percent(row.estimate)),
      h("td.value.muted", {}, `${percent(row.low)} – ${percent(row.high)}`))))));
};

/** Show a state in the form. */
sidebar.show = (element, state) => {
  for (const box of element.querySelectorAll("[data-key]")) box.checked = state[box.dataset.key].has(box.value);
  for (const [name, key] of [["search", "text"], ["problem", "problem"]]) {
    const input = element.querySelector(`#${name}`);
    if (input !== document.activeElement) input.value = state[key];
  }
  for (const input of element.querySelectorAll("[data-range]")) {
    const value = state[input.dataset.range.slice(0, -1)][Number(input.dataset.range.at(-1))];
    if (input !== document.activeElement) input.value = Number.isFinite(value) ? value : "";
  }
  element.querySelector(".clear").disabled = !filters.active(state);
};

const debounced = (act) => {
  let timer;
  return (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(event), 150);
  };
};
