// The cloud is cut off while somebody looks: within seconds the page says by itself what exactly is broken. Only a link that stays
// away is a reason of the verdict; that is looked at in `cloud-away`, when it has been away for long enough.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

const PATIENCE = 20000;
const GRACE = 60000;

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
  stage.remembered.toldAt = begun + GRACE;
  checks.that('and it is the same document', told && await visit.page.evaluate(() => window.sameDocument === true));
  checks.same('where the way breaks', await visit.attribute('section#uplink', 'data-broken'), 'connection');
  checks.that('the error as it was', (await visit.text('section#uplink .verbatim'))?.length > 10, await visit.text('section#uplink'));
  const before = await visit.text('section#spool');
  const grows = (was) => document.querySelector('section#spool').innerText.trim() !== was;
  await visit.until('what waits grows before one\'s eyes', grows, PATIENCE, before);
  await look(visit, 'cloud-cut-off', { dark: true });
  await visit.end();
}
