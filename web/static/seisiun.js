/* Keeps the page up to date: by a stream of boards or, if the server refuses one, by asking every few seconds. */
(() => {
  "use strict";

  const root = document.documentElement.dataset.root;
  const main = document.getElementById("main");
  const board = document.getElementById("board");
  /* What the page shows, as an address says it; a page without it shows nothing that changes. */
  const area = main.dataset.area;

  /* A page that answers a form stands at the form's address, where it cannot be read again. */
  const address = main.dataset.address;
  if (address && location.pathname !== new URL(address, location.href).pathname) history.replaceState(null, "", address);

  /* Tell the server the viewer's time zone, so that it can show the viewer's times beside the session's. */
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const hasZone = () => document.cookie.split("; ").some((pair) => pair.startsWith("seisiun_zone="));
  if (own && !hasZone()) {
    document.cookie = `seisiun_zone=${own}; path=/; max-age=31536000; samesite=lax`;
    if (hasZone() && main.dataset.zone && main.dataset.zone !== own) location.reload();
  }

  /* Move the line of the present moment on each strip. */
  const placeNow = () => {
    for (const strip of document.querySelectorAll("svg.strip")) {
      const from = Number(strip.dataset.from), until = Number(strip.dataset.until);
      const at = Math.min(Math.max((Date.now() / 1000 - from) / (until - from), 0), 1) * 100;
      const line = strip.querySelector(".now");
      line.setAttribute("x1", `${at}%`);
      line.setAttribute("x2", `${at}%`);
    }
  };

  const apply = ({ order, html }) => {
    const held = new Map([...board.children].map((child) => [child.dataset.block, child]));
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    const hadFocus = board.contains(document.activeElement);
    let after = null;
    for (const [key, version] of order) {
      let block = held.get(key);
      held.delete(key);
      if (!block) {
        block = document.createElement("div");
        block.dataset.block = key;
      }
      if (html[key] !== undefined && block.dataset.version !== version) {
        block.dataset.version = version;
        block.innerHTML = html[key];
      }
      const place = after ? after.nextElementSibling : board.firstElementChild;
      if (block !== place) board.insertBefore(block, place);
      after = block;
    }
    for (const gone of held.values()) gone.remove();
    if (hadFocus && !board.contains(document.activeElement) && focused) {
      const again = board.querySelector(`a[href="${CSS.escape(focused)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
    const summary = board.querySelector(".summary");
    const live = document.getElementById("live");
    if (summary && live.dataset.said !== undefined && live.dataset.said !== summary.textContent) {
      live.textContent = summary.textContent;
    }
    if (summary) live.dataset.said = summary.textContent;
    placeNow();
  };

  /* A notice speaks of what the viewer has just done. It goes when that is no longer so. */
  const forgetNotices = () => {
    for (const notice of document.querySelectorAll(".notice")) notice.remove();
  };

  const showYou = (html) => {
    const you = document.getElementById("you");
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    if (!you || you.innerHTML === fresh.innerHTML) return;
    you.replaceChildren(...fresh.childNodes);
    forgetNotices();
  };

  /* Make an element like a fresh one, and keep each node that may stay: what is typed and the focus stay with it.
     A node that has an id is found by it, another one by its place. */
  const become = (old, fresh) => {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    let at = old.firstChild;
    for (const node of [...fresh.childNodes]) {
      let known = at;
      while (node.id && known && known.id !== node.id) known = known.nextSibling;
      while (node.id && known && at !== known) {
        at = at.nextSibling;
        at.previousSibling.remove();
      }
      if (!at || at.nodeName !== node.nodeName || (at.id || "") !== (node.id || "")) {
        old.insertBefore(document.importNode(node, true), at);
        continue;
      }
      if (at.nodeType === Node.ELEMENT_NODE) become(at, node);
      else if (at.data !== node.data) at.data = node.data;
      at = at.nextSibling;
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  /* Such a page shows more than a board. So fetch it, and make what we show like it. */
  const refresh = async () => {
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    /* An evening that is deleted has a page that says so. */
    if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = document.getElementById("content");
    const own = () => [...content.querySelectorAll("[data-own]")].map((part) => part.textContent).join();
    const before = own();
    become(content, fresh.getElementById("content"));
    document.title = fresh.title;
    if (own() !== before) forgetNotices();
  };

  /* While nothing arrives, say since when, and grey what may be out of date. A stream that ends by plan is
     back sooner: `RECONNECT_MS` in web/hub.py is at most 3 s, and we wait 4 s. */
  let source = null, heardAt = new Date(), losing = null, silence = null;
  const lose = () => {
    const since = heardAt.toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" }).replace(/\s/, "").toLowerCase(); /* 6:50pm */
    losing ||= setTimeout(() => {
      const line = document.createElement("p");
      line.id = "offline";
      line.setAttribute("role", "status");
      line.textContent = `Offline since ${since}. What you see may be out of date.`;
      main.prepend(line);
    }, 4000);
  };
  const recover = () => {
    clearTimeout(losing);
    losing = null;
    document.getElementById("offline")?.remove();
  };
  /* A network may fall silent without an error. A stream sends something each 15 s (`HEARTBEAT_SECONDS` in
     web/hub.py), so after 40 s of silence we take it for lost. */
  const listenFor = () => {
    clearTimeout(silence);
    silence = setTimeout(reopen, 40000);
  };
  const hear = () => {
    heardAt = new Date();
    recover();
    if (source) listenFor();
  };
  const reopen = () => {
    if (!source) return;
    source.close();
    source = null;
    lose();
    open();
  };

  const seconds = Number(main.dataset.poll || 30);
  let tag = "";
  const ask = async () => {
    if (!board) return refresh();
    const answer = await fetch(`${root}board?${area}`, tag ? { headers: { "If-None-Match": tag } } : {});
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(answer.statusText);
    tag = answer.headers.get("ETag") || "";
    const found = await answer.json();
    apply(found);
    if (found.you !== undefined) showYou(found.you);
  };

  let asking = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(`${root}stream?${area}`);
    listenFor();
    for (const name of ["open", "board", "you", "changed", "beat"]) source.addEventListener(name, hear);
    source.addEventListener("open", () => {
      clearInterval(asking);
      asking = null;
      document.documentElement.dataset.live = "stream";
    });
    source.addEventListener("board", (event) => apply(JSON.parse(event.data)));
    source.addEventListener("you", (event) => showYou(JSON.parse(event.data).html));
    source.addEventListener("changed", () => refresh().catch(() => {}));
    source.addEventListener("error", () => {
      lose();
      /* While it is connecting, the browser tries again by itself; CLOSED means that the server refused it. */
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        document.documentElement.dataset.live = "asking";
        setTimeout(startAsking, 500); /* not on a page that is being left */
      }
    });
  };
  const startAsking = () => {
    if (asking) return;
    let times = 0;
    ask().then(hear, lose);
    asking = setInterval(() => {
      if (document.hidden) return;
      if (++times % 4 === 0) open();
      else ask().then(hear, lose);
    }, seconds * 1000);
  };
  const close = () => {
    if (source) source.close();
    source = null;
    clearTimeout(silence);
    if (!document.getElementById("offline")) recover();
  };

  if (area !== undefined) {
    open();
    /* A hidden page holds no stream; when it is shown again, the first board has what it missed. */
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("offline", reopen);
    addEventListener("pagehide", close);
    addEventListener("pageshow", open);
    setInterval(placeNow, 30000);
  }
})();
