// Data of the page. Each script in data/ calls stepcoder.receive(name, value): a page that is opened
// from the file system may load scripts and nothing else.
"use strict";

const stepcoder = { pieces: new Map(), loading: new Map() };

stepcoder.receive = (name, value) => {
  stepcoder.pieces.set(name, value);
};

/** Load one script of data/ once; resolves with its value. */
stepcoder.load = (name) => {
  if (stepcoder.pieces.has(name)) return Promise.resolve(stepcoder.pieces.get(name));
  if (!stepcoder.loading.has(name)) {
    stepcoder.loading.set(name, stepcoder.loadScript(`data/${name}.js`).then(() => stepcoder.pieces.get(name)));
  }
  return stepcoder.loading.get(name);
};

stepcoder.loadScript = (path) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${path} cannot be read: copy the whole folder`));
    document.head.append(script);
  });

/** The index with typed columns, and what follows from them. */
stepcoder.makeIndex = () => {
  const raw = stepcoder.pieces.get("index");
  if (!raw) throw new Error("data/index.js cannot be read: copy the whole folder");
  if (raw.schema !== 2) throw new Error(`data of schema ${raw.schema}; this page reads 2: run stepcoder inspect again`);
  const count = raw.samples_count;
  const numbers = (column) => Float64Array.from(column, (value) => (value === null ? NaN : value));
  const columns = {};
  for (const [name, column] of Object.entries(raw.samples)) columns[name] = numbers(column);
  const groups = {};
  for (const [name, column] of Object.entries(raw.groups)) groups[name] = numbers(column);
  const groupOf = new Int32Array(count);
  const first = new Int32Array(groups.size.length + 1);
  let at = 0;
  groups.size.forEach((size, group) => {
    first[group] = at;
    groupOf.fill(group, at, at + size);
    at += size;
  });
  first[groups.size.length] = at;
  const isRun = raw.kind === "run";
  const suites = [...new Set(raw.problems.map(([suite]) => suite))];
  const largest = groups.size.reduce((most, size) => Math.max(most, size), 0);
  return { ...raw, suites, largest, count, samples: columns, groups, groupOf, first, isRun, groupCount: groups.size.length };
};

/** The details of a group. */
stepcoder.group = async (group) => {
  const { groups } = stepcoder.index;
  const piece = await stepcoder.load(`groups-${String(groups.piece[group]).padStart(4, "0")}`);
  return piece[groups.place[group]];
};

/** The lower-cased texts of all samples, read once; calls progress(done, all) after each piece. */
stepcoder.texts = async (progress) => {
  if (stepcoder.lowered) return stepcoder.lowered;
  const lowered = [];
  for (let piece = 0; piece < stepcoder.index.text_pieces; piece++) {
    const name = `text-${String(piece).padStart(4, "0")}`;
    for (const text of await stepcoder.load(name)) lowered.push(text.toLowerCase());
    stepcoder.pieces.delete(name);
    stepcoder.loading.delete(name);
    progress(piece + 1, stepcoder.index.text_pieces);
  }
  stepcoder.lowered = lowered;
  return lowered;
};
