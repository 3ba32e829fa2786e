// Small charts, drawn as SVG.
"use strict";

const charts = {};

/** Bars of one value per sample from a zero line; each bar is a link. */
charts.bars = (title, values, { limit, labels, links, selected = -1, outcomes }) => {
  const width = 26, gap = 8, half = 34;
  const size = Math.max(1, values.length) * (width + gap) + gap;
  const chart = svg("svg", { viewBox: `0 0 ${size} ${2 * half + 8}`, class: "bars", width: size, height: 2 * half + 8, role: "group", "aria-label": title });
  chart.append(svg("line", { x1: 0, x2: size, y1: half + 4, y2: half + 4, class: "axis" }));
  values.forEach((value, at) => {
    const share = Number.isNaN(value) || !limit ? 0 : Math.max(-1, Math.min(1, value / limit));
    const x = gap + at * (width + gap);
    const height = Math.max(1.5, Math.abs(share) * half);
    const link = svg("a", { href: links[at], class: at === selected ? "selected" : "", "aria-label": `${labels[at]}: ${text.signed(value, 3)}` });
    const name = svg("title");
    name.textContent = `${labels[at]}: ${text.signed(value, 3)}`;
    link.append(name, svg("rect", { x: x - gap / 2, y: 0, width: width + gap, height: 2 * half + 8, class: "target" }),
      svg("rect", { x, y: share < 0 ? half + 4 : half + 4 - height, width, height, rx: 2, class: `f-${outcomes[at]}` }));
    chart.append(link);
  });
  return h("figure.chart", {}, h("figcaption", {}, title), h("div.chart-scroll", {}, chart));
};

/** Parts of a whole as one stacked bar with a legend: [[name, value, class], ...]. */
charts.stack = (title, parts) => {
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  const bar = h("div.stack", { role: "img", "aria-label": `${title}: ${parts.map(([name, value]) => `${name} ${value}`).join(", ")}` });
  for (const [, value, kind] of parts) {
    const part = h("span", { class: kind });
    part.style.flexGrow = value / total;
    if (value) bar.append(part);
  }
  const legend = h("ul.stack-legend", {}, parts.filter(([, value]) => value).map(([name, value, kind]) =>
    h("li", {}, h("span.key", { class: kind, "aria-hidden": "true" }), `${name} `, h("span.value", {}, `${value} (${Math.round((100 * value) / total)} %)`))));
  return h("figure.chart", {}, h("figcaption", {}, title), bar, legend);
};

/** Pass rate and revealed share of one problem by training step; each point is a link to its group. */
charts.history = (index, problem, current, address) => {
  const groups = [];
  for (let group = 0; group < index.groupCount; group++) if (index.groups.problem[group] === problem) groups.push(group);
  groups.sort((a, b) => index.groups.step[a] - index.groups.step[b] || a - b);
  const steps = groups.map((group) => index.groups.step[group]);
  const first = Math.min(...steps), last = Math.max(...steps);
  const width = 320, height = 132, left = 52, right = 10, top = 10, bottom = 26;
  const x = (step) => (first === last ? (width + left - right) / 2 : left + ((step - first) / (last - first)) * (width - left - right));
  const y = (share) => top + (1 - share) * (height - top - bottom);
  const passed = groups.map((group) => passedIn(index, group) / index.groups.size[group]);
  const revealed = groups.map((group) => (index.groups.stage[group] + 1) / Math.max(1, index.groups.stages[group]));
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "history", role: "group", "aria-label": "Pass rate of this problem by step" });
  for (const [share, label] of [[0, "0"], [0.5, "50 %"], [1, "100 %"]]) {
    const tick = svg("text", { x: left - 11, y: y(share) + 4, class: "tick", "text-anchor": "end" });
    tick.textContent = label;
    chart.append(svg("line", { x1: left, x2: width - right, y1: y(share), y2: y(share), class: "grid" }), tick);
  }
  const path = (values) => values.map((value, at) => `${at ? "L" : "M"}${x(steps[at]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const stairs = revealed.map((value, at) => (at ? `H${x(steps[at]).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(steps[0]).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
  chart.append(svg("path", { d: stairs, class: "revealed" }), svg("path", { d: path(passed), class: "line" }));
  groups.forEach((group, at) => {
    const label = `step ${steps[at]}: ${passedIn(index, group)} of ${index.groups.size[group]} passed, ${text.stage(index.groups.stage[group], index.groups.stages[group])}`;
    const link = svg("a", { href: address(group), class: group === current ? "selected" : "", "aria-label": label });
    const name = svg("title");
    name.textContent = label;
    link.append(name, svg("circle", { cx: x(steps[at]), cy: y(passed[at]), r: group === current ? 6 : 4 }));
    chart.append(link);
  });
  const ends = first === last ? [[first, "middle"]] : [[first, "start"], [last, "end"]];
  for (const [step, anchor] of ends) {
    const tick = svg("text", { x: x(step), y: height - 7, class: "tick", "text-anchor": anchor });
    tick.textContent = `step ${step}`;
    chart.append(tick);
  }
  return h("figure.chart", {}, chart, h("ul.stack-legend", {},
    h("li", {}, h("span.key.line-key", { "aria-hidden": "true" }), "pass rate"),
    h("li", {}, h("span.key.revealed-key", { "aria-hidden": "true" }), "share of stages still given")));
};
