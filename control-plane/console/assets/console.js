// What a page can do only with a script: times in the viewer's zone, copying, select-all and filters of lists, names made of what is typed, live views,
// and in the mapping editor picking paths and marking rows. Everything but live views works without.
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
    // An option is text alone: its time is what follows the last comma.
    for (const option of root.querySelectorAll("option[data-time]")) {
      const before = option.text.slice(0, option.text.lastIndexOf(", "));
      option.text = `${before}, ${short.format(new Date(option.dataset.time))}`;
      option.removeAttribute("data-time");
    }
  };

  // `<input data-local-time>`: a time that is typed without a zone is the viewer's, and says so from then on.
  const zoned = (text) => {
    const typed = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d)?)?$/.exec(text.trim());
    if (!typed) return text;
    const time = `${typed[1]}T${typed[2] ?? "00:00"}${typed[3] ?? ":00"}`;
    const east = -new Date(time).getTimezoneOffset();
    if (Number.isNaN(east)) return text;
    const two = (number) => String(Math.trunc(Math.abs(number))).padStart(2, "0");
    return `${time}${east < 0 ? "-" : "+"}${two(east / 60)}:${two(east % 60)}`;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("input[data-local-time]")) event.target.value = zoned(event.target.value);
  });

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

  // Live views: `[data-live]` holds the stream. A pause closes it, so that nothing is sent that nobody looks at.
  const MAX_LIVE_ROWS = 200;
  let source = null;
  let paused = false;
  // There was no room for the stream, and its reader comes again.
  let full = false;
  const say = (text) => {
    const state = document.getElementById("live-state");
    if (state && state.textContent !== text) state.textContent = text;
  };
  htmx.createEventSource = (url) => {
    source = new EventSource(url);
    if (paused) source.close();
    return source;
  };
  // A page that is left has lost nothing; one that is come back to has.
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => { if (event.persisted && source) location.reload(); });
  document.addEventListener("htmx:sseError", () => { if (!paused && !full) say("Disconnected; trying again …"); });
  document.addEventListener("htmx:sseClose", (event) => { if (event.detail.type === "message") say("Ended"); });
  document.addEventListener("htmx:sseMessage", (event) => {
    const { type } = event.detail;
    if (type === "begun" || type === "full") {
      full = type === "full";
      say(full ? "Waiting for room" : "Live");
    }
    const rows = document.querySelector("[data-live-rows]");
    while (rows && rows.rows.length > MAX_LIVE_ROWS) rows.lastElementChild.remove();
  });
  const goOn = () => {
    say("Connecting …");
    const before = document.querySelector("[data-live]");
    const after = before.cloneNode(true);
    before.replaceWith(after);
    htmx.process(after);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-live-pause]");
    if (!button) return;
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) {
      source?.close();
      say("Paused");
    } else {
      goOn();
    }
  });
  // Without TLS a browser has six connections to a host, for all of its tabs: one that nobody looks at gives its own back.
  const UNSEEN_MILLISECONDS = 30_000;
  let unseen = null;
  document.addEventListener("visibilitychange", () => {
    if (!source) return;
    clearTimeout(unseen);
    if (document.hidden) {
      unseen = setTimeout(() => { if (!paused) source.close(); }, UNSEEN_MILLISECONDS);
    } else if (!paused && source.readyState === EventSource.CLOSED) {
      goOn();
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
    // As the API names it, with the field's name as it is typed now.
    const named = (li) => `${li.closest("fieldset.object").dataset.at}.fields.${li.querySelector("input[name$='.name']").value.trim()}`;
    for (const { dataset: { problem }, lastElementChild } of preview.querySelectorAll("[data-problem]")) {
      const at = rows.find((li) => problem === named(li) || problem.startsWith(`${named(li)}.`)
        || li.querySelector(".from")?.name === `${problem}.from`);
      if (!at || at.querySelector(":scope > .error")) continue;
      const text = document.createElement("p");
      text.className = "error";
      text.textContent = lastElementChild.textContent;
      at.classList.add("bad");
      at.append(text);
    }
  };
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
    for (const input of document.querySelectorAll("input[data-local-time]")) input.placeholder = input.placeholder.replace(", UTC", "");
    for (const all of document.querySelectorAll("input[data-all]:checked")) tickAll(all);
    for (const input of document.querySelectorAll("input[data-name-of]")) named(input);
    document.querySelector(".faults")?.focus();
  });
  document.addEventListener("htmx:load", (event) => {
    times(event.target);
    if (event.target.id === "preview") problems(event.target);
  });
})();
