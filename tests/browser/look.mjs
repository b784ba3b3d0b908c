// What must hold on every page in every state: it fits a small phone, a thumb hits what is to be pressed, axe finds nothing
// serious in light or dark, no word is missing. And its picture is taken.

import { join } from 'node:path';

const WIDTHS = [320, 360];
const THUMB = 44;
const SCHEMES = ['light', 'dark'];
// A page without scripts has no other way to be fresh than to come again as a whole.
const NOT_WITHOUT_SCRIPTS = ['meta-refresh'];
// What speaks for itself in the language of a device or of the agent's log, and names that people gave.
const VERBATIM = 'code, pre, .verbatim, .bytes, .instead, .error span.soft, .name, .brand, .paste, time, option';
// English, and neither Spanish nor Portuguese.
const ENGLISH = ('the and not with since last value device devices waiting cloud disk clock memory connected answer answers back ' +
  'key sign ago never unknown silent paper printer again until yes this that has have wait warning step open closed weight').split(' ');

export async function look(visit, name, { dark = false, axe = true } = {}) {
  const { page, stage } = visit;
  const { checks } = stage;
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 780, deviceScaleFactor: 1, isMobile: true, hasTouch: true });
    const wide = await page.evaluate(overflowing);
    checks.that(`${name} at ${width} px does not scroll sideways`, wide.scroll <= wide.inner, wide);
    const small = await page.evaluate(smallTargets, THUMB);
    checks.that(`${name} at ${width} px: what is to be pressed is ${THUMB} px high`, small.length === 0, small);
  }
  await words(visit, name);
  visit.holdsNoSecret(`the page ${name}`, await page.evaluate(() => document.documentElement.outerHTML.replace(/name="csrf" value="[^"]*"/g, '')));
  // What was built without scripts stays so; axe itself needs them.
  if (!visit.javascript) await page.setJavaScriptEnabled(true);
  for (const scheme of axe ? SCHEMES : []) {
    await page.emulateMediaFeatures(as(scheme));
    await page.evaluate(stage.axe);
    const serious = await page.evaluate(findings, visit.javascript ? [] : NOT_WITHOUT_SCRIPTS);
    checks.that(`${name} in ${scheme}: axe finds nothing serious`, serious.length === 0, serious.join('\n                '));
    if (scheme === 'dark' && dark) await shoot(visit, `${name}-dark`);
  }
  if (!visit.javascript) await page.setJavaScriptEnabled(false);
  await page.emulateMediaFeatures(as('light'));
  await shoot(visit, name);
}

export async function shoot(visit, name) {
  const { checks, args } = visit.stage;
  checks.screenshots += 1;
  const number = String(checks.screenshots).padStart(2, '0');
  await visit.page.screenshot({ path: join(args.shots, `${number}-${name}.png`), fullPage: true });
}

const as = (scheme) => [
  { name: 'prefers-color-scheme', value: scheme },
  { name: 'prefers-reduced-motion', value: 'reduce' },
];

async function words(visit, name) {
  const { page, stage: { checks } } = visit;
  const language = await visit.attribute('html', 'lang');
  checks.that(`${name} says its language`, ['en', 'es', 'pt'].includes(language), language);
  const texts = await page.evaluate(spoken, VERBATIM);
  const keys = texts.filter((text) => /\b[a-z]+_[a-z_]+\b|\{[a-z_]+\}|\bundefined\b|\bNaN\b|\bnull\b/.test(text));
  checks.that(`${name} shows words, not the names of words`, keys.length === 0, keys);
  if (language === 'en') return;
  const english = new RegExp(`\\b(${ENGLISH.join('|')})\\b`, 'i');
  const foreign = texts.filter((text) => english.test(text));
  checks.that(`${name} has no English words in ${language}`, foreign.length === 0, foreign);
}

// From here on all of it runs in the page.

function overflowing() {
  const inner = window.innerWidth;
  const root = document.documentElement;
  const beyond = [...document.body.querySelectorAll('*')].filter((each) => each.getBoundingClientRect().right > inner + 0.5);
  const named = (each) => `${each.tagName.toLowerCase()}.${each.getAttribute('class') ?? ''} ${each.textContent.trim().slice(0, 30)}`;
  const shown = beyond.slice(0, 4).map(named);
  // A phone zooms out to show what is too wide: the width of the screen is the measure.
  return { scroll: root.scrollWidth, inner: Math.min(inner, screen.width), beyond: shown };
}

function smallTargets(thumb) {
  const pressed = 'button, input:not([type=hidden]), select, textarea, a.button, nav.languages a, summary';
  return [...document.querySelectorAll(pressed)]
    .filter((each) => each.getClientRects().length > 0 && each.getBoundingClientRect().height < thumb - 0.5)
    .map((each) => {
      const height = Math.round(each.getBoundingClientRect().height);
      return `${each.tagName.toLowerCase()} "${(each.innerText || each.name || '').trim().slice(0, 40)}" ${height} px`;
    });
}

function spoken(verbatim) {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = new Set();
  while (walker.nextNode()) {
    const { parentElement: parent, data } = walker.currentNode;
    if (parent.closest('script, style, noscript') || parent.closest(verbatim)) continue;
    if (data.trim()) texts.add(data.trim());
  }
  for (const each of document.querySelectorAll('[aria-label]')) if (!each.closest(verbatim)) texts.add(each.getAttribute('aria-label'));
  // Names that people gave.
  const given = new Set([...document.querySelectorAll('[data-device], [data-expected], [data-socket]')]
    .flatMap((each) => [each.dataset.device, each.dataset.expected, each.dataset.socket]).filter(Boolean));
  return [...texts].map((text) => [...given].reduce((rest, id) => rest.replaceAll(id, '*'), text));
}

async function findings(without) {
  const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
  const { violations } = await window.axe.run(document, { resultTypes: ['violations'], rules });
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, impact, nodes }) => nodes.slice(0, 5).map((node) => (
      `${impact} ${id}: ${node.target.join(' ')}: ${node.failureSummary?.replace(/\s+/g, ' ')}`)));
}
