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

  // Live views: `[data-live]` holds the stream. A pause closes it, so that nothing is sent that nobody looks at.
  const MAX_LIVE_ROWS = 200;
  let source = null;
  let paused = false;
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
  document.addEventListener("htmx:sseOpen", () => say("Live"));
  document.addEventListener("htmx:sseError", () => { if (!paused) say("Disconnected; trying again …"); });
  document.addEventListener("htmx:sseClose", () => say("You are signed out, or the token has ended: reload the page"));
  document.addEventListener("htmx:sseMessage", () => {
    const rows = document.querySelector("[data-live-rows]");
    while (rows && rows.rows.length > MAX_LIVE_ROWS) rows.lastElementChild.remove();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-live-pause]");
    if (!button) return;
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) {
      source?.close();
      say("Paused");
    } else {
      say("Connecting …");
      const before = document.querySelector("[data-live]");
      const after = before.cloneNode(true);
      before.replaceWith(after);
      htmx.process(after);
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    times(document);
    document.querySelector(".faults")?.focus();
  });
  document.addEventListener("htmx:load", (event) => times(event.target));
})();
