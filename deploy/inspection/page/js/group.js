// A group: one prompt and its samples side by side.
"use strict";

const groupView = {};

groupView.draw = async (element, index, state, context) => {
  const id = state.id;
  if (id === null || id >= index.groupCount) throw new Error(`no group ${id === null ? "by this address" : id}: there are ${text.count(index.groupCount)}, from 0`);
  const group = await stepcoder.group(id);
  if (!context.current()) return;
  const rows = rowsOf(index, id);
  const outcomes = group.samples.map((sample) => sample.outcome);
  const labels = group.samples.map((sample, at) => `sample ${at + 1}, ${text.outcome(sample.outcome)}`);
  const links = rows.map((row) => filters.address(state, { view: "sample", id: row }));
  const badge = (value) => h("span.badge", {}, value);
  const bars = (title, values, limit) => charts.bars(title, values, { limit, labels, links, outcomes });
  const states = new Set(group.samples.flatMap((sample) => [...sample.states]));
  const example = { states: [...states].join(""), left_out: group.samples.some((sample) => (sample.left_out || []).some(([reason]) => reason)) ? [["masked", 1]] : null };
  element.replaceChildren(
    h("div.crumbs", {}, h("a", { href: filters.address(state, { view: context.back, id: null }) }, `← ${context.back === "samples" ? "Samples" : index.isRun ? "Groups" : "Problems"}`),
      h("span.muted.place", {}, text.place(context.place, context.total)),
      h("span.steps", {},
        context.previous === null ? null : h("a.step", { href: filters.address(state, { id: context.previous }), "aria-label": "previous group" }, "k ↑"),
        context.next === null ? null : h("a.step", { href: filters.address(state, { id: context.next }), "aria-label": "next group" }, "j ↓"))),
    h("div.title", {}, h("h1", {}, group.problem), badge(group.tier), group.suite && badge(group.suite), group.published && badge(`published ${group.published}`), index.isRun && badge(`step ${group.step}`),
      index.isRun && badge(group.stage < 0 ? "full task" : `stage ${text.stage(group.stage, group.stages)}`), badge(`${passedIn(index, id)} of ${group.samples.length} passed`)),
    h("div.group-head", { class: index.isRun ? "" : "two" },
      panel("Question", h("div.question", {}, group.question), sampleView.prompt(group)),
      panel("Its samples", index.isRun ? bars("Reward", group.samples.map((sample) => (sample.reward === null ? NaN : sample.reward)), index.rewardLimit) : bars("Tests passed", group.samples.map((sample) => sample.results.filter(([outcome]) => outcome === "passed").length / Math.max(1, sample.results.length)), 1),
        index.isRun ? bars("Advantage, mean over tokens", group.samples.map((sample) => (sample.advantage === null ? NaN : sample.advantage)), index.advantageLimit) : null),
      index.isRun ? panel("This problem over training", charts.history(index, index.groups.problem[id], id, (other) => filters.address(state, { view: "group", id: other }))) : null),
    ...[completion.legend(example, ""), program.legend(group.samples.filter(completion.absent).map((sample) => sample.marks).join(""))].filter(Boolean),
    h("div.side-by-side", { tabindex: "0", role: "region", "aria-label": "Samples side by side" }, group.samples.map((sample, at) =>
      h("article.sample-card", { "aria-label": labels[at] },
        h("header", {}, h("a", { href: links[at] }, `Sample ${at + 1}`), outcomeBadge(sample.outcome),
          h("span.spacer"), index.isRun ? h("span.value", {}, text.signed(sample.reward)) : null),
        completion.absent(sample) ? program.block(sample.program, sample.marks, sample.error_line, `Program of sample ${at + 1}`)
          : completion.block(sample, group.prefix, "", `Completion of sample ${at + 1}`),
        h("footer", {}, h("span.strip", { role: "img", "aria-label": `${sample.results.filter(([outcome]) => outcome === "passed").length} of ${sample.results.length} tests passed` },
          sample.results.slice(0, 48).map(([outcome]) => h("span.dot", { class: `o-${outcome}` }))),
          sample.token_count === null ? null : h("span.muted", {}, text.plural(sample.token_count === undefined ? sample.tokens.length : sample.token_count, "token")))))));
};
