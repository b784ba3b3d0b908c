// The home page while the cloud is there: the verdict, its reasons with the next step, the devices, the rest of the shop.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function home(stage) {
  const { checks, args } = stage;
  const visit = await Visit.begin(stage);
  const answer = await visit.open('/');
  checks.same('nothing of it is kept', answer.headers()['cache-control'], 'no-store');
  const policy = answer.headers()['content-security-policy'] ?? '';
  checks.that('the policy allows nothing of others', policy.includes("default-src 'none'") && !policy.includes('unsafe'), policy);
  checks.same('the verdict', await visit.attribute('main', 'data-verdict'), 'degraded');
  const headlines = await visit.all('main h1', (all) => all.map((each) => each.innerText));
  checks.that('one headline says it', headlines.length === 1 && headlines[0].length > 5, headlines);
  await reasons(visit, checks, args);
  await devices(visit, checks, args);
  checks.same('the way to the cloud holds', await visit.attribute('section#uplink', 'data-cause'), 'none');
  for (const section of ['uplink', 'spool', 'box']) {
    checks.that(`section ${section} says something`, (await visit.text(`section#${section}`))?.length > 20);
  }
  checks.same('nobody can act without the PIN', await visit.all('form[data-action]', (all) => all.length), 0);
  checks.that('there is a way to sign in', await visit.page.$('a[href^="/sign-in"]'));
  await look(visit, 'home', { dark: true });
  await visit.end();
}

async function reasons(visit, checks, args) {
  const told = await visit.all('[data-finding]', (all) => all.map((each) => ({
    name: each.dataset.finding,
    text: each.querySelector('.text')?.textContent.trim() ?? '',
    next: each.querySelector('.next')?.textContent.trim() ?? '',
  })));
  for (const { id, findings } of args.devices.filter((device) => device.findings.length)) {
    const of = told.filter(({ name, text }) => findings.includes(name) && text.includes(id));
    checks.that(`${id}: one of ${findings.join(', ')} is told and names it`, of.length > 0, told.map(({ name, text }) => `${name}: ${text}`));
  }
  const mute = told.filter(({ text, next }) => text.length < 10 || next.length < 10);
  checks.that('every reason has a next step', mute.length === 0, mute);
}

async function devices(visit, checks, args) {
  const shown = Object.fromEntries(await visit.all('[data-device]', (all) => all.map((each) => {
    const value = each.querySelector('.value');
    const strip = each.querySelector('svg.strip, .strip');
    return [each.dataset.device, {
      state: each.dataset.state,
      value: value?.textContent.trim(),
      stale: value?.hasAttribute('data-stale'),
      colour: value && getComputedStyle(value).color,
      age: each.querySelector('.age')?.textContent.trim(),
      error: each.querySelector('.error')?.textContent.trim(),
      strip: strip?.getAttribute('aria-label') ?? strip?.querySelector('title')?.textContent ?? strip?.textContent,
    }];
  })));
  const present = shown[args.devices.find(({ state }) => state === 'ok').id]?.colour;
  for (const { id, state, value } of args.devices) {
    const is = shown[id];
    if (!checks.that(`${id} is shown`, is, Object.keys(shown))) continue;
    checks.same(`${id}: its state`, is.state, state);
    checks.that(`${id}: what its last day was like is told in words`, is.strip?.length > 3, is);
    if (state === 'ok') {
      checks.that(`${id}: a present value`, /[\d\p{L}]/u.test(is.value ?? '') && !is.stale, is);
      checks.same(`${id}: the colour of present values`, is.colour, present);
    } else {
      checks.that(`${id}: its value is grey`, is.stale && is.colour !== present, is);
      if (['fault', 'unreachable'].includes(state)) checks.that(`${id}: its error is told`, is.error?.length > 5, is);
    }
    if (value) checks.that(`${id}: how old the value is`, /[\d\p{L}]/u.test(is.value ?? '') && /\d/.test(is.age ?? ''), is);
  }
}
