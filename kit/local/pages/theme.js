// Light or dark: as the system says, until the reader chooses; the choice is remembered in this browser.
(() => {
  const root = document.documentElement;
  const names = { auto: "as the system", light: "light", dark: "dark" };
  // A browser may forbid storage for files; then the choice holds until the page is closed.
  const remembered = () => { try { return localStorage.getItem("kit-report-theme"); } catch { return null; } };
  const remember = (value) => { try { localStorage.setItem("kit-report-theme", value); } catch { /* see above */ } };
  let theme = remembered() in names ? remembered() : "auto";

  const apply = () => {
    // Set before the body is there, so that a page in the dark does not flash.
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.querySelector("b").textContent = theme === "auto" ? "system" : theme;
    button.setAttribute("aria-label", `colours: ${names[theme]}; press to change`);
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      const order = Object.keys(names);
      theme = order[(order.indexOf(theme) + 1) % order.length];
      remember(theme);
      apply();
    });
    // What is folded away would be missing on paper.
    addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((item) => { item.open = true; }));
  });
})();
