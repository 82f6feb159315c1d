// Live view for a page that works without it: buttons post in the background, and what changed is fetched every second.
"use strict";
(() => {
  const form = document.querySelector("form.acts");
  const pause = document.getElementById("pause");
  const said = document.getElementById("said");
  const stories = document.getElementById("stories");
  let stamp = "";
  let paused = false;
  let busy = false;

  // Replace only what differs, so that focus and selection elsewhere stay.
  const put = (element, html) => {
    if (element && element.dataset.drawn !== html) {
      element.innerHTML = html;
      element.dataset.drawn = html;
    }
  };

  const draw = (now) => {
    for (const [name, html] of Object.entries(now.parts)) {
      const element = document.getElementById(name);
      const within = element && element.contains(document.activeElement) && document.activeElement !== element;
      if (!within) put(element, html);
      else if (name === "next" && element.dataset.drawn !== html) {
        put(element, html);
        element.querySelector("button")?.focus({ preventScroll: true });
      }
    }
    for (const one of [...now.stories].reverse()) {
      let article = document.getElementById(one.id);
      if (!article) {
        article = document.createElement("article");
        article.id = one.id;
        article.className = "card story new";
        stories.prepend(article);
      }
      put(article, one.html);
    }
    const kept = new Set(now.stories.map((one) => one.id));
    for (const article of [...stories.children]) if (!kept.has(article.id)) article.remove();
    document.getElementById("nothing").hidden = now.stories.length > 0;
    if (said.textContent !== now.said) said.textContent = now.said;
  };

  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(`now?stamp=${stamp}`, { headers: { accept: "application/json" } });
      const now = await answer.json();
      if (now.parts) draw(now);
      stamp = now.stamp;
      document.body.classList.remove("away");
    } catch {
      document.body.classList.add("away");
    } finally {
      busy = false;
    }
  };

  document.addEventListener("submit", async (event) => {
    const pressed = event.target;
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    const body = new URLSearchParams(new FormData(pressed));
    body.set(button.name, button.value);
    button.setAttribute("aria-disabled", "true");
    try {
      const to = button.getAttribute("formaction") ?? pressed.getAttribute("action");
      await fetch(to, { method: "POST", body, headers: { accept: "application/json" } });
      if (pressed !== form) stories.focus({ preventScroll: true }); // what was decided about goes away
      await look();
      document.getElementById("seen").scrollTop = 0;
    } catch {
      document.body.classList.add("away");
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume live view" : "Pause live view";
    if (!paused) look();
  });

  setInterval(() => {
    if (!paused && !document.hidden) look();
  }, 1000);
  look();
})();
