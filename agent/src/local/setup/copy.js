// Copies what is to be pasted. Without a script the button is not there, and the text is. What is shown later is found too.
const showCopies = () => document.querySelectorAll("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.previousElementSibling;
  getSelection().selectAllChildren(text);
  try {
    // Browsers give this to secure pages only; elsewhere what is selected is copied the old way.
    if (navigator.clipboard) await navigator.clipboard.writeText(text.textContent);
    else if (!document.execCommand("copy")) return;
    getSelection().removeAllRanges();
    button.textContent = button.dataset.copied;
  } catch {
    // It stays selected, to be copied by hand.
  }
});
new MutationObserver(showCopies).observe(document.documentElement, { childList: true, subtree: true });
showCopies();
