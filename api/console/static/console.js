// Live update: listens for events, fetches the page again, and changes what differs. The page is
// complete without it.
"use strict";
(() => {
  const main = document.querySelector("main[data-href]");
  const mark = document.getElementById("live");
  // A notice is shown once: its number leaves the address, so that a reload does not ask for it again.
  const here = new URL(location.href);
  if (here.searchParams.has("notice")) {
    here.searchParams.delete("notice");
    history.replaceState(null, "", here);
  }
  if (!main || !mark || !window.EventSource) return;

  const topics = main.dataset.topics.split(" ");
  const every = Number(main.dataset.every);
  const show = (state) => {
    if (mark.dataset.state === state) return;
    mark.dataset.state = state;
    mark.textContent = mark.dataset[state];
  };

  let timer = 0, due = 0, busy = false, again = false, last = 0;

  // refresh fetches in wait ms, or earlier if that was asked for already.
  const refresh = (wait) => {
    const at = Date.now() + wait;
    if (busy) { again = true; return; }
    if (timer && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(fetchPage, wait);
  };

  const fetchPage = async () => {
    timer = 0;
    if (document.hidden) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(main.dataset.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("main");
        if (fresh) children(main, fresh);
        const nav = document.querySelector("header nav"), freshNav = page.querySelector("header nav");
        if (nav && freshNav) children(nav, freshNav);
      }
    } catch { /* the stream tells whether the server is there */ }
    busy = false;
    if (again && !document.hidden) { again = false; refresh(500); }
  };

  // touched tells whether a person has put something into the field or stands in it.
  const touched = (e) => e === document.activeElement ||
    (e.type === "checkbox" || e.type === "radio" ? e.checked !== e.defaultChecked :
      e.tagName === "SELECT" ? Array.from(e.options).some((o) => o.selected !== o.defaultSelected) && e.dataset.touched === "1" :
        e.value !== e.defaultValue);

  // editing tells whether a person is at work in the form: then it stays as it is, whole.
  const editing = (form) => Array.from(form.elements).some((e) => e.type !== "hidden" && e.tagName !== "BUTTON" && e.tagName !== "FIELDSET" && touched(e));
  main.addEventListener("change", (e) => { if (e.target.tagName === "SELECT") e.target.dataset.touched = "1"; });

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  const children = (old, fresh) => {
    let at = old.firstChild;
    for (const want of Array.from(fresh.childNodes)) {
      let have = at;
      if (have && !alike(have, want) && want.id) { // it may have moved up
        for (let n = have; n; n = n.nextSibling) if (alike(n, want)) { old.insertBefore(n, have); have = n; break; }
      }
      if (have && alike(have, want)) {
        at = have === at ? at.nextSibling : at;
        node(have, want);
      } else {
        old.insertBefore(document.importNode(want, true), at);
      }
    }
    while (at) { const next = at.nextSibling; if (!keeps(at)) at.remove(); at = next; }
  };

  // keeps tells whether removing the node would take away what somebody is writing.
  const keeps = (n) => n.nodeType === 1 && (n.tagName === "FORM" ? editing(n) : Array.from(n.querySelectorAll("form")).some(editing));

  const node = (old, fresh) => {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.tagName === "svg") {
      if (old.outerHTML !== fresh.outerHTML) old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.tagName === "FORM" && editing(old)) return;
    const open = old.tagName === "DETAILS" ? old.open : null; // opened or closed by hand
    for (const a of Array.from(old.attributes)) if (!fresh.hasAttribute(a.name) && a.name !== "data-touched") old.removeAttribute(a.name);
    for (const a of Array.from(fresh.attributes)) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
    if (open !== null) old.open = open;
    if (old.tagName === "TEXTAREA") {
      if (old.defaultValue !== fresh.defaultValue) old.defaultValue = fresh.defaultValue;
      return;
    }
    children(old, fresh);
  };

  let stream = null, lost = false;
  const connect = () => {
    const q = new URLSearchParams();
    if (main.dataset.site) q.set("site", main.dataset.site);
    if (main.dataset.position) q.set("position", main.dataset.position);
    stream = new EventSource("/api/v1/events?" + q);
    stream.addEventListener("hello", () => {
      show("live");
      if (lost) refresh(0);
      lost = false;
    });
    stream.addEventListener("change", (e) => {
      if (topics.includes(JSON.parse(e.data).topic)) refresh(250);
    });
    if (every > 0) stream.addEventListener("values", () => refresh(Math.max(0, last + every - Date.now())));
    stream.addEventListener("resync", () => refresh(0));
    stream.onerror = () => {
      lost = true;
      show("lost");
      if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
    };
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) { again = false; refresh(0); } });
  addEventListener("pagehide", () => stream && stream.close());
  addEventListener("pageshow", (e) => { if (e.persisted) { lost = true; connect(); } });
  // Ages grow although nothing happens.
  setInterval(() => refresh(0), 30000);
  connect();
})();
