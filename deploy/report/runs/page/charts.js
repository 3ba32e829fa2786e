"use strict";
// Draws one panel of a chart with ECharts: `drawPanel(element, chart, panel, look)`.
// `look` holds what the reader chose: dark or light, smoothing, and the names of hidden lines.

const FORMATS = {
  share: (v) => `${(100 * v).toFixed(v !== 0 && Math.abs(v) < 0.0995 ? 1 : 0)} %`,
  number: (v) => short(v),
  nats: (v) => `${short(v)} nats`,
  tokens: (v) => `${Math.round(v).toLocaleString("en")} tokens`,
  seconds: (v) => `${v < 10 ? v.toFixed(2) : v.toFixed(1)} s`,
  per_second: (v) => `${Math.round(v).toLocaleString("en")} /s`,
};

function short(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size < 1e-3 || size >= 1e5) return v.toExponential(1);
  return String(Number(v.toPrecision(3)));
}

function axisLabel(chart, v) {
  if (chart.log) return v >= 0.01 && v <= 1000 ? String(v) : v.toExponential(0);
  if (chart.unit === "share") return `${Number((100 * v).toPrecision(3))} %`;
  if (chart.unit === "seconds") return `${short(v)} s`;
  return Math.abs(v) >= 1000 ? v.toLocaleString("en") : short(v);
}

function colour(name, look) {
  const pair = look.palette[name];
  return pair ? pair[look.dark ? 1 : 0] : look.ink;
}

