// Virtual lists of samples and of groups: only the rows in sight are elements.
"use strict";

const list = { ROW: 38 };

list.SAMPLE_COLUMNS = (index) => [
  { name: "Problem", sort: "problem", size: "minmax(16.4rem, 1.3fr)", cell: (row, state) => problemLink(index, index.groupOf[row], filters.address(state, { view: "sample", id: row })) },
  index.suites.length > 1 && suiteColumn(index, (row) => index.groupOf[row]),
  !index.isRun && index.largest > 1 && { name: "Sample", sort: "sample", size: "4.6rem", number: true, cell: (row) => text.count(index.samples.number[row] + 1) },
  { name: "Outcome", sort: "outcome", size: "8rem", cell: (row) => outcomeBadge(index.outcomes[index.samples.outcome[row]]) },
  index.isRun && { name: "Reward", sort: "reward", size: "6.6rem", number: true, cell: (row) => [signedBar(index.samples.reward[row], index.rewardLimit), h("span.value", {}, text.signed(index.samples.reward[row]))] },
  index.isRun && { name: "Advantage", sort: "advantage", size: "6.6rem", number: true, cell: (row) => [signedBar(index.samples.advantage[row], index.advantageLimit), h("span.value", {}, text.signed(index.samples.advantage[row]))] },
  { name: "Tests", sort: "tests", size: "4.2rem", number: true, cell: (row) => (index.samples.tests[row] ? `${index.samples.passed[row]}/${index.samples.tests[row]}` : "–") },
  { name: "Tokens", sort: "tokens", size: "4.6rem", number: true, cell: (row) => [text.count(index.samples.tokens[row]), index.ends[index.samples.end[row]] === "length" ? h("abbr", { title: "cut off at the limit" }, "…") : ""] },
  index.isRun && { name: "Step", sort: "step", size: "4rem", number: true, cell: (row) => String(index.groups.step[index.groupOf[row]]) },
  index.isRun && { name: "Stage", sort: "stage", size: "5.4rem", cell: (row) => text.stage(index.groups.stage[index.groupOf[row]], index.groups.stages[index.groupOf[row]]) },
  { name: "Tier", sort: "tier", size: "6.4rem", cell: (row) => index.tiers[index.groups.tier[index.groupOf[row]]] },
  { name: "Completion", size: "minmax(10rem, 2.2fr)", preview: true, cell: (row) => (stepcoder.pieces.get("previews") || [])[row] || "" },
].filter(Boolean);

list.GROUP_COLUMNS = (index) => [
  { name: "Problem", sort: "problem", size: "minmax(16.4rem, 1.2fr)", cell: (group, state) => problemLink(index, group, filters.address(state, { view: "group", id: group })) },
  index.suites.length > 1 && suiteColumn(index, (group) => group),
  { name: "Outcomes of its samples", size: "minmax(11rem, 1.4fr)", cell: (group) => outcomeStrip(index, group) },
  { name: "Passed", sort: "passed", size: "5.4rem", number: true, cell: (group) => `${passedIn(index, group)}/${index.groups.size[group]}` },
  index.isRun && { name: "Mean reward", sort: "reward", size: "8rem", number: true, cell: (group) => {
    const mean = meanReward(index, group);
    return [signedBar(mean, index.rewardLimit), h("span.value", {}, text.signed(mean))];
  } },
  index.isRun && { name: "Step", sort: "step", size: "4rem", number: true, cell: (group) => String(index.groups.step[group]) },
  index.isRun && { name: "Stage", sort: "stage", size: "6rem", cell: (group) => text.stage(index.groups.stage[group], index.groups.stages[group]) },
  { name: "Tier", sort: "tier", size: "8rem", cell: (group) => index.tiers[index.groups.tier[group]] },
].filter(Boolean);

const suiteColumn = (index, groupOf) =>
  ({ name: "Suite", sort: "suite", size: "7rem", cell: (id) => index.problems[index.groups.problem[groupOf(id)]][0] });

