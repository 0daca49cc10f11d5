// The chosen appearance, set before the first paint. A plain script and not a module, because modules run too late: the page would flash.
(() => {
  const KEY = "nodekeep-theme";
  const CHOICES = ["auto", "light", "dark"];

  /** What was chosen; `auto` follows the system. */
  function chosen() {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // A browser may refuse storage; the page must not fail for it.
    }
  }

  function apply(choice) {
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  }

  function choose(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // It holds until the page is left.
    }
    apply(choice);
  }

  window.nodekeepTheme = { chosen, choose };
  apply(chosen());
})();
