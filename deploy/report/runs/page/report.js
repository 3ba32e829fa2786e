"use strict";
// Builds the page from its data, and again whenever a live run has written more.

const REFRESH_MS = 5000;
const root = document.documentElement;
let data = JSON.parse(document.getElementById("data").textContent);
const hidden = new Map(); // chart id -> names of hidden lines
let plots = [];

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "tone") made.style.setProperty("--tone", value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((c) => c !== null && c !== undefined));
  return made;
}

function stored(name, fallback) {
  try { return localStorage.getItem(`stepcoder-${name}`) ?? fallback; } catch { return fallback; }
}

function store(name, value) {
  try { localStorage.setItem(`stepcoder-${name}`, value); } catch { /* a page from a file may have no storage */ }
}

// ---------------------------------------------------------------- look

const themeSelect = document.getElementById("theme");
const smoothingSelect = document.getElementById("smoothing");
const darkPreferred = matchMedia("(prefers-color-scheme: dark)");
themeSelect.value = stored("theme", "auto");
smoothingSelect.value = stored("smoothing", "0");

function isDark() {
  return themeSelect.value === "auto" ? darkPreferred.matches : themeSelect.value === "dark";
}

function look(chart) {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    dark: isDark(), palette: data.palette, heat: data.heat, smoothing: Number(smoothingSelect.value),
    hidden: hidden.get(chart.id) ?? new Set(), ink: read("ink"), soft: read("soft"), faint: read("faint"),
    grid: read("grid"), card: read("card"), bad: read("bad"),
  };
}

function applyTheme() {
  root.dataset.theme = isDark() ? "dark" : "light";
}

// ---------------------------------------------------------------- summary

