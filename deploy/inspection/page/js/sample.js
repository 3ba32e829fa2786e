// One sample: question, completion, program, tests, and what was learned from it.
"use strict";

const sampleView = {};

sampleView.draw = async (element, index, state, context) => {
  const row = state.id;
  if (row === null || row >= index.count) throw new Error(`no sample ${row === null ? "by this address" : row}: there are ${text.count(index.count)}, from 0`);
  const groupId = index.groupOf[row];
  const [group] = await Promise.all([stepcoder.group(groupId), window.hljs ? null : stepcoder.loadScript("vendor/highlight.min.js").catch(() => null)]);
  if (!context.current()) return;
  const sample = group.samples[row - index.first[groupId]];
  const problem = index.groups.problem[groupId];
  const coloured = h("div");
  const options = Object.entries(completion.VALUES).filter(([key]) => sample.values[key]);
  const recolour = (colour) => coloured.replaceChildren(
    h("div.toolbar", {},
      options.length ? h("label.select", {}, h("span", {}, "Colour by"), h("select", { id: "colour", onchange: (event) => context.replace({ colour: event.target.value }) },
        h("option", { value: "" }, "execution"), options.map(([key, [name]]) => h("option", { value: key, selected: key === colour }, name)))) : null,
      completion.legend(sample, colour)),
    completion.block(sample, group.prefix, colour, "Completion, coloured by token"));
  recolour(sample.values[state.colour] ? state.colour : "");
  const badge = (value) => h("span.badge", {}, value);
  element.replaceChildren(
    h("div.crumbs", {},
      h("a", { href: filters.address(state, { view: context.back, id: null }) }, `← ${context.back !== "groups" ? "Samples" : index.isRun ? "Groups" : "Problems"}`),
      h("a", { href: filters.address(state, { view: "group", id: groupId }) }, `Group of ${index.groups.size[groupId]}`),
      h("span.muted.place", {}, text.place(context.place, context.total)),
      h("span.steps", {},
        context.previous === null ? null : h("a.step", { href: filters.address(state, { id: context.previous }), "aria-label": "previous sample" }, "k ↑"),
        context.next === null ? null : h("a.step", { href: filters.address(state, { id: context.next }), "aria-label": "next sample" }, "j ↓"))),
    h("div.title", {}, h("h1", {}, group.problem), outcomeBadge(sample.outcome), badge(group.tier), group.suite && badge(group.suite), group.published && badge(`published ${group.published}`),
      index.isRun && badge(`step ${group.step}`), index.isRun && badge(group.stage < 0 ? "full task" : `stage ${text.stage(group.stage, group.stages)}`), badge(index.isRun ? `sample ${sample.number}` : `sample ${sample.number + 1} of ${index.groups.size[groupId]}`)),
    h("div.columns", {},
      h("div.primary", {},
        panel("Question", h("div.question", {}, group.question), sampleView.prompt(group)),
        completion.absent(sample) ? null : panel("Completion", coloured),
        panel("Program as judged", program.legend(sample.marks) || h("p.muted", {}, "No statement was executed or counted."),
          sample.coverage_tampered ? h("p.warning", {}, "The program touched what coverage relies on: the marks may be wrong, and no token was masked for them.") : null,
          program.block(sample.program, sample.marks, sample.error_line, "Program as judged, with line coverage"),
          sample.error && !sample.results.some(([, message]) => message === sample.error) ? h("pre.error", {}, sample.error) : null),
        panel(`Tests: ${sample.results.filter(([outcome]) => outcome === "passed").length} of ${Math.max(group.tests.length, sample.results.length)} passed`,
          sample.trusted_tests ? null : h("p.muted", {}, "The tests are code that ran beside the program: it could forge its results."),
          program.tests(group.tests, sample.results, group.setup)),
        group.solution ? panel("Canonical solution", h("details", {}, h("summary", {}, "Show the solution"), program.block(group.solution, "", null, "Canonical solution"))) : null),
      h("aside.facts-column", { "aria-label": "Facts" }, sampleView.aside(index, group, sample, row, state))));
};

/** The prompt as the model read it, folded. */
sampleView.prompt = (group) => group.prompt &&
  h("details.prompt", {}, h("summary", {}, `Prompt as the model read it, ${text.plural(group.prompt_tokens, "token")}`),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Prompt" }, group.prompt));

sampleView.aside = (index, group, sample, row, state) => {
  const groupId = index.groupOf[row], problem = index.groups.problem[groupId];
  const siblings = rowsOf(index, groupId);
  const outcomes = siblings.map((sibling) => index.outcomes[index.samples.outcome[sibling]]);
  const seconds = index.seconds[group.step];
  const made = [
    panel("Verdict", facts([
      ["outcome", outcomeBadge(sample.outcome)],
      ["error", sample.error ? h("code.wrap", {}, sample.error.slice(0, 300)) : null],
      ["generation", sample.generation_seconds === null ? null : text.seconds(sample.generation_seconds)],
      ["run time", `${text.seconds(sample.wall_seconds)} (${text.seconds(sample.cpu_seconds)} CPU)`],
      ["isolation", sample.isolation],
      ["ended by", sample.finish_reason && text.end(sample.finish_reason)],
    ])),
  ];
  if (index.isRun) {
    made.push(panel("Reward", facts([
      ["reward", text.signed(sample.reward, 2)],
      ...Object.entries(sample.parts || {}).map(([name, value]) => [{ outcome: "of the outcome", overlong: "overlong response", kl: "KL term, sum of all tokens" }[name] || name, text.signed(value, 3)]),
      ["advantage, mean", sample.advantage === null ? "not trained on" : text.signed(sample.advantage, 3)],
    ])));
    const reasons = completion.reasons(sample);
    if (reasons && reasons.length) {
      const counts = new Map();
      for (const reason of reasons) counts.set(reason, (counts.get(reason) || 0) + 1);
      const kinds = { "": "k-learned", "not executed": "k-missed", "not blamed": "k-missed", "before divergence": "k-missed", "at random": "k-random", "cut away": "k-cut", truncated: "k-truncated", aborted: "k-truncated" };
      made.push(panel("Learned from", charts.stack(`Of ${text.plural(reasons.length, "token")}`, [...counts].map(([reason, count]) => [reason || "in the loss", count, kinds[reason]]))));
    }
  }
  made.push(panel("Its group", charts.bars(index.isRun ? "Reward of each sample" : "Tests passed by each sample",
    siblings.map((sibling) => (index.isRun ? index.samples.reward[sibling] : index.samples.passed[sibling] / Math.max(1, index.samples.tests[sibling]))), {
      limit: index.isRun ? index.rewardLimit : 1, outcomes, selected: siblings.indexOf(row),
      labels: siblings.map((sibling, at) => `sample ${at + 1}, ${text.outcome(outcomes[at])}`),
      links: siblings.map((sibling) => filters.address(state, { view: "sample", id: sibling })),
    })));
  if (index.isRun) {
    made.push(panel("This problem over training", charts.history(index, problem, groupId, (group) => filters.address(state, { view: "group", id: group }))));
    made.push(panel("Origin", facts([
      ["weights", `version ${sample.weight_version}`], ["prompt", text.plural(group.prompt_tokens, "token")], ["completion", text.plural(sample.tokens.length, "token")],
      ...(seconds ? [["rollout", "rollout"], ["sandbox", "judging after it"], ["learn", "update"], ["broadcast", "broadcast"]].filter(([key]) => seconds[key] !== undefined).map(([key, name]) => [`step: ${name}`, text.seconds(seconds[key])]) : []),
    ])));
  }
  return made;
};
