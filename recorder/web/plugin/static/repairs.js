// Repairs what Datasette's own pages lack for screen readers and the keyboard: labels, the language, the main part, and
// the menu of a column, which Datasette 0.65 opens only for a pointer.

const LABELS = {
  ".filters select[name^=_filter_column]": "column",
  ".filters select[name^=_filter_op]": "comparison",
  ".filters .filter-value": "value",
  "#sort_by": "sort by",
  "#sql-editor, .CodeMirror textarea, .cm-content": "SQL",
};

function label(root) {
  for (const [selector, text] of Object.entries(LABELS)) {
    root.querySelectorAll(selector).forEach((element) => element.setAttribute("aria-label", text));
  }
}

function openByKeyboard(icon) {
  icon.setAttribute("tabindex", 0);
  icon.setAttribute("role", "button");
  icon.setAttribute("aria-label", `menu of ${icon.closest("th").dataset.column}`);
  icon.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    icon.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    document.querySelector(".dropdown-menu a")?.focus();
  });
}

function repair() {
  document.documentElement.lang ||= "en";
  document.querySelector("section.content")?.setAttribute("role", "main");
  label(document);
  document.querySelectorAll("th svg.dropdown-menu-icon").forEach(openByKeyboard);
}

if (document.readyState === "complete") repair();
else addEventListener("load", repair); // when Datasette's scripts have made the icons and the editor
