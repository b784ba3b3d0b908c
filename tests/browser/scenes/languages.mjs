// Every page in three languages: chosen by a press, kept in a cookie, or as the browser asks.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

const PAGES = { home: '/', device: '/device/printer-2', 'sign-in': '/sign-in', setup: '/setup', label: '/label' };

export default async function languages(stage) {
  const { checks } = stage;
  const asked = await Visit.begin(stage, { language: 'pt-BR,pt;q=0.9' });
  await asked.open('/');
  checks.same('a browser that asks for Portuguese gets it', await asked.attribute('html', 'lang'), 'pt');
  await asked.end();

  const visit = await Visit.begin(stage);
  await visit.open('/');
  const english = await nextSteps(visit);
  for (const language of ['es', 'pt', 'en']) {
    await visit.open('/');
    await visit.press(`nav.languages a[hreflang=${language}]`);
    checks.same(`${language} is chosen by a press`, await visit.attribute('html', 'lang'), language);
    const steps = await nextSteps(visit);
    checks.same(`${language}: each finding has its next step`, Object.keys(steps), Object.keys(english));
    const same = Object.keys(steps).filter((name) => language !== 'en' && steps[name] === english[name]);
    checks.that(`${language}: next steps are not the English ones`, same.length === 0, same);
    for (const [name, path] of Object.entries(PAGES)) {
      await visit.open(path);
      checks.same(`${name}: ${language} is kept`, await visit.attribute('html', 'lang'), language);
      const choices = await visit.all('nav.languages a[hreflang]', (all) => all.map((each) => each.hreflang));
      checks.same(`${name} in ${language}: another language is a press away`, choices.sort(), ['en', 'es', 'pt']);
      await look(visit, `${name}-${language}`, { axe: language !== 'pt' });
    }
  }
  await visit.end();
}

async function nextSteps(visit) {
  const steps = await visit.all('[data-finding]', (all) => all.map((each) => (
    [each.dataset.finding, each.querySelector('.next')?.textContent.trim()])));
  return Object.fromEntries(steps.filter(([, next]) => next));
}