// Exponential moving average, weighted so that the first points are not drawn toward zero.
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0, mass = 0;
  return values.map((v) => {
    sum = weight * sum + (1 - weight) * v;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

function tooltipRows(chart, panel, step, rows) {
  const happened = panel.marks.filter((m) => m.step === step).map((m) => escaped(m.text));
  const cells = rows.map((row) => {
    const range = row.low === undefined ? ""
      : `<td class="range">${FORMATS[chart.unit](row.low)} to ${FORMATS[chart.unit](row.high)}</td>`;
    return `<tr><td><span class="dot" style="--tone:${row.colour}"></span>${escaped(row.name)}</td>` +
      `<td><b>${FORMATS[chart.unit](row.value)}</b></td>${range}</tr>`;
  });
  return `<div class="tip">step ${step}<table>${cells.join("")}</table>${happened.join("<br>")}</div>`;
}

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}

function nearest(steps, step) {
  let best = 0;
  for (let i = 1; i < steps.length; i++) {
    if (Math.abs(steps[i] - step) < Math.abs(steps[best] - step)) best = i;
  }
  return best;
}

function base(look) {
  return {
    animation: false,
    textStyle: { fontFamily: "inherit", color: look.ink },
    aria: { enabled: false },
    tooltip: {
      trigger: "axis", confine: true, transitionDuration: 0, padding: [8, 10],
      backgroundColor: look.card, borderColor: look.faint, textStyle: { color: look.ink, fontWeight: 400 },
      axisPointer: { type: "line", lineStyle: { color: look.soft, type: "solid", width: 1 }, label: { show: false } },
    },
    grid: { left: 8, right: 16, top: 14, bottom: 24, containLabel: true },
  };
}

function axes(look) {
  return {
    axisLine: { lineStyle: { color: look.faint } }, axisTick: { show: false },
    axisLabel: { color: look.soft, fontSize: 11.5, hideOverlap: true },
    splitLine: { lineStyle: { color: look.grid } },
  };
}

function stepAxis(chart, panel, look) {
  const steps = panel.lines.flatMap((l) => [l.steps[0], l.steps[l.steps.length - 1]]);
  return {
    ...axes(look), ...stepName(look), type: "value", min: Math.min(...steps), max: Math.max(...steps, Math.min(...steps) + 1),
    splitLine: { show: false }, minInterval: 1,
  };
}

function stepName(look) {
  return { name: "step", nameLocation: "middle", nameGap: 26, nameTextStyle: { color: look.soft, fontSize: 11.5 } };
}

function valueAxis(chart, panel, look) {
  const axis = { ...axes(look), type: chart.log ? "log" : "value", axisLine: { show: false } };
  axis.axisLabel.formatter = (v) => axisLabel(chart, v);
  if (chart.whole) return { ...axis, min: 0, max: 1, interval: 0.25 };
  if (chart.log) return { ...axis, logBase: 10 };
  const ends = panel.lines.flatMap((l) => [...(l.low ?? l.values), ...(l.high ?? l.values)]);
  axis.scale = chart.unit === "number" || chart.unit === "nats";
  if (ends.length) { axis.min = (v) => (v.min >= 0 && !axis.scale ? 0 : null); }
  return axis;
}

function markLines(panel, look) {
  if (!panel.marks.length) return undefined;
  const tones = { restart: look.bad, drop: look.soft };
  return {
    symbol: ["none", "triangle"], symbolSize: 7, silent: true, animation: false, label: { show: false },
    data: panel.marks.map((m) => ({ xAxis: m.step, lineStyle: { color: tones[m.kind], type: "dashed", width: 1, opacity: 0.75 },
      itemStyle: { color: tones[m.kind] } })),
  };
}

function bandSeries(line, [begin, end], tone, look) {
  const points = line.steps.slice(begin, end).map((s, i) => [s, line.low[begin + i], line.high[begin + i]]);
  return {
    type: "custom", silent: true, tooltip: { show: false }, clip: true, z: 1, data: [0],
    encode: { x: [], y: [] },
    renderItem: (_params, api) => ({
      type: "polygon", silent: true,
      shape: { points: [...points.map((p) => api.coord([p[0], p[2]])), ...points.map((p) => api.coord([p[0], p[1]])).reverse()] },
      style: { fill: tone, opacity: look.dark ? 0.2 : 0.14 },
    }),
  };
}

// The points of a line, with an empty one between its segments; a segment of one point is a circle.
function pointsOf(line, values, usable) {
  return line.segments.flatMap(([begin, end]) => {
    const points = line.steps.slice(begin, end).flatMap((s, i) => (usable(values[begin + i]) ? [[s, values[begin + i]]] : []));
    if (points.length === 1) return [{ value: points[0], symbol: "circle" }, [points[0][0], null]];
    return points.length ? [...points, [points[points.length - 1][0], null]] : [];
  });
}

function linesOption(chart, panel, look) {
  const shown = panel.lines.filter((l) => !look.hidden.has(l.name));
  const usable = (v) => !chart.log || v > 0;
  const series = [];
  const drawn = shown.map((line) => {
    const tone = colour(line.colour, look);
    const values = line.markers ? line.values : smoothed(line.values, look.smoothing);
    if (line.low) line.segments.filter(([begin, end]) => end - begin > 1).forEach((part) => series.push(bandSeries(line, part, tone, look)));
    if (values !== line.values) {
      series.push({ type: "line", data: pointsOf(line, line.values, usable), showSymbol: false, silent: true,
        lineStyle: { color: tone, width: 1, opacity: 0.25 }, itemStyle: { color: tone }, emphasis: { disabled: true }, z: 2 });
    }
    series.push({
      type: "line", name: line.name, z: 3, emphasis: { disabled: true },
      data: pointsOf(line, values, usable), showSymbol: true, symbol: line.markers ? "circle" : "none", symbolSize: 7,
      lineStyle: { color: tone, width: line.name === "overall" || line.name === "all" ? 2.6 : 2, type: line.dashed ? "dashed" : "solid", cap: "round", join: "round" },
      itemStyle: { color: tone, borderColor: look.card, borderWidth: 1.5 },
    });
    return { line, tone, values };
  });
  // A series without data of its own carries the marks, so that hiding a line keeps them.
  series.push({ type: "line", data: [], markLine: markLines(panel, look) });
  return {
    ...base(look), xAxis: stepAxis(chart, panel, look), yAxis: valueAxis(chart, panel, look), series,
    tooltip: { ...base(look).tooltip, formatter: (points) => {
      const step = [].concat(points)[0]?.axisValue;
      if (step === undefined) return "";
      const rows = drawn.flatMap(({ line, tone, values }) => {
        const i = nearest(line.steps, step);
        if (Math.abs(line.steps[i] - step) > 0.5) return [];
        return [{ name: line.name, colour: tone, value: values[i], low: line.low?.[i], high: line.high?.[i] }];
      });
      rows.sort((a, b) => b.value - a.value);
      return rows.length ? tooltipRows(chart, panel, Math.round(step), rows) : "";
    } },
  };
}

function areaOption(chart, panel, look) {
  const shown = panel.lines.filter((l) => !look.hidden.has(l.name));
  const option = linesOption(chart, { ...panel, lines: shown }, { ...look, smoothing: 0 });
  option.xAxis = stepAxis(chart, panel, look);
  option.series = shown.map((line) => {
    const tone = colour(line.colour, look);
    const values = smoothed(line.values, look.smoothing);
    return { type: "line", name: line.name, stack: "all", data: line.steps.map((s, i) => [s, values[i]]), showSymbol: false,
      emphasis: { disabled: true }, lineStyle: { width: 0.8, color: look.card }, itemStyle: { color: tone },
      areaStyle: { color: tone, opacity: look.dark ? 0.85 : 0.9 } };
  });
  return option;
}

function barsOption(chart, panel, look) {
  const total = panel.lines.find((l) => l.colour === "overall");
  const stages = panel.lines.filter((l) => l !== total && !look.hidden.has(l.name));
  const steps = panel.lines[0].steps;
  const at = new Map(steps.map((s, i) => [s, i]));
  const series = stages.map((line) => ({
    type: "bar", name: line.name, stack: "all", data: line.values, barCategoryGap: steps.length > 60 ? "8%" : "22%",
    itemStyle: { color: colour(line.colour, look) }, emphasis: { disabled: true },
  }));
  if (total && !look.hidden.has(total.name)) {
    series.push({ type: "line", name: total.name, data: total.values, showSymbol: false, step: steps.length > 1 ? "middle" : false,
      lineStyle: { color: colour("overall", look), width: 1.6 }, itemStyle: { color: colour("overall", look) }, z: 5 });
  }
  const marks = { ...panel, marks: panel.marks.map((m) => ({ ...m, step: nearest(steps, m.step) })) };
  series.push({ type: "line", data: [], markLine: markLines(marks, look) });
  return {
    ...base(look), series,
    xAxis: { ...axes(look), ...stepName(look), type: "category", data: steps, splitLine: { show: false } },
    yAxis: { ...valueAxis(chart, { lines: [] }, look), min: 0 },
    tooltip: { ...base(look).tooltip, axisPointer: { type: "shadow", shadowStyle: { color: look.grid, opacity: 0.6 } },
      formatter: (points) => {
        const i = [].concat(points)[0]?.dataIndex;
        if (i === undefined) return "";
        const rows = [...(total ? [total] : []), ...stages].map((l) => ({ name: l.name, colour: colour(l.colour, look), value: l.values[i] }));
        const step = steps[i];
        return at.has(step) ? tooltipRows(chart, panel, step, rows) : "";
      } },
  };
}

// Neighbouring cells of one value, as [first column, last column, row, value]: a problem stays at a stage for many steps.
function cellRuns(values) {
  return values.flatMap((row, y) => {
    const runs = [];
    row.forEach((v, x) => {
      const last = runs[runs.length - 1];
      if (v === null) return; // nothing yet
      if (last && last[1] === x - 1 && last[3] === v) last[1] = x;
      else runs.push([x, x, y, v]);
    });
    return runs;
  });
}

function heatOption(chart, panel, look) {
  const { columns, rows, values, bands, meaning } = panel.heat;
  let start = 0;
  const edges = bands.map(([name, count]) => { const edge = { name, first: start, count }; start += count; return edge; });
  const ramp = look.heat[look.dark ? 1 : 0];
  return {
    ...base(look),
    xAxis: { ...axes(look), ...stepName(look), type: "category", data: columns, splitLine: { show: false }, axisLine: { show: false } },
    yAxis: { ...axes(look), type: "category", data: rows, inverse: true, axisLine: { show: false }, splitLine: { show: false },
      axisLabel: { color: look.soft, fontSize: 11.5, interval: (i) => edges.some((e) => i === e.first + Math.floor(e.count / 2)),
        formatter: (_v, i) => edges.find((e) => i >= e.first && i < e.first + e.count)?.name ?? "" } },
    tooltip: { ...base(look).tooltip, trigger: "item", formatter: ({ value: [first, last, y, v] }) => {
      const steps = first === last ? `step ${columns[first]}` : `steps ${columns[first]} to ${columns[last]}`;
      return `<div class="tip"><b>${escaped(rows[y])}</b><br>${steps}: ${FORMATS.share(v)} ${escaped(meaning)}</div>`;
    } },
    series: [
      { type: "custom", data: cellRuns(values), encode: { x: [0, 1], y: 2 }, renderItem: (_params, api) => {
        const [width, height] = api.size([1, 1]);
        const [left, middle] = api.coord([api.value(0), api.value(2)]);
        const right = api.coord([api.value(1), api.value(2)])[0] + width / 2;
        const x = Math.round(left - width / 2), y = Math.round(middle - height / 2);
        const shape = { x, y, width: Math.round(right) - x, height: Math.round(middle + height / 2) - y };
        return { type: "rect", shape, style: { fill: echarts.color.lerp(api.value(3), ramp) } };
      } },
      { type: "custom", silent: true, tooltip: { show: false }, data: edges.slice(1).map((e) => [0, e.first]), renderItem: (params, api) => {
        const top = Math.round(api.coord([0, api.value(1)])[1] - api.size([1, 1])[1] / 2); // between two bands
        return { type: "rect", shape: { x: params.coordSys.x, y: top - 1, width: params.coordSys.width, height: 3 }, style: { fill: look.card } };
      } },
    ],
  };
}

const OPTIONS = { lines: linesOption, area: areaOption, bars: barsOption, heat: heatOption };

function drawPanel(element, chart, panel, look) {
  const plot = echarts.getInstanceByDom(element) ?? echarts.init(element, null, { renderer: "canvas" });
  plot.setOption(OPTIONS[chart.kind](chart, panel, look), { notMerge: true });
  if (chart.kind === "lines" || chart.kind === "area") { plot.group = "steps"; }
  return plot;
}
