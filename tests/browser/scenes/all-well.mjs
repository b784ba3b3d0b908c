// A shop in which nothing is the matter: it is said first, in every language, and nothing asks for attention.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function allWell(stage) {
  const { checks, args } = stage;
  const { url, devices } = args.quiet;
  const visit = await Visit.begin({ ...stage, args: { ...args, url } });
  const said = new Set();
  for (const language of ['en', 'es', 'pt']) {
    await visit.open(`/?lang=${language}`);
    checks.same(`${language}: the verdict`, await visit.attribute('main', 'data-verdict'), 'ok');
    checks.same(`${language}: nothing is found`, await visit.all('[data-finding]', (all) => all.map((each) => each.dataset.finding)), []);
    const headlines = await visit.all('main h1', (all) => all.map((each) => each.innerText));
    checks.that(`${language}: one headline says it`, headlines.length === 1 && headlines[0].length > 5, headlines);
    said.add(headlines[0]);
    await look(visit, `all-well-${language}`, { dark: language === 'en' });
  }
  checks.same('in three languages', said.size, 3);
  const since = await visit.text('section.verdict .since');
  checks.that('how many devices answer, and until when the cloud has all', since?.includes(String(devices.length)) && /\d:\d/.test(since), since);
  const shown = await visit.all('[data-device]', (all) => all.map((each) => [each.dataset.device, each.dataset.state]));
  checks.same('every device answers', shown.sort(), devices.map((id) => [id, 'ok']).sort());
  const errors = await visit.all('.error, [data-stale]', (all) => all.map((each) => each.textContent.trim()));
  checks.same('nothing is grey, and no error is told', errors, []);
  checks.same('the way to the cloud holds', await visit.attribute('section#uplink', 'data-cause'), 'none');
  await visit.end();
}
