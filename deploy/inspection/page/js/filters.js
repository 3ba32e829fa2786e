// Filters: what the address says, which samples it selects, and in which order.
"use strict";

const filters = {
  /** Lists of names: their key in the address, and in a state. */
  LISTS: { tier: "tiers", outcome: "outcomes", error: "errors", ended: "ends", suite: "suites", quarter: "quarters", stage: "stages" },
};

filters.SORTS = {
  order: (index) => (row) => row,
  problem: (index) => (row) => filters.problemRank(index)[index.groups.problem[index.groupOf[row]]],
  tier: (index) => (row) => index.groups.tier[index.groupOf[row]],
  step: (index) => (row) => index.groups.step[index.groupOf[row]],
  stage: (index) => (row) => index.groups.stage[index.groupOf[row]],
  outcome: (index) => (row) => index.samples.outcome[row],
  reward: (index) => (row) => index.samples.reward[row],
  advantage: (index) => (row) => index.samples.advantage[row],
  tokens: (index) => (row) => index.samples.tokens[row],
  tests: (index) => (row) => index.samples.passed[row] / Math.max(1, index.samples.tests[row]),
  suite: (index) => (row) => filters.suiteRank(index)[index.groups.problem[index.groupOf[row]]],
  sample: (index) => (row) => index.samples.number[row],
  passed: (index) => (row) => filters.groupValue(index, index.groupOf[row], "passed"),
};

/** The place of each problem's suite. */
filters.suiteRank = (index) => {
  const suites = [...new Set(index.problems.map(([suite]) => suite))];
  return index.problems.map(([suite]) => suites.indexOf(suite));
};

/** What a list of groups is sorted by, where that is of the group and not of a sample. */
filters.groupValue = (index, group, name) => {
  if (name === "reward") return meanReward(index, group);
  return name === "passed" ? passedIn(index, group) / index.groups.size[group] : NaN;
};

