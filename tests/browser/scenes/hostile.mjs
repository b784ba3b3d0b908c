// HTML in what devices report is text: nothing of it runs, nothing of it becomes an element.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function hostile(stage) {
  const { checks, args } = stage;
  const visit = await Visit.begin(stage);
  for (const id of args.hostile) {
    await visit.open(`/device/${id}`);
    const found = await visit.page.evaluate(() => ({
      ran: window.hacked ?? null,
      foreign: [...document.querySelectorAll('script')].filter((each) => !each.src.includes('/page.js')).length,
      images: document.querySelectorAll('img, iframe, object, embed').length,
      handlers: [...document.querySelectorAll('*')].filter((each) => [...each.attributes].some(({ name }) => name.startsWith('on'))).length,
      shown: document.body.innerHTML.includes('&lt;script&gt;') || document.querySelector('[data-series*="<script>"]') !== null,
    }));
    const { shown, ...rest } = found;
    checks.same(`${id}: nothing runs and nothing is built`, rest, { ran: null, foreign: 0, images: 0, handlers: 0 });
    if (id === args.hostile[0]) checks.that(`${id}: it is shown as text`, shown, await visit.text('main'));
    await look(visit, `hostile-${id}`);
  }
  await visit.open('/');
  checks.same('nor on the home page', await visit.page.evaluate(() => window.hacked ?? null), null);
  visit.forgiven.add(404);
  const answer = await visit.open('/device/%3Cscript%3Ewindow.hacked=1%3C%2Fscript%3E');
  checks.same('a name of nothing is not found', answer.status(), 404);
  checks.same('and stays text', await visit.page.evaluate(() => window.hacked ?? null), null);
  await look(visit, 'not-found');
  await visit.end();
}