function clock(seconds) {
  const whole = Math.round(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor((whole % 3600) / 60);
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function gain(value) {
  const points = `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)}`;
  return element("span", { class: value >= 0 ? "up" : "down" }, points);
}

function percent(value) { return `${(100 * value).toFixed(1)} %`; }

function heading() {
  const [group] = data.groups;
  const facts = element("p", { class: "facts" });
  if (data.stalled) facts.append(element("span", { class: "down" }, `not finished, last written ${data.stalled}`));
  else if (data.live) facts.append(element("span", { class: "live" }, "running"));
  if (data.groups.length === 1) {
    const done = group.runs.map((run) => run.step), planned = group.runs[0].steps;
    const seeds = group.runs.map((run) => run.seed);
    const least = Math.min(...done), most = Math.max(...done), several = group.runs.length > 1;
    facts.append(element("span", {}, `${least === most ? most : `${least} to ${most}`} of ${planned} steps`),
      element("span", {}, `${clock(group.runs.reduce((sum, run) => sum + run.seconds, 0))}${several ? " in all" : ""}`),
      element("span", {}, `${seeds.length > 1 ? "seeds" : "seed"} ${seeds.join(", ")}`),
      element("span", {}, `${group.samples.toLocaleString("en")} samples`));
    if (group.facts.isolation) facts.append(element("span", {}, `isolation: ${group.facts.isolation}`));
    if (group.facts.commit) facts.append(element("span", {}, `commit ${group.facts.commit}`));
    if (group.restarts) facts.append(element("span", {}, `${group.restarts} restart${group.restarts > 1 ? "s" : ""}`));
    if (group.dropped) facts.append(element("span", {}, `${group.dropped} samples dropped`));
  } else {
    const count = data.groups.reduce((sum, g) => sum + g.runs.length, 0);
    facts.append(element("span", {}, `${count} runs in ${data.groups.length} configurations`));
  }
  return element("div", { class: "head" }, element("h1", {}, data.groups.length > 1 ? data.groups.map((g) => g.label).join(" · ") : data.title), facts);
}

function tiles(group) {
  const made = Object.entries(group.pass_at_1).map(([tier, [before, after, first, last]]) => element(
    "div", { class: "tile", tone: colour(tier, look({})) },
    element("div", { class: "what" }, tier === "overall" ? "pass@1 held-out" : tier),
    element("div", { class: "value" }, percent(after)),
    element("div", { class: "more" }, ...(last > first ? [gain(after - before), ` since ${percent(before)}`] : ["before the first step"])),
  ));
  return made.length ? element("div", { class: "tiles" }, ...made) : null;
}

function marksNote() {
  const kinds = new Set(data.sections.flatMap((s) => s.charts.flatMap((c) => c.panels.flatMap((p) => p.marks.map((m) => m.kind)))));
  if (!kinds.size) return null;
  const texts = { restart: ["var(--bad)", "an actor was started again"], drop: ["var(--soft)", "samples were dropped"] };
  return element("p", { class: "marks" }, ...[...kinds].map((kind) => element("span", {}, element("i", { tone: texts[kind][0] }), texts[kind][1])));
}

// Which cards take the whole width: those that ask for it, and those that would stand beside a gap.
function widths(charts) {
  const wide = charts.map((chart) => chart.wide);
  let open = -1;
  charts.forEach((chart, i) => {
    if (chart.wide && open >= 0) wide[open] = true;
    open = chart.wide || open >= 0 ? -1 : i;
  });
  if (open >= 0) wide[open] = true;
  return wide;
}

function comparison() {
  const tiers = [...new Set(data.groups.flatMap((g) => Object.keys(g.pass_at_1)))];
  const head = element("tr", {}, element("th", { scope: "col" }, "run"),
    ...["steps", data.groups.some((g) => g.runs.length > 1) ? "time of a run" : "time", ...tiers.map((t) => (t === "overall" ? "pass@1" : t)), "gain", "restarts", "dropped"].map((t) => element("th", { scope: "col" }, t)));
  const rows = data.groups.map((g) => {
    const overall = g.pass_at_1.overall;
    return element("tr", {},
      element("th", { scope: "row" }, element("span", { class: "dot", tone: colour(g.colour, look({})) }), g.label),
      element("td", {}, String(Math.max(...g.runs.map((r) => r.step)))),
      element("td", {}, clock(g.runs.reduce((sum, r) => sum + r.seconds, 0) / g.runs.length)),
      ...tiers.map((t) => element("td", {}, g.pass_at_1[t] ? percent(g.pass_at_1[t][1]) : "–")),
      element("td", {}, overall ? gain(overall[1] - overall[0]) : "–"),
      element("td", {}, String(g.restarts)), element("td", {}, String(g.dropped)));
  });
  return element("div", { class: "card wide" }, scrollable("Runs", element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
}

// A report of tables instead of runs: its data holds them, with a title and a few facts.
function tables() {
  const head = element("div", { class: "head" }, element("h1", {}, data.title),
    element("p", { class: "facts" }, ...data.facts.map((fact) => element("span", {}, fact))));
  return [head, ...data.tables.map((table) => {
    const reach = Math.max(...table.rows.flat().filter((c) => c.text).flatMap((c) => [Math.abs(c.low), Math.abs(c.high)]), 0);
    const cell = (content, at) => {
      const tag = at ? "td" : "th";
      const made = element(tag, at ? { class: at < table.words ? "words" : undefined } : { scope: "row" }, content.text ?? content);
      if (content.text && content.text.match(/^[+-]/)) made.prepend(intervalBar(content, reach));
      return made;
    };
    const columns = element("tr", {}, ...table.columns.map((c, at) => element("th", { scope: "col", class: at && at < table.words ? "words" : undefined }, c)));
    const body = table.rows.map((row) => element("tr", {}, ...row.map(cell)));
    return element("div", { class: "card wide table" }, element("h2", {}, table.title), element("p", {}, table.caption),
      scrollable(table.title, element("table", {}, element("thead", {}, columns), element("tbody", {}, ...body))));
  })];
}

// A difference with its interval, on a line whose middle is zero; the text beside it says the same.
function intervalBar({ mean, low, high }, reach) {
  const width = 96, x = (v) => ((v / reach + 1) / 2) * width;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} 12`, width, height: 12, "aria-hidden": "true", class: "interval" })) made.setAttribute(name, value);
  const shape = (tag, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    made.append(part);
  };
  shape("line", { x1: width / 2, x2: width / 2, y1: 0, y2: 12, class: "zero" });
  shape("line", { x1: x(low), x2: x(high), y1: 6, y2: 6, class: low > 0 ? "above" : high < 0 ? "below" : "within" });
  shape("circle", { cx: x(mean), cy: 6, r: 3, class: low > 0 ? "above" : high < 0 ? "below" : "within" });
  return made;
}

function scrollable(label, table) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

function configuration() {
  const { against, columns, rows } = data.configuration;
  const title = against === "runs" ? "What differs in the configuration" : "Configuration beside the defaults";
  const target = document.getElementById("configuration");
  target.replaceChildren(element("h2", { id: "configuration-title" }, title));
  if (!rows.length) {
    target.append(element("p", { class: "notice" }, against === "runs" ? "Nothing but names and seeds." : "Every key has its default."));
    return;
  }
  const head = element("tr", {}, element("th", { scope: "col" }, "key"), ...columns.map((c) => element("th", { scope: "col" }, c)));
  const body = rows.map(([key, ...values]) => element("tr", {}, element("th", { scope: "row" }, key), ...values.map((v) => element("td", {}, v))));
  target.append(element("div", { class: "card wide words" }, scrollable(title, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)))));
}

// ---------------------------------------------------------------- charts

function described(chart, panel) {
  if (panel.heat) return `${chart.title}. ${chart.caption}`;
  const format = FORMATS[chart.unit];
  const ends = panel.lines.map((l) => `${l.name} from ${format(l.values[0])} to ${format(l.values[l.values.length - 1])}`);
  return `${chart.title}${panel.title ? `, ${panel.title}` : ""}: ${ends.join("; ")}.`;
}

function legend(chart, redraw) {
  if (chart.kind === "heat") {
    const ramp = `linear-gradient(90deg, ${data.heat[isDark() ? 1 : 0].join(", ")})`;
    const bar = element("i");
    bar.style.setProperty("--ramp", ramp);
    const [from, to] = chart.panels[0].heat.ends;
    return element("div", { class: "ramp" }, from, bar, to);
  }
  const lines = new Map(chart.panels.flatMap((p) => p.lines.map((l) => [l.name, l])));
  if (lines.size < 2) return null;
  const block = chart.kind !== "lines";
  return element("ul", { class: "legend", "aria-label": `Lines of ${chart.title}` }, ...[...lines.values()].map((line) => {
    const off = hidden.get(chart.id) ?? new Set();
    const button = element("button", { type: "button", "aria-pressed": String(!off.has(line.name)), onclick: () => {
      if (!off.delete(line.name)) off.add(line.name);
      hidden.set(chart.id, off);
      button.setAttribute("aria-pressed", String(!off.has(line.name)));
      redraw();
    } }, element("i", { class: block && line.colour !== "overall" ? "block" : "", tone: colour(line.colour, look(chart)) }), line.name);
    return element("li", {}, button);
  }));
}

function figures(chart) {
  if (chart.kind === "heat") return null;
  const details = element("details", {}, element("summary", {}, "Figures"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    for (const panel of chart.panels) {
      const steps = [...new Set(panel.lines.flatMap((l) => l.steps))].sort((a, b) => a - b);
      const head = element("tr", {}, element("th", { scope: "col" }, "step"), ...panel.lines.map((l) => element("th", { scope: "col" }, l.name)));
      const at = panel.lines.map((l) => new Map(l.steps.map((s, i) => [s, l.values[i]])));
      const rows = steps.map((s) => element("tr", {}, element("th", { scope: "row" }, String(s)),
        ...at.map((m) => element("td", {}, m.has(s) ? FORMATS[chart.unit](m.get(s)) : "–"))));
      details.append(scrollable(`Figures of ${chart.title} ${panel.title}`, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
    }
  });
  return details;
}

function card(chart, wide) {
  const areas = chart.panels.map((panel) => element("div", { class: `plot ${chart.kind}`, role: "img", "aria-label": described(chart, panel) }));
  const redraw = () => areas.forEach((area, i) => plots.push(drawPanel(area, chart, chart.panels[i], look(chart))));
  const panels = element("div", { class: `panels ${chart.panels.length === 1 ? "single" : ""}` },
    ...chart.panels.map((panel, i) => element("div", {}, panel.title ? element("h4", {}, panel.title) : null, areas[i])));
  const made = element("figure", { class: `card ${wide ? "wide" : ""}`, id: chart.id, "aria-labelledby": `${chart.id}-title` },
    element("figcaption", {}, element("h3", { id: `${chart.id}-title` }, chart.title), element("p", {}, ...code(chart.caption))),
    legend(chart, redraw), panels, figures(chart));
  return { made, redraw };
}

// Text between backticks is code.
function code(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

function sectionId(section) { return `section-${section.id}`; }

function build() {
  plots.forEach((plot) => plot.dispose());
  plots = [];
  applyTheme();
  const summary = document.getElementById("summary");
  if (data.tables) summary.replaceChildren(...tables());
  else summary.replaceChildren(heading(), ...[data.groups.length === 1 ? tiles(data.groups[0]) : comparison(), marksNote()].filter(Boolean));
  const charts = document.getElementById("charts");
  const cards = [];
  charts.replaceChildren(...data.sections.map((section) => {
    const wide = widths(section.charts);
    const made = section.charts.map((chart, i) => card(chart, wide[i]));
    cards.push(...made);
    const id = sectionId(section); // a chart may have the section's own name
    return element("section", { id, "aria-labelledby": `${id}-title` },
      element("h2", { id: `${id}-title` }, section.title),
      element("div", { class: "grid" }, ...made.map((m) => m.made)));
  }));
  if (!data.sections.length) charts.append(element("p", { class: "notice" }, "No step has finished yet."));
  if (data.configuration) configuration();
  else document.getElementById("configuration")?.remove();
  document.getElementById("sections").replaceChildren(
    ...data.sections.map((s) => element("a", { href: `#${sectionId(s)}` }, s.title)),
    ...(data.configuration ? [element("a", { href: "#configuration" }, "Configuration")] : []));
  const versions = Object.entries(data.tables ? data.versions : data.groups[0].facts.versions).map(([name, version]) => `${name} ${version}`);
  document.getElementById("foot").replaceChildren(
    element("p", {}, `Written ${data.written} by stepcoder report. ${versions.join(", ")}`),
    element("p", {}, "Charts: Apache ECharts 6.1.0, Apache License 2.0."));
  cards.forEach((made) => made.redraw());
  echarts.connect("steps");
}

themeSelect.addEventListener("change", () => { store("theme", themeSelect.value); build(); });
smoothingSelect.addEventListener("change", () => { store("smoothing", smoothingSelect.value); build(); });
darkPreferred.addEventListener("change", build);
let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => new Set(plots).forEach((plot) => plot.isDisposed() || plot.resize()), 100);
});
build();

// ---------------------------------------------------------------- live

// A page from the file system may not fetch, but it may load a script beside it.
window.stepcoderReport = (next) => {
  if (next.written_at === data.written_at) return;
  const at = scrollY;
  data = next;
  build();
  scrollTo({ top: at, behavior: "instant" });
};

function refresh() {
  if (!data.live) return;
  const script = element("script", { src: `report-data.js?${Date.now()}` });
  script.onload = script.onerror = () => { script.remove(); setTimeout(refresh, REFRESH_MS); };
  document.head.append(script);
}
setTimeout(refresh, REFRESH_MS);
