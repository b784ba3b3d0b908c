// Keeps a page fresh while somebody looks at it, and says so when the box no longer answers.
//
// What comes is laid over what is there, node by node: the focus, what is open, what is typed and where one has scrolled to stay
// as they are, and a voice that reads aloud reads only what has changed. Without this script the page comes again by itself.
(() => {
  'use strict';
  const ANSWER_WITHIN = 8000;
  const PAUSE_MAX = 60000;
  const main = document.getElementById('main');
  const silent = document.getElementById('silent');
  const language = document.documentElement.lang;
  const hour = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hour12: false });
  const second = new Intl.DateTimeFormat(language, { timeStyle: 'medium', hour12: false });
  const day = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hour12: false });
  let failures = 0;
  let answeredAt = new Date();
  let timer;
  let asking = false;

  // Times are in the zone of the box until here, in that of whoever reads from here on.
  function localise(root) {
    const today = new Date().toDateString();
    for (const each of root.querySelectorAll('time[datetime]')) {
      const time = new Date(each.getAttribute('datetime'));
      if (Number.isNaN(time.getTime())) continue;
      each.textContent = (time.toDateString() === today ? hour : day).format(time);
    }
  }

  function lay(fresh, old) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    const kept = old.nodeName === 'DETAILS' ? 'open' : '';
    for (const { name } of [...old.attributes]) {
      if (name !== kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name !== kept && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    layInside(fresh, old);
  }

  function layInside(fresh, old) {
    const named = new Map();
    for (const each of old.childNodes) if (each.id) named.set(each.id, each);
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      let same = next.id ? named.get(next.id) : at;
      if (!next.id) while (same && (same.id || same.nodeName !== next.nodeName)) same = same.nextSibling;
      if (!same || same.nodeName !== next.nodeName) {
        old.insertBefore(document.importNode(next, true), at);
        continue;
      }
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      lay(next, same);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function show(text) {
    const page = new DOMParser().parseFromString(text, 'text/html');
    localise(page);
    const focused = document.activeElement;
    const whole = page.getElementById('main');
    if (whole) {
      lay(whole, main);
      document.title = page.title;
    } else {
      layInside(page.body, main);
      main.dataset.verdict = main.querySelector('[data-level]').dataset.level;
    }
    if (document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
  }

  async function ask() {
    const giveUp = new AbortController();
    const patience = setTimeout(() => giveUp.abort(), ANSWER_WITHIN);
    try {
      const answer = await fetch(main.dataset.fresh, { signal: giveUp.signal, cache: 'no-store' });
      if (!(answer.headers.get('content-type') ?? '').startsWith('text/html')) throw new Error('not a page');
      show(await answer.text());
      failures = 0;
      answeredAt = new Date();
    } catch {
      failures += 1;
    } finally {
      clearTimeout(patience);
    }
  }

  function tellSilence() {
    document.body.classList.toggle('gone', failures > 0);
    const text = failures ? silent.dataset.text.replace('{time}', () => second.format(answeredAt)) : '';
    if (silent.textContent !== text) silent.textContent = text;
  }

  async function look() {
    clearTimeout(timer);
    if (asking || document.hidden || !main.dataset.fresh) return;
    asking = true;
    await ask();
    asking = false;
    tellSilence();
    wait();
  }

  function wait() {
    clearTimeout(timer);
    if (document.hidden || !main.dataset.fresh) return;
    timer = setTimeout(look, Math.min(main.dataset.every * 1000 * 2 ** failures, PAUSE_MAX));
  }

  localise(document);
  document.addEventListener('visibilitychange', look);
  window.addEventListener('online', look);
  wait();
})();
