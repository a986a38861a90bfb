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
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
    }
    // What the browser put back into the fields after "back" is unfolded, and told to the preview beside them.
    for (const folded of document.querySelectorAll("form details:not([open])")) {
      if (Array.from(folded.querySelectorAll("input, select, textarea")).some(isChanged)) folded.open = true;
    }
    for (const field of document.querySelectorAll("[hx-get] :is(input, select, textarea)")) {
      if (!isChanged(field)) continue;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });

  function isChanged(field) {
    if (!field.matches("select")) return field.value !== field.defaultValue || field.checked !== field.defaultChecked;
    const first = Array.from(field.options).findIndex(function (option) { return option.defaultSelected; });
    return field.selectedIndex !== Math.max(first, 0);
  }

  // A link to a folded part unfolds it, also when the address holds that part already.
  function unfold() {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    const folded = target ? target.closest("details:not([open])") : null;
    if (folded) { folded.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  document.addEventListener("click", function (event) {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) unfold();
  });
  unfold();

  // All folded parts at once, and open on paper where the style sheet alone cannot do it.
  const folds = document.querySelectorAll(".fold > details");
  for (const button of document.querySelectorAll("[data-unfold]")) {
    button.hidden = false;
    button.addEventListener("click", function () {
      const open = Array.from(folds).some(function (part) { return !part.open; });
      for (const part of folds) part.open = open;
      button.textContent = open ? "Fold all" : "Open all";
    });
  }
  window.addEventListener("beforeprint", function () {
    for (const part of folds) if (!part.open) { part.open = true; part.dataset.printed = "yes"; }
  });
  window.addEventListener("afterprint", function () {
    for (const part of folds) if (part.dataset.printed) { part.open = false; delete part.dataset.printed; }
  });

  // On a narrow screen the tab of this page is scrolled into sight.
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) tab.scrollIntoView({ block: "nearest", inline: "nearest" });

  // Paper: only a script can open the browser's dialog.
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", function () { window.print(); });
  }

  // An answer to a sent form stands in the history at the address of the form: to come back to it sends nothing again.
  if (document.body.hasAttribute("data-answers-post") && document.referrer.startsWith(location.origin + "/")) {
    history.replaceState(null, "", document.referrer);
  }

  // After a refused form, go to the list of what to mend.
  const problems = document.getElementById("problems");
  if (problems) problems.focus();
})();
