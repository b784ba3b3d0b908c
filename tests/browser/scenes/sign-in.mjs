// Once the wait is over the right PIN signs in, with a cookie that no script sees and no other site's page brings along.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

export default async function signIn(stage) {
  const { checks } = stage;
  const left = (stage.remembered.waitsUntil ?? 0) - Date.now();
  if (left > 0) {
    console.log(`  waiting ${(left / 1000).toFixed(0)} s until the address may try again`);
    await new Promise((resolve) => setTimeout(resolve, left));
  }
  const visit = await Visit.begin(stage);
  await visit.open('/');
  await visit.press('a[href^="/sign-in"]');
  await look(visit, 'sign-in');
  await visit.signIn('/');
  const cookie = (await visit.cookies()).find(({ name }) => name === 'storepulse_session');
  const { httpOnly, sameSite, path, session } = cookie ?? {};
  checks.same('the cookie', { httpOnly, sameSite, path, session }, { httpOnly: true, sameSite: 'Strict', path: '/', session: true });
  checks.same('no script sees it', await visit.page.evaluate(() => document.cookie.includes('storepulse_session')), false);
  const forms = await visit.all('form[data-action]', (all) => all.map((form) => ({ method: form.method, csrf: form.csrf?.value.length ?? 0 })));
  checks.that('now there are forms', forms.length >= 3, forms);
  checks.that('each posts, with a token', forms.every(({ method, csrf }) => method === 'post' && csrf >= 16), forms);
  await look(visit, 'signed-in', { dark: true });

  await visit.open('/sign-in?then=https://evil.example/');
  const then = await visit.page.$eval('input[name=then]', (input) => input.value).catch(() => '/');
  checks.that('nobody is led elsewhere', then.startsWith('/') && !then.startsWith('//'), then);
  stage.remembered.signedIn = visit;
}
