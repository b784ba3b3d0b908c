// The cloud is cut off while somebody looks: the page says so by itself, with what exactly is broken and what to do. Then the
// phone loses the box.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

const PATIENCE = 20000;

export default async function outage(stage) {
  const { checks } = stage;
  const visit = await Visit.begin(stage);
  await visit.open('/');
  checks.same('at first the way holds', await visit.attribute('section#uplink', 'data-cause'), 'none');
  await visit.page.evaluate(() => { window.sameDocument = true; });
  await stage.wish('cut-cloud');
  const begun = Date.now();
  const shows = () => document.querySelector('section#uplink')?.dataset.cause === 'address';
  const told = await visit.until('the cut shows without a reload', shows, PATIENCE);
  if (told) console.log(`  the cut showed after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  checks.that('and it is the same document', told && await visit.page.evaluate(() => window.sameDocument === true));
  checks.same('the cause', await visit.attribute('section#uplink', 'data-cause'), 'address');
  checks.same('where the way breaks', await visit.attribute('section#uplink', 'data-broken'), 'connection');
  await visit.until('the verdict names it first', () => document.querySelector('[data-finding]')?.dataset.finding === 'cloud_unreachable', PATIENCE);
  checks.that('with a next step', (await visit.text('[data-finding=cloud_unreachable] .next'))?.length > 10);
  checks.same('nothing is lost, so nothing is broken', await visit.attribute('main', 'data-verdict'), 'degraded');
  const before = await visit.text('section#spool');
  const grows = (was) => document.querySelector('section#spool').innerText.trim() !== was;
  await visit.until('what waits grows before one\'s eyes', grows, PATIENCE, before);
  await look(visit, 'cloud-cut-off', { dark: true });
  for (const language of ['es', 'pt']) {
    await visit.open(`/?lang=${language}`);
    await look(visit, `cloud-cut-off-${language}`);
  }
  await visit.open('/?lang=en');
  await outOfReach(visit, checks);
  await visit.end();
}

async function outOfReach(visit, checks) {
  visit.isOffline = true;
  await visit.page.setOfflineMode(true);
  await visit.until('the page says that the box does not answer', () => document.querySelector('#silent')?.innerText.length > 5, PATIENCE);
  checks.that('what it shows stays', (await visit.all('[data-device]', (all) => all.length)) > 0);
  await look(visit, 'box-out-of-reach', { dark: true });
  await visit.page.setOfflineMode(false);
  await visit.until('and takes it back', () => document.querySelector('#silent').innerText === '', 30000);
  visit.isOffline = false;
}
