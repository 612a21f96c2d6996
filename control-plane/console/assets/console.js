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

  // `<fieldset data-all>`: a first box that ticks all the others.
  document.addEventListener("change", (event) => {
    const all = event.target.closest("input[data-all]");
    if (!all) return;
    for (const box of all.closest("fieldset").querySelectorAll("input[type=checkbox]:not([data-all])")) {
      box.checked = all.checked;
    }
  });

  // The mapping editor: a leaf of the payload is put into the row that had the cursor. In the records of a list its items are `item`.
  let row = null;
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("#mapping-form .from, #mapping-form .each")) row = event.target;
  });
  // The list of a child's fieldset, with `[*]` for items, or nothing where there is none.
  const list = (fieldset) => {
    if (!fieldset) return "";
    const each = fieldset.querySelector(":scope > .map-head .each")?.value.trim() ?? "";
    const around = list(fieldset.parentElement.closest("fieldset.object"));
    if (!each) return around;
    return each.startsWith("item") && around ? `${around}[*]${each.slice(4)}` : each;
  };
  const every = (path) => path.replace(/\[\d+\]/g, "[*]");
  document.addEventListener("click", (event) => {
    const pick = event.target.closest("button[data-pick]");
    if (!pick) return;
    if (!row?.isConnected) {
      const froms = [...document.querySelectorAll("#mapping-form .from")];
      row = froms.find((input) => !input.value) ?? froms.at(-1);
    }
    if (!row) return;
    let path = pick.dataset.pick;
    const own = row.closest("fieldset.object");
    const around = list(row.matches(".each") ? own.parentElement.closest("fieldset.object") : own);
    const prefix = every(around) + (around.endsWith("[*]") ? "" : "[*]");
    if (around && every(path).startsWith(prefix)) {
      // As many characters of the path as the list has steps, its index included.
      let end = 0;
      while (end < path.length && every(path.slice(0, end)) !== prefix) end += 1;
      path = `item${path.slice(end)}`;
    }
    row.value = path;
    row.focus();
    row.dispatchEvent(new Event("change", { bubbles: true }));
  });
  // What the preview found is marked at its row, without touching what is typed.
  const problems = (preview) => {
    const rows = [...document.querySelectorAll("#mapping-form .rows > li[data-row]")];
    for (const li of rows) {
      li.querySelector(":scope > .error")?.remove();
      li.classList.remove("bad");
      li.querySelector(".from")?.removeAttribute("aria-invalid");
    }
    for (const { dataset: { problem }, lastElementChild } of preview.querySelectorAll("[data-problem]")) {
      const at = rows.find((li) => problem === li.dataset.row || problem.startsWith(`${li.dataset.row}.`)
        || li.querySelector(".from")?.name === `${problem}.from`);
      if (!at || at.querySelector(":scope > .error")) continue;
      const text = document.createElement("p");
      text.className = "error";
      text.textContent = lastElementChild.textContent;
      at.classList.add("bad");
      at.append(text);
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    times(document);
    document.querySelector(".faults")?.focus();
  });
  document.addEventListener("htmx:load", (event) => {
    times(event.target);
    if (event.target.id === "preview") problems(event.target);
  });
})();
