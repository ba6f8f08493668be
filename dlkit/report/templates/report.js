
// Click a picture, or press Enter on it, to see it as large as the window; again, or Escape, to go back.
document.querySelectorAll(".picture").forEach(function (button) {
  button.addEventListener("click", function () { button.classList.toggle("large"); });
});
document.addEventListener("keydown", function (event) {
  if (event.key === "Escape") {
    document.querySelectorAll(".large").forEach(function (button) { button.classList.remove("large"); });
  }
});
