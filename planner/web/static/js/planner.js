// Small comforts; every page works without them.
(function () {
  "use strict";

  // A select in a filter form sends it at once; the button stays for keyboards and for no scripts.
  document.addEventListener("change", function (event) {
    const form = event.target.closest("form[data-send-on-change]");
    if (form && event.target.matches("select")) form.requestSubmit();
  });

  // A button is pressed once: a second press while the first is on its way is ignored.
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", function () {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // A link to a folded part unfolds it.
  function unfold() {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    const folded = target ? target.closest("details:not([open])") : null;
    if (folded) { folded.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  unfold();

  // Paper: only a script can open the browser's dialog.
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", function () { window.print(); });
  }

  // After a refused form, go to the list of what to mend.
  const problems = document.getElementById("problems");
  if (problems) problems.focus();
})();
