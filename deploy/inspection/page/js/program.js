// The program as it was judged, and its tests.
"use strict";

const program = { MOST_LINES: 5000 };

const MARKS = { "+": ["executed", "executed"], "-": ["missed", "not executed"], "~": ["partly", "executed in part"], " ": ["plain", ""] };

/** Lines of highlighted HTML; a span that runs over a line end is closed and opened again. */
program.highlighted = (source) => {
  if (!window.hljs || source.length > 200000) return null;
  const open = [];
  const html = window.hljs.highlight(source, { language: "python", ignoreIllegals: true }).value;
  return html.split("\n").map((line) => {
    const before = open.join("");
    for (const [tag] of line.matchAll(/<span[^>]*>|<\/span>/g)) tag === "</span>" ? open.pop() : open.push(tag);
    return before + line + "</span>".repeat(open.length);
  });
};

/** The program with a mark for each line, or plain code where `marks` is empty. */
program.block = (judged, marks, errorLine, label) => {
  const source = text.plain(judged);
  const lines = source.replace(/\n$/, "").split(/\r\n|\r|\n/);
  const colours = source.includes("\r") ? null : program.highlighted(source.replace(/\n$/, ""));
  const known = /[^ ]/.test(marks);
  const draw = (begin, end) => lines.slice(begin, end).map((line, offset) => {
    const at = begin + offset;
    const [kind, meaning] = MARKS[(known && marks[at]) || " "];
    // Only highlight.js makes HTML here, and it escapes the program's text.
    const code = h("code", {});
    if (colours && colours[at] !== undefined) code.innerHTML = colours[at];
    else code.textContent = line;
    return h("div.line", { class: `${kind}${errorLine === at + 1 ? " error-line" : ""}`, title: meaning || null },
      h("span.gutter", { "aria-hidden": "true" }, String(at + 1)), h("span.mark", { "aria-hidden": "true" }, known ? (marks[at] || " ").trim() : ""), code);
  });
  const block = h("div.program", { tabindex: "0", role: "region", "aria-label": label }, draw(0, program.MOST_LINES));
  const left = lines.length - program.MOST_LINES;
  if (left > 0) {
    const rest = () => {
      for (const line of draw(program.MOST_LINES, lines.length)) block.append(line);
      more.remove();
    };
    const more = h("button.more", { type: "button", onclick: rest }, `Show ${text.plural(left, "more line")}`);
    block.append(more);
  }
  return block;
};

program.legend = (marks) =>
  /[^ ]/.test(marks) && h("ul.legend", {}, Object.entries(MARKS).filter(([mark, [, meaning]]) => meaning && marks.includes(mark)).map(([mark, [kind, meaning]]) =>
    h("li", {}, h("span.key.line", { class: kind, "aria-hidden": "true" }, mark), meaning)));

/** Every test: input, what was expected, what the program gave. */
program.tests = (tests, results, setup) => {
  const rows = Math.max(tests.length, results.length);
  const block = (value) => (value === null || value === undefined ? h("span.muted", {}, "–") : h("pre", {}, value === "" ? "(empty)" : value));
  const given = ([outcome, message, line, output]) => {
    if (outcome === "passed") return h("span.muted", {}, "as expected");
    if (outcome === "not_run") return h("span.muted", {}, message || "not run");
    const where = line ? ` (line ${line})` : "";
    if (output !== null && output !== undefined) return [block(output), h("p.muted", {}, message)];
    return h("pre", {}, `${message || text.outcome(outcome)}${where}`);
  };
  return h("div.tests-scroll", { tabindex: "0", role: "region", "aria-label": "Tests" },
    setup ? h("details", {}, h("summary", {}, "Set-up of the tests"), h("pre.set-up", {}, setup)) : null,
    h("table.tests", {}, h("thead", {}, h("tr", {}, ["Test", "Input", "Expected", "Got"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, Array.from({ length: rows }, (_, at) => {
        const result = results[at] || ["not_run", "", null, null], test = tests[at] || {};
        return h("tr", {}, h("td", {}, h("span.test-name", {}, String(at + 1)), outcomeBadge(result[0])), h("td", {}, block(test.input)), h("td", {}, block(test.expected)), h("td", {}, given(result)));
      }))));
};
