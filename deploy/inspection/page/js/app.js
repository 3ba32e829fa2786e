// The page: the address decides what is shown; keys move through it.
"use strict";

(() => {
  const main = document.getElementById("main"), side = document.getElementById("sidebar"), help = document.getElementById("help");
  const KEYS = [["j, k", "next and previous row, sample or group"], ["Enter", "open the selected row"], ["Esc", "back to the list"], ["g", "the group of a sample"],
    ["1, 2", "list of samples, list of groups"], ["/", "search in completions"], ["t", "light or dark"], ["?", "this help"], ["← →", "in a completion: token by token"]];
  let index, state, rows, groups, view = null, selected = { samples: null, groups: null }, back = "samples", drawn = 0;

  const setTheme = (theme) => {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("stepcoder-theme", theme);
    } catch { /* a page from the file system may have no storage */ }
  };
  const theme = () => {
    try {
      const stored = localStorage.getItem("stepcoder-theme");
      if (stored) return stored;
    } catch { /* as above */ }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };
  const toggleTheme = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

  const go = (changes) => (location.hash = filters.address(state, changes));
  const replace = (changes) => {
    history.replaceState(null, "", filters.address(state, changes));
    show();
  };

  const drawTop = () => {
    const tab = (name, title, count) => h("a.tab", { href: filters.address(state, { view: name, id: null }), "aria-current": state.view.startsWith(name.slice(0, -1)) ? "page" : null }, title, h("span.count", {}, text.count(count)));
    document.getElementById("top").replaceChildren(
      h("div.brand", {}, h("span.logo", { "aria-hidden": "true" }), h("strong", { title: index.name }, index.name), h("span.muted", {}, index.isRun ? "training run" : "evaluation")),
      h("nav.tabs", { "aria-label": "Lists" }, tab("samples", "Samples", rows.length), tab("groups", index.isRun ? "Groups" : "Problems", groups.length)),
      h("div.run-facts", {}, Object.entries(index.facts).map(([name, value]) => h("span.fact", {}, h("span.muted", {}, name.split(".").at(-1).replaceAll("_", " ")), ` ${value}`))),
      h("button.icon", { type: "button", onclick: toggleTheme, "aria-label": "light or dark" }, "◐"),
      h("button.icon", { type: "button", onclick: () => help.showModal(), "aria-label": "keyboard help" }, "?"));
  };

  const context = (ids) => {
    const place = ids.indexOf(state.id);
    return { place, total: ids.length, back, replace, previous: place > 0 ? ids[place - 1] : null, next: place >= 0 && place + 1 < ids.length ? ids[place + 1] : null };
  };

  const select = async () => {
    const searching = side.querySelector(".searching");
    let texts = null;
    if (state.text) {
      texts = await stepcoder.texts((done, all) => (searching.textContent = done < all ? `reading texts, ${done} of ${all} …` : ""));
    }
    rows = filters.select(index, state, texts);
    groups = filters.groupsOf(index, rows, state);
    searching.textContent = filters.active(state) ? `${text.plural(rows.length, "sample")} of ${text.count(index.count)}` : "";
  };

  const drawList = () => {
    const samples = state.view === "samples";
    back = state.view;
    view = list.draw(main, samples ? rows : groups, samples ? list.SAMPLE_COLUMNS(index) : list.GROUP_COLUMNS(index), state, {
      label: samples ? "Samples" : "Groups", empty: "Nothing matches these filters.", selected: selected[state.view],
      sort: (sort) => replace({ sort }), select: (id) => (selected[state.view] = id),
      open: (id) => { selected[state.view] = id; go({ view: samples ? "sample" : "group", id }); },
    });
    stepcoder.load("previews").then(() => view && view.refresh());
  };

  const show = async () => {
    const mine = ++drawn;
    const before = state;
    state = filters.parse(location.hash);
    const key = (of) => of && filters.address({ ...of, view: "samples", id: null, colour: "" });
    document.getElementById("card").hidden = true;
    try {
      sidebar.show(side, state);
      if (key(before) !== key(state)) await select();
      if (mine !== drawn) return;
      drawTop();
      document.body.dataset.view = state.view;
      if (state.view === "samples" || state.view === "groups") {
        drawList();
        document.title = `${index.name}: ${state.view}`;
        return;
      }
      view = null;
      const ids = state.view === "sample" ? rows : groups;
      selected[`${state.view}s`] = state.id;
      await (state.view === "sample" ? sampleView : groupView).draw(main, index, state, { ...context(ids), current: () => mine === drawn });
      if (mine !== drawn) return;
      // What scrolls can be scrolled by keys.
      for (const text of main.querySelectorAll("pre, .question")) if (text.scrollHeight > text.clientHeight) text.tabIndex = 0;
      if (!before || before.view !== state.view || before.id !== state.id) scrollTo(0, 0);
      document.title = `${index.name}: ${state.view} ${state.id}`;
    } catch (error) {
      if (mine === drawn) main.replaceChildren(h("p.error", { role: "alert" }, error.message));
    }
  };

  const move = (by) => {
    if (view) return view.move(by);
    const ids = state.view === "sample" ? rows : groups;
    const place = ids.indexOf(state.id);
    const next = ids[place + by];
    if (next !== undefined) go({ id: next });
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && typing) return event.target.blur();
    if (typing || (event.key === "Enter" && event.target.matches("a, button, summary"))) return;
    const act = {
      j: () => move(1), k: () => move(-1), ArrowDown: view && (() => move(1)), ArrowUp: view && (() => move(-1)),
      Enter: () => view && view.open(), Escape: () => !view && go({ view: back, id: null }),
      g: () => state.view === "sample" && go({ view: "group", id: index.groupOf[state.id] }),
      1: () => go({ view: "samples", id: null }), 2: () => go({ view: "groups", id: null }),
      "/": () => side.querySelector("#search").focus(), t: toggleTheme, "?": () => help.showModal(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  const start = () => {
    setTheme(theme());
    try {
      index = stepcoder.makeIndex();
    } catch (error) {
      main.replaceChildren(h("p.error", { role: "alert" }, error.message));
      return;
    }
    stepcoder.index = index;
    // Bars end at what 98 % of the samples hold: a few extremes would leave the others without length.
    const limit = (column) => {
      const sizes = column.filter((value) => !Number.isNaN(value)).map(Math.abs).sort();
      return sizes.length ? sizes[Math.floor(0.98 * (sizes.length - 1))] || sizes[sizes.length - 1] : 0;
    };
    index.rewardLimit = limit(index.samples.reward);
    index.advantageLimit = limit(index.samples.advantage);
    state = filters.parse(location.hash);
    sidebar.build(side, index, (changes) => (state.view.endsWith("s") ? replace(changes) : go({ view: back, id: null, ...changes })));
    help.replaceChildren(h("form", { method: "dialog" }, h("h2", { id: "help-title" }, "Keys"),
      h("table.keys", {}, h("tbody", {}, KEYS.map(([keys, what]) => h("tr", {}, h("th", { scope: "row" }, keys.split(", ").map((key) => h("kbd", {}, key))), h("td", {}, what))))),
      h("button", {}, "Close")));
    state = null;
    addEventListener("hashchange", show);
    show();
  };

  start();
})();