/** Names in an address: separated by commas, with those of their own escaped. */
filters.joined = (names) => [...names].map((name) => name.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
filters.split = (written) => written.split(",").filter(Boolean).map((name) => name.replaceAll("%2C", ",").replaceAll("%25", "%"));

/** The rank of each problem by its name. */
filters.problemRank = (index) => {
  if (!filters.ranks) {
    const order = index.problems.map((_, problem) => problem);
    const name = (problem) => index.problems[problem].join("/");
    order.sort((a, b) => name(a).localeCompare(name(b), "en", { numeric: true }));
    filters.ranks = new Int32Array(order.length);
    order.forEach((problem, rank) => (filters.ranks[problem] = rank));
  }
  return filters.ranks;
};

/** The state that an address stands for: #view/id?key=value&... */
filters.parse = (hash) => {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const [view, id] = path.split("/");
  const given = new URLSearchParams(query);
  const list = (name) => new Set(filters.split(given.get(name) || ""));
  const range = (name) => {
    const [low, high] = (given.get(name) || "..").split("..");
    const end = (value, otherwise) => (value === undefined || value === "" || Number.isNaN(Number(value)) ? otherwise : Number(value));
    return [end(low, -Infinity), end(high, Infinity)];
  };
  const sort = given.get("sort") || "order";
  return {
    view: ["samples", "groups", "sample", "group"].includes(view) ? view : "samples",
    id: /^\d+$/.test(id || "") ? Number(id) : null,
    ...Object.fromEntries(Object.entries(filters.LISTS).map(([name, key]) => [key, list(name)])),
    steps: range("step"), rewards: range("reward"),
    problem: given.get("problem") || "", text: given.get("text") || "", colour: given.get("colour") || "",
    sort: filters.SORTS[sort.replace(/^-/, "")] ? sort : "order",
  };
};

/** The address of a state, with some of it changed. */
filters.address = (state, changes = {}) => {
  const next = { ...state, ...changes };
  const query = new URLSearchParams();
  const put = (name, value) => value && query.set(name, value);
  for (const [name, key] of Object.entries(filters.LISTS)) put(name, filters.joined(next[key]));
  for (const [name, [low, high]] of [["step", next.steps], ["reward", next.rewards]]) {
    const end = (value) => (Number.isFinite(value) ? value : "");
    if (Number.isFinite(low) || Number.isFinite(high)) query.set(name, `${end(low)}..${end(high)}`);
  }
  put("problem", next.problem);
  put("text", next.text);
  put("colour", next.colour);
  if (next.sort !== "order") query.set("sort", next.sort);
  const path = next.id === null || next.view.endsWith("s") ? next.view : `${next.view}/${next.id}`;
  const written = query.toString().replaceAll("%2C", ",");
  return `#${path}${written ? `?${written}` : ""}`;
};

/** The samples that a state selects, sorted; `texts` are the lower-cased texts if it searches. */
filters.select = (index, state, texts) => {
  const { groups, samples, groupOf } = index;
  const codes = (names, wanted) => wanted.size && new Set(names.map((name, code) => [name, code]).filter(([name]) => wanted.has(name)).map(([, code]) => code));
  const tiers = codes(index.tiers, state.tiers), outcomes = codes(index.outcomes, state.outcomes);
  const errors = codes(index.errors, state.errors), ends = codes(index.ends, state.ends);
  const stages = state.stages.size && new Set([...state.stages].map(Number));
  const problem = state.problem.toLowerCase(), needle = state.text.toLowerCase();
  const wanted = index.problems.map(([suite, id], at) => (!state.suites.size || state.suites.has(suite)) &&
    (!state.quarters.size || state.quarters.has(index.quarters[at] || "no date")) && (!problem || id.toLowerCase().includes(problem)));
  const [firstStep, lastStep] = state.steps, [lowest, highest] = state.rewards;
  const bySteps = Number.isFinite(firstStep) || Number.isFinite(lastStep);
  const byReward = Number.isFinite(lowest) || Number.isFinite(highest);
  const rows = [];
  for (let group = 0; group < index.groupCount; group++) {
    if (!wanted[groups.problem[group]] || (tiers && !tiers.has(groups.tier[group]))) continue;
    if (stages && !stages.has(groups.stage[group])) continue;
    if (bySteps && !(groups.step[group] >= firstStep && groups.step[group] <= lastStep)) continue;
    for (let row = index.first[group]; row < index.first[group + 1]; row++) {
      if (outcomes && !outcomes.has(samples.outcome[row])) continue;
      if ((errors && !errors.has(samples.error[row])) || (ends && !ends.has(samples.end[row]))) continue;
      if (byReward && !(samples.reward[row] >= lowest && samples.reward[row] <= highest)) continue;
      if (needle && !(texts && texts[row].includes(needle))) continue;
      rows.push(row);
    }
  }
  const ids = Int32Array.from(rows);
  if (state.sort === "order") return ids;
  const key = filters.SORTS[state.sort.replace(/^-/, "")](index);
  const sign = state.sort.startsWith("-") ? -1 : 1;
  const keys = new Float64Array(index.count);
  for (const row of ids) keys[row] = key(row);
  // What has no value comes last in either direction.
  const rank = (row) => (Number.isNaN(keys[row]) ? Infinity : sign * keys[row]);
  return ids.sort((a, b) => rank(a) - rank(b) || a - b);
};

/** The groups of some samples, in the order in which they are met, or by what is of the whole group. */
filters.groupsOf = (index, rows, state) => {
  const seen = new Uint8Array(index.groupCount);
  const found = [];
  for (const row of rows) {
    const group = index.groupOf[row];
    if (!seen[group]) found.push(group);
    seen[group] = 1;
  }
  const sorted = state.sort.replace(/^-/, "");
  if (!["reward", "passed"].includes(sorted)) return Int32Array.from(found);
  const sign = state.sort.startsWith("-") ? -1 : 1;
  const values = new Map(found.map((group) => [group, filters.groupValue(index, group, sorted)]));
  const rank = (group) => (Number.isNaN(values.get(group)) ? Infinity : sign * values.get(group));
  return Int32Array.from(found.sort((a, b) => rank(a) - rank(b) || a - b));
};

/** Whether anything is filtered. */
filters.active = (state) =>
  Object.values(filters.LISTS).some((key) => state[key].size) ||
  [...state.steps, ...state.rewards].some(Number.isFinite) || state.problem !== "" || state.text !== "";
