// The cloud has been away for a minute: the verdict begins with it, and says what to do, in every language.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function cloudAway(stage) {
  const { checks } = stage;
  if (!checks.that('the cloud was cut off before (scene outage)', stage.remembered.toldAt)) return;
  const visit = await Visit.begin(stage);
  await visit.open('/');
  const left = Math.max(0, stage.remembered.toldAt - Date.now());
  const first = () => document.querySelector('[data-finding]')?.dataset.finding === 'cloud_unreachable';
  await visit.until('the verdict begins with it', first, left + 20000);
  checks.same('nothing is lost, so nothing is broken', await visit.attribute('main', 'data-verdict'), 'degraded');
  const texts = new Set();
  for (const language of ['en', 'es', 'pt']) {
    await visit.open(`/?lang=${language}`);
    const next = await visit.text('[data-finding=cloud_unreachable] .next');
    checks.that(`${language}: with a next step`, next?.length > 10);
    texts.add(next);
    await look(visit, `cloud-away-${language}`);
  }
  checks.same('in three languages', texts.size, 3);
  await visit.end();
}
