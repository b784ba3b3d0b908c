// The language of the page, and its words. An element remembers what it says, so that another language takes nothing from whoever
// has begun to type. What is said is a word's key behind an '@', with values `{ key, values }`, or
// `{ text }` as it came; several of them are an array.

/* global WORDS */

const asked = new URLSearchParams(location.search);
const page = document.getElementById('page');
const sayings = new WeakMap();

const known = (tag) => Object.keys(WORDS).find((each) => each === tag?.split('-')[0].toLowerCase());

// Whoever has chosen one keeps it on the next page; the others are asked by their browsers.
let chosen = known(asked.get('lang'));
let language = chosen ?? navigator.languages.map(known).find(Boolean) ?? 'en';

const hasWord = (key) => Object.hasOwn(WORDS[language], key.slice(1));

function read(what) {
  if (!what) return '';
  if (Array.isArray(what)) return what.map(read).filter(Boolean).join(' ');
  if (what.text !== undefined) return what.text;
  const { key, values } = typeof what === 'string' ? { key: what } : what;
  const value = (name) => (typeof values[name] === 'function' ? values[name]() : values[name]);
  return hasWord(key) ? WORDS[language][key.slice(1)].replace(/\{(\w+)\}/g, (_, name) => value(name)) : '';
}

function say(element, what) {
  sayings.set(element, what);
  element.dataset.says = '';
  element.textContent = read(what);
}

function tellNews(what) {
  say(document.getElementById('news'), what);
}

/** A moment as this reader writes it. */
const when = (time) => () =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time));

function speak() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-says]')) element.textContent = read(sayings.get(element));
  for (const button of document.querySelectorAll('#languages button')) {
    button.setAttribute('aria-pressed', String(button.lang === language));
  }
  const title = page.querySelector('h1')?.textContent;
  document.title = title ? `${title} – StorePulse` : 'StorePulse';
}

function offerLanguages() {
  for (const button of document.querySelectorAll('#languages button')) {
    button.onclick = () => {
      chosen = language = button.lang;
      asked.set('lang', chosen);
      history.replaceState(null, '', `${location.pathname}?${asked}`);
      speak();
    };
  }
}

/** The address of one of these pages. */
function addressOf(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  if (chosen) query.set('lang', chosen);
  return query.size ? `${path}?${query}` : path;
}

/** Goes there; whoever waits for it waits until the page is gone. */
function leaveFor(address) {
  location.assign(address);
  return new Promise(() => {});
}

/** An element; a property with a hyphen is an attribute, and `says` is what it says. */
function make(tag, { says, ...properties } = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  if (says) say(element, says);
  element.append(...inside);
  return element;
}
