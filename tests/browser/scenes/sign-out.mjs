// Who signs out has no forms any more, and the session is no longer taken by anybody.

import { look } from '../look.mjs';
import { signed } from '../signed.mjs';

export default async function signOut(stage) {
  const { checks, args } = stage;
  const visit = await signed(stage);
  await visit.open('/');
  const cookie = (await visit.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const csrf = await visit.page.$eval('form[data-action=identify] input[name=csrf]', (input) => input.value);
  await visit.press('form[action="/sign-out"] button');
  checks.same('the cookie is gone', (await visit.cookies()).some(({ name, value }) => name === 'storepulse_session' && value), false);
  checks.same('so are the forms', await visit.all('form[data-action]', (all) => all.length), 0);
  const answer = await fetch(`${args.url}/identify`, {
    method: 'POST', redirect: 'manual', body: `csrf=${csrf}`,
    headers: { cookie, origin: args.url, 'content-type': 'application/x-www-form-urlencoded' },
  });
  const led = `${answer.status} ${answer.headers.get('location')}`;
  checks.that('whoever has kept it is sent to the PIN', led.startsWith('303 /sign-in'), led);
  await look(visit, 'signed-out');
  await visit.end();
  stage.remembered.signedIn = undefined;
}
