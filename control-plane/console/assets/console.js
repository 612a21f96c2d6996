// What a page can do only with a script: times in the viewer's zone, copying, and a question before what can't be undone is asked by the page itself
// where there is none. Everything else works without.
(() => {
  "use strict";

  // Short, in the viewer's zone; the exact one stays in the title.
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const times = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(element.dateTime);
      if (!Number.isNaN(at.valueOf())) {
        element.textContent = short.format(at);
        element.dataset.local = "";
      }
    }
  };

  // `<button data-copy="ID">`: copies the text of that element.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text.trim());
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1500);
    } catch {
      getSelection().selectAllChildren(source);
    }
  });

  // `<input data-all>`: a first box of a fieldset that stands for all the others.
  const boxesOf = (all) => all.closest("fieldset").querySelectorAll("input[type=checkbox]:not([data-all])");
  const tickAll = (all) => { for (const box of boxesOf(all)) box.checked = all.checked; };
  document.addEventListener("change", (event) => {
    const box = event.target.closest("input[type=checkbox]");
    const all = box?.closest("fieldset")?.querySelector("input[data-all]");
    if (!all) return;
    if (box === all) tickAll(all);
    else if (!box.checked) all.checked = false;
  });

  // `<input data-filter="ID">`: shows of that list what has all the words typed.
  document.addEventListener("input", (event) => {
    const filter = event.target.closest("input[data-filter]");
    if (!filter) return;
    const words = filter.value.toLowerCase().split(/\s+/);
    for (const item of document.getElementById(filter.dataset.filter).children) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  });

  // `<input data-name-of="ID">`: shows the name that is made of that field's text, as the server makes it.
  const named = (input) => {
    const text = document.getElementById(input.dataset.nameOf).value;
    const name = text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-/, "").slice(0, 63).replace(/-+$/, "");
    input.placeholder = name || input.dataset.nameElse;
  };
  document.addEventListener("input", (event) => {
    for (const input of document.querySelectorAll("input[data-name-of]")) {
      if (input.dataset.nameOf === event.target.id) named(input);
    }
  });

  // `<button data-add-row>`: another empty row below the last one of its fieldset.
  document.addEventListener("click", (event) => {
    const fieldset = event.target.closest("button[data-add-row]")?.closest("fieldset");
    if (!fieldset) return;
    const rows = fieldset.querySelectorAll(".row");
    const row = rows[rows.length - 1].cloneNode(true);
    for (const field of row.querySelectorAll("input, select")) {
      field.setAttribute("aria-label", field.getAttribute("aria-label").replace(/\d+$/, rows.length + 1));
      if (field.matches("input")) field.value = "";
      else field.selectedIndex = 0;
    }
    rows[rows.length - 1].after(row);
    row.querySelector("input").focus();
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    times(document);
    for (const all of document.querySelectorAll("input[data-all]:checked")) tickAll(all);
    for (const input of document.querySelectorAll("input[data-name-of]")) named(input);
    document.querySelector(".faults")?.focus();
  });
  document.addEventListener("htmx:load", (event) => times(event.target));
})();
