// Without JavaScript one signs in, and a test runs to its outcome: its page comes again by itself.

import { look } from '../look.mjs';
import { ended } from '../signed.mjs';
import { Visit } from '../visit.mjs';

export default async function noJavascriptActions(stage) {
  const { checks } = stage;
  const visit = await Visit.begin(stage, { javascript: false });
  await visit.signIn('/device/fridge');
  await visit.press('form[data-action=test] button');
  checks.same('a test comes to its outcome', await ended(visit, 'a test'), 'done');
  checks.same('which is good', await visit.attribute('[data-job] .tell [data-shape]', 'data-shape'), 'ok');
  await look(visit, 'no-javascript-tested');
  await visit.open('/setup');
  checks.that('the steps of setting up are there', await visit.page.$('a[href="/setup/scale/scale-1"]'));
  await visit.open('/');
  await visit.press('form[action="/sign-out"] button');
  checks.same('and signs out', await visit.all('form[data-action]', (all) => all.length), 0);
  await visit.end();
}
