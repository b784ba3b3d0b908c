// The phone loses the box: the page says so and keeps what it shows, and takes it back when the box answers again.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function outOfReach(stage) {
  const { checks } = stage;
  const visit = await Visit.begin(stage);
  await visit.open('/');
  visit.isOffline = true;
  await visit.page.setOfflineMode(true);
  await visit.until('the page says that the box does not answer', () => document.querySelector('#silent')?.innerText.length > 5, 20000);
  checks.that('what it shows stays', (await visit.all('[data-device]', (all) => all.length)) > 0);
  await look(visit, 'box-out-of-reach', { dark: true });
  await visit.page.setOfflineMode(false);
  await visit.until('and takes it back', () => document.querySelector('#silent').innerText === '', 30000);
  await visit.end();
}
