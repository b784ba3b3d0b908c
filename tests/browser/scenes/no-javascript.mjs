// Without JavaScript the page is readable, comes again by itself, and changes its language.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function noJavascript(stage) {
  const { checks, args } = stage;
  const visit = await Visit.begin(stage, { javascript: false });
  const answer = await visit.open('/');
  const html = await answer.text();
  checks.that('it comes again by itself', /<noscript>\s*<meta http-equiv="refresh" content="\d+"/.test(html), html.slice(0, 1200));
  checks.same('the verdict is there', await visit.attribute('main', 'data-verdict'), 'degraded');
  const states = await visit.all('[data-device]', (all) => all.map((each) => each.dataset.state));
  checks.same('all devices are there', states.length, args.devices.length);
  checks.that('an old value is grey and says its age', await visit.page.evaluate(() => {
    const old = document.querySelector('[data-state=stale]');
    return old?.querySelector('.value[data-stale]') && /\d/.test(old.querySelector('.age').textContent);
  }));
  await look(visit, 'no-javascript');
  await visit.press('nav.languages a[hreflang=es]');
  checks.same('the language changes', await visit.attribute('html', 'lang'), 'es');
  await visit.press('[data-device=freezer] a.name, a[href="/device/freezer"]');
  checks.same('a device is a press away', new URL(visit.page.url()).pathname, '/device/freezer');
  await look(visit, 'no-javascript-device');
  await visit.end();
}
