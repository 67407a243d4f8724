// The console's own script: keys, live refresh by morphing, acts in place, times that tick, theme.
// Pages work without it: links are links and acts are forms.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const live = () => $("#live");

  // ---- times ---------------------------------------------------------------------------------------------------
  const coarse = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h`;
    return `${Math.floor(s / 86400)} d`;
  };
  const two = (a, ua, b, ub) => (b ? `${a} ${ua} ${b} ${ub}` : `${a} ${ua}`);
  const left = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  };
  function tick() {
    const now = Date.now();
    for (const time of $$("time[data-relative]")) {
      const ago = now - Date.parse(time.dateTime);
      const text = ago < -999 ? `in ${coarse(-ago)}` : ago < 5000 ? "just now" : `${coarse(ago)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
    for (const time of $$("time[data-countdown]")) {
      const rest = Date.parse(time.dateTime) - now;
      time.textContent = rest <= 0 ? "expired" : `${left(rest)} left`;
      time.classList.toggle("soon", rest < 300000);
    }
  }
  setInterval(tick, 1000);

  // ---- notices and announcements -------------------------------------------------------------------------------
  function notice(tone, text) {
    const box = document.createElement("div");
    box.className = `notice ${tone === "good" ? "good" : "bad"}`;
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.className = "plain";
    close.type = "button";
    close.dataset.do = "dismiss";
    close.textContent = "Close";
    box.append(words, close);
    const all = $("#notices");
    if (!all) return;
    while (all.children.length >= 4) all.firstElementChild.remove();
    all.append(box);
    if (tone === "good") setTimeout(() => box.remove(), 8000);
  }
  const said = () => $$("[data-announce]").map((e) => e.dataset.announce).slice(0, 5).join(" ");
  function announce(before) {
    const after = said();
    if (after && after !== before) $("#announcer").textContent = after;
  }

  // ---- live refresh --------------------------------------------------------------------------------------------
  // What somebody is typing in, has opened or has selected is left as it is.
  const typed = (node) =>
    (node.tagName === "INPUT" || node.tagName === "TEXTAREA") && node.type !== "hidden" &&
    (node === document.activeElement || node.value !== node.defaultValue);
  const morphing = {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed: (old) => !(old.nodeType === 1 && typed(old)),
      beforeAttributeUpdated: (name, node) =>
        !(name === "open" && (node.tagName === "DETAILS" || node.tagName === "DIALOG")) &&
        !(name === "data-word" && node.tagName === "FORM"),
    },
  };
  function signInAgain() {
    location.assign("/console/sign-in?ended=1&next=" + encodeURIComponent(live()?.dataset.path || "/console"));
  }
  let busy = false;
  let again = false;
  async function refresh() {
    const root = live();
    if (!root || !root.dataset.watch) return;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(root.dataset.path, { headers: { "x-console": "1" }, credentials: "same-origin" });
      if (answer.status === 401) { signInAgain(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (answer.ok && fresh) {
        const before = said();
        const chosen = $(".chosen[id]")?.id;
        Idiomorph.morph(live(), fresh, morphing);
        if (chosen) document.getElementById(chosen)?.classList.add("chosen");
        for (const form of $$("form[data-word]")) chooseWord(form, form.dataset.word);
        mark(source && source.readyState === 1 ? "live" : "reconnecting");
        tick();
        announce(before);
      }
    } catch (_) {
      mark("offline");
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }
  let source = null;
  function mark(word) {
    const at = $("#live-mark");
    if (!at) return;
    at.dataset.state = word;
    $("span", at).textContent = word;
  }
  // A hidden page holds no stream: browsers allow few connections to one server.
  function connect() {
    const root = live();
    if (!root || !root.dataset.watch || source || document.hidden) return;
    const query = new URLSearchParams({ watch: root.dataset.watch });
    if (root.dataset.only) query.set("only", root.dataset.only);
    source = new EventSource(`/console/live?${query}`);
    source.addEventListener("open", () => mark("live"));
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      mark("reconnecting");
      if (source && source.readyState === 2) { source = null; setTimeout(connect, 3000); }
    });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; } else connect();
  });
  addEventListener("pagehide", () => { source?.close(); source = null; });
  addEventListener("pageshow", connect);

  // ---- acts ----------------------------------------------------------------------------------------------------
  async function act(form, button) {
    const body = new URLSearchParams(new FormData(form, button));
    const buttons = $$("button", form).filter((b) => !b.disabled);
    buttons.forEach((b) => { b.disabled = true; });
    form.setAttribute("aria-busy", "true");
    try {
      const to = button?.getAttribute("formaction") || form.getAttribute("action");
      const answer = await fetch(to, { method: "POST", body, headers: { "x-console": "1" }, credentials: "same-origin" });
      if (answer.status === 401) { signInAgain(); return; }
      const told = await answer.json().catch(() => ({ tone: "bad", text: `The server answered ${answer.status}.` }));
      if (told.go) { location.assign(told.go); return; }
      notice(told.tone, told.text);
      if (answer.ok) { form.reset(); delete form.dataset.word; document.activeElement?.blur(); }
    } catch (_) {
      notice("bad", "The server did not answer. It is not known whether this was done; look before you repeat it.");
    } finally {
      buttons.forEach((b) => { b.disabled = false; });
      form.removeAttribute("aria-busy");
      chooseWord(form, null);
      refresh();
    }
  }
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-act]")) return;
    event.preventDefault();
    if (form.getAttribute("aria-busy") !== "true") act(form, event.submitter);
  });
  // A decision is never made by Enter alone: first `a` or `r` (or a button) says which.
  function chooseWord(form, word) {
    if (word) form.dataset.word = word; else delete form.dataset.word;
    $$("button[name=word]", form).forEach((b) => b.classList.toggle("armed", b.value === word));
  }

  // ---- keys ----------------------------------------------------------------------------------------------------
  const items = () => $$("[data-item]");
  const chosen = () => $("[data-item].chosen");
  function choose(item) {
    chosen()?.classList.remove("chosen");
    item.classList.add("chosen");
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
  }
  function step(by) {
    const all = items();
    if (!all.length) return;
    const at = all.indexOf(chosen());
    choose(all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]);
  }
  function decide(word) {
    const item = chosen() || (items().length === 1 ? items()[0] : null) || $("[data-item]:focus-within");
    const form = item && $("form[data-decide]", item);
    if (!form) { if (items().length > 1) notice("bad", "Choose one with j and k first."); return; }
    choose(item);
    chooseWord(form, word);
    $("input[name=reason]", form).focus();
  }
  let afterG = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at.matches("input, textarea, select")) {
      if (event.key === "Escape") { at.blur(); const f = at.closest("form[data-decide]"); if (f) chooseWord(f, null); }
      const form = at.closest("form[data-decide]");
      if (event.key === "Enter" && form) {
        event.preventDefault();
        const word = form.dataset.word;
        const button = word && $(`button[value="${CSS.escape(word)}"]`, form);
        if (button) button.click(); else notice("bad", "Press Approve or Reject (Esc, then a or r).");
      }
      return;
    }
    if ($("dialog[open]")) return;
    if (afterG && Date.now() - afterG < 1500) {
      afterG = 0;
      const link = $(`nav.side a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    switch (event.key) {
      case "g": afterG = Date.now(); break;
      case "?": event.preventDefault(); $("#help").showModal(); break;
      case "/": { const field = $("[data-search]"); if (field) { event.preventDefault(); field.focus(); field.select(); } break; }
      case "j": step(1); break;
      case "k": step(-1); break;
      case "a": if ($("form[data-decide]")) { event.preventDefault(); decide("approve"); } break;
      case "r": if ($("form[data-decide]")) { event.preventDefault(); decide("reject"); } break;
      case "Enter": {
        if (at !== chosen()) break;
        const href = at.dataset.href || $("a", at)?.getAttribute("href");
        if (href) location.assign(href);
        break;
      }
      case "Escape": chosen()?.classList.remove("chosen"); break;
      default:
    }
  });

  // ---- buttons -------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (button.dataset.do === "help") $("#help").showModal();
    if (button.dataset.do === "dismiss") button.closest(".notice").remove();
    if (button.dataset.do === "theme") {
      const html = document.documentElement;
      const dark = html.dataset.theme ? html.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      html.dataset.theme = dark ? "light" : "dark";
      document.cookie = `omnihub_theme=${html.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict`;
    }
  });

  tick();
  connect();
  // A link to one card (a dead letter, an effect) chooses it.
  if (location.hash) { const item = document.getElementById(location.hash.slice(1)); if (item?.matches("[data-item]")) choose(item); }
})();
