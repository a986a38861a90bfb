// Light or dark: the system's choice until the reader makes one, which a cookie keeps so that the server can say it at once.
(function () {
  "use strict";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = /(?:^|; )theme=(light|dark)/.exec(document.cookie);

  function show(theme) {
    root.setAttribute("data-bs-theme", theme);
    document.dispatchEvent(new CustomEvent("planner:theme"));
  }
  function follow() {
    if (!/(?:^|; )theme=/.test(document.cookie)) show(system.matches ? "dark" : "light");
  }
  if (chosen) show(chosen[1]); else follow();
  system.addEventListener("change", follow);

  document.addEventListener("DOMContentLoaded", function () {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      button.addEventListener("click", function () {
        const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
        document.cookie = "theme=" + theme + "; path=/; max-age=31536000; samesite=lax";
        show(theme);
      });
    }
  });
})();
