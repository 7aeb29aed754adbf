// For comfort alone: the page works without it.
"use strict";
const select = document.getElementById("group_by");
if (select) {
  select.addEventListener("change", () => {
    if (select.value) location.search = "?" + new URLSearchParams({ group_by: select.value });
  });
}
const link = document.getElementById("permalink");
if (link && navigator.clipboard) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    navigator.clipboard.writeText(link.href).then(() => {
      const said = link.textContent;
      link.textContent = "Copied";
      setTimeout(() => { link.textContent = said; }, 1500);
    }, () => { location.href = link.href; });
  });
}
// A bar of the time line and its step are lit together.
document.querySelectorAll("figure.timeline").forEach((figure, index) => {
  const rows = document.querySelectorAll(".steps")[index];
  if (!rows) return;
  const light = (step, on) => [figure, rows].forEach((part) =>
    part.querySelectorAll(`[data-step="${step}"]`).forEach((each) => each.classList.toggle("lit", on)));
  [figure, rows].forEach((part) => ["pointerover", "pointerout"].forEach((name) =>
    part.addEventListener(name, (event) => {
      const found = event.target.closest("[data-step]");
      if (found) light(found.dataset.step, name === "pointerover");
    })));
});