/** A problem's name as a link; of a long one the end is seen, in which names differ, unless it is written from right to left. */
const problemLink = (index, group, href) => {
  const name = index.problems[index.groups.problem[group]][1];
  const cut = /[\u0590-\u08ff\ufb1d-\ufefc]/.test(name) ? name.length : Math.max(0, name.length - 12);
  return h("a.problem", { href, tabindex: "-1", title: name }, h("span", {}, name.slice(0, cut)), name.slice(cut));
};
const rowsOf = (index, group) => Array.from({ length: index.groups.size[group] }, (_, at) => index.first[group] + at);
const passedIn = (index, group) => rowsOf(index, group).filter((row) => index.outcomes[index.samples.outcome[row]] === "passed").length;
const meanReward = (index, group) => {
  const rewards = rowsOf(index, group).map((row) => index.samples.reward[row]).filter((reward) => !Number.isNaN(reward));
  return rewards.length ? rewards.reduce((a, b) => a + b, 0) / rewards.length : NaN;
};
const outcomeStrip = (index, group) =>
  h("span.strip", { role: "img", "aria-label": rowsOf(index, group).map((row) => text.outcome(index.outcomes[index.samples.outcome[row]])).join(", ") },
    rowsOf(index, group).slice(0, 64).map((row) => h("span.dot", { class: `o-${index.outcomes[index.samples.outcome[row]]}` })));

/** Draw a list into `element`; returns what moves its selection. */
list.draw = (element, ids, columns, state, options) => {
  const sorted = state.sort.replace(/^-/, "");
  const template = columns.map((column) => column.size).join(" ");
  const header = h("div.row.head", { role: "row" }, columns.map((column) => {
    const direction = column.sort === sorted ? (state.sort.startsWith("-") ? "descending" : "ascending") : null;
    return h("div.cell", { role: "columnheader", class: column.number ? "number" : "", "aria-sort": direction },
      column.sort
        ? h("button", { type: "button", onclick: () => options.sort(column.sort === sorted && !state.sort.startsWith("-") ? `-${column.sort}` : column.sort === sorted ? "order" : column.sort) },
          column.name, h("span.arrow", { "aria-hidden": "true" }, direction ? (direction === "ascending" ? "▲" : "▼") : ""))
        : column.name);
  }));
  const body = h("div.rows", { role: "rowgroup" });
  body.style.height = `${ids.length * list.ROW}px`;
  const table = h("div.table", { role: "table", "aria-label": options.label, "aria-rowcount": ids.length + 1 }, header, body);
  table.style.setProperty("--columns", template);
  const scroller = h("div.scroller", { tabindex: "0", role: "region", "aria-label": options.label }, table);
  const empty = ids.length ? null : h("p.empty", {}, options.empty);
  element.replaceChildren(scroller, ...(empty ? [empty] : []));
  let selected = Math.max(0, ids.indexOf(options.selected));
  const shown = new Map(); // rows in sight by their position
  const makeRow = (at) => {
    const row = h("div.row", { role: "row", "aria-rowindex": at + 2, class: at === selected ? "selected" : "", onclick: (event) => {
      if (!event.target.closest("a") && !String(getSelection())) options.open(ids[at]);
    } }, columns.map((column) => h("div.cell", { role: "cell", class: column.preview ? "preview" : column.number ? "number" : "" }, column.cell(ids[at], state))));
    row.style.top = `${at * list.ROW}px`;
    return row;
  };
  const render = (force) => {
    const top = Math.max(0, scroller.scrollTop - 36);
    const from = Math.max(0, Math.floor(top / list.ROW) - 8);
    const to = Math.min(ids.length, Math.ceil((top + scroller.clientHeight) / list.ROW) + 8);
    for (const [at, row] of shown) {
      if (!force && at >= from && at < to) continue;
      row.remove();
      shown.delete(at);
    }
    let next = null;
    for (let at = to - 1; at >= from; at--) {
      if (!shown.has(at)) {
        shown.set(at, makeRow(at));
        body.insertBefore(shown.get(at), next);
      }
      next = shown.get(at);
    }
  };
  scroller.addEventListener("scroll", () => render(false), { passive: true });
  const follow = () => {
    const y = selected * list.ROW;
    const height = scroller.clientHeight - 36;
    if (y < scroller.scrollTop) scroller.scrollTop = y;
    else if (y + list.ROW > scroller.scrollTop + height) scroller.scrollTop = y + list.ROW - height;
    render(true);
  };
  follow();
  if (options.selected !== null && ids.length) follow();
  return {
    refresh: () => render(true),
    move: (by) => {
      selected = Math.max(0, Math.min(ids.length - 1, selected + by));
      options.select(ids[selected]);
      follow();
    },
    open: () => ids.length && options.open(ids[selected]),
  };
};
