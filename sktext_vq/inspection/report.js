// Adds search, sorting and filters to a page that is complete without this script.
(() => {
  "use strict";

  /** Search, filter and order the cards of codes. */
  function vocabulary(section) {
    const list = section.querySelector(".cards");
    const cards = [...list.children];
    const words = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
    const [search, order, group] = ["search", "order", "group"].map((name) =>
      section.querySelector(`[name=${name}]`),
    );
    const status = section.querySelector("output");
    const smallestFirst = new Set(["code", "length"]);

    function sort() {
      const key = order.value;
      const sign = smallestFirst.has(key) ? 1 : -1;
      // Cards with unknown values come last.
      const rank = (card) => (card.dataset[key] ? sign * card.dataset[key] : Infinity);
      const compare = (a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0);
      list.append(...(key ? [...cards].sort(compare) : cards));
    }

    function filter() {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const ofClass = group ? group.value : "";
      for (const card of cards) {
        const found = wanted.every((word) => words.get(card).includes(word));
        card.hidden = !found || (ofClass !== "" && card.dataset.class !== ofClass);
      }
      const shown = cards.filter((card) => !card.hidden).length;
      status.textContent = `${shown} of ${cards.length} codes shown`;
    }

    order.addEventListener("change", sort);
    search.addEventListener("input", filter);
    group?.addEventListener("change", filter);
    filter();

    return function reveal(target) {
      if (!cards.includes(target) || !target.hidden) return;
      search.value = "";
      if (group) group.value = "";
      filter();
    };
  }

  /** Show one case at a time. */
  function browser(section) {
    const cases = [...section.querySelectorAll(".case")];
    const filter = section.querySelector("[name=which]");
    const status = section.querySelector("output");
    let chosen = cases;
    let shown = cases[0];

    const tests = {
      all: () => true,
      wrong: (each) => each.dataset.right === "false",
      right: (each) => each.dataset.right === "true",
    };

    function show(one) {
      shown = one;
      for (const each of cases) each.hidden = each !== shown;
      const place = `${chosen.indexOf(shown) + 1} of ${chosen.length}`;
      status.textContent = `${place}: ${shown.dataset.summary}`;
    }

    function step(by) {
      const n = chosen.length;
      show(chosen.at((chosen.indexOf(shown) + by + n) % n));
    }

    function choose() {
      const which = filter ? filter.value : "all";
      chosen = cases.filter(tests[which] ?? ((each) => each.dataset.class === which));
      show(chosen.includes(shown) ? shown : chosen[0]);
    }

    const keys = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Home: () => show(chosen[0]),
      End: () => show(chosen.at(-1)),
    };

    section.addEventListener("keydown", (event) => {
      const { key, target } = event;
      const modified = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
      // Arrow keys scroll some elements, and change the choice of others.
      const scrolls = target.matches(".scroll") && target.scrollWidth > target.clientWidth;
      const busy = scrolls || target.matches("select");
      if (modified || busy || !(key in keys)) return;
      event.preventDefault();
      keys[key]();
    });
    section.querySelector("[name=previous]").addEventListener("click", () => step(-1));
    section.querySelector("[name=next]").addEventListener("click", () => step(1));
    filter?.addEventListener("change", choose);
    section.tabIndex = 0;
    choose();

    return function reveal(target) {
      if (!cases.includes(target)) return;
      if (!chosen.includes(target)) {
        filter.value = "all";
        choose();
      }
      show(target);
    };
  }

  const parts = [
    ...[...document.querySelectorAll(".vocabulary")].map(vocabulary),
    ...[...document.querySelectorAll(".browser")].map(browser),
  ];
  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;

  /** Make the target of a link visible. */
  function reveal(hash) {
    const target = document.getElementById(hash.slice(1));
    for (const part of parts) part(target);
    return target;
  }

  // Make the target visible before the browser scrolls to it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) reveal(link.hash);
  });
  function arrive() {
    if (location.hash) reveal(location.hash)?.scrollIntoView();
  }
  addEventListener("hashchange", arrive);
  arrive();
})();
