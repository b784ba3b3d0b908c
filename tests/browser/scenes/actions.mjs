// What can be done behind the PIN: test a device now, find out which one it is, maintenance. And what a form without its token
// or from elsewhere comes to.

import { look } from '../look.mjs';
import { ended, signed } from '../signed.mjs';

const TRIES = 2;

export default async function actions(stage) {
  const { checks } = stage;
  const visit = await signed(stage);
  await test(visit, checks, 'fridge', true);
  await test(visit, checks, 'printer-1', true);
  await test(visit, checks, 'ups', false);
  await identify(visit, stage);
  await maintenance(visit, checks);
  await forged(visit, checks);
}

async function test(visit, checks, id, good) {
  await visit.open(`/device/${id}`);
  await visit.press('form[data-action=test] button');
  if (id === 'ups' || id === 'fridge') await look(visit, `job-test-${id}`, { axe: false });
  checks.same(`the test of ${id} comes to its end`, await ended(visit, `the test of ${id}`), 'done');
  const shape = await visit.attribute('[data-job] .tell [data-shape]', 'data-shape');
  checks.same(`the outcome of ${id}`, shape, good ? 'ok' : 'unreachable');
  checks.that(`how long ${id} took is told`, /\d/.test(await visit.text('[data-job]')), await visit.text('[data-job]'));
  await look(visit, `tested-${id}`);
}

// A broken device that is asked just then changes too: its errors are counted. So there may be a second try.
async function identify(visit, stage) {
  let touched = [];
  for (let n = 1; n <= TRIES && !touched.includes('scale-1'); n += 1) {
    await visit.open('/');
    await visit.press('form[data-action=identify] button');
    if (n === 1) {
      stage.checks.that('how far it is shows', await visit.page.$('progress'), await visit.text('main'));
      await look(visit, 'identify', { axe: false });
    }
    await visit.until('it says when to touch the device', () => /Now do something/.test(document.querySelector('main').innerText));
    // A weight on the scale: it is this one.
    await stage.wish(`weigh ${n}.250`);
    stage.checks.same('identifying ends', await ended(visit, 'identifying', 45000), 'done');
    touched = await visit.all('[data-job] ul.rows a', (all) => all.map((each) => each.textContent.trim()));
  }
  stage.checks.that('the one that changed is named', touched.includes('scale-1'), await visit.text('[data-job]'));
  await look(visit, 'identified');
  await stage.wish('weigh 0.000');
}

async function maintenance(visit, checks) {
  await visit.open('/');
  await visit.page.select('form[data-action=maintenance] select[name=minutes]', '30');
  await visit.page.type('form[data-action=maintenance] input[name=note]', '<b onmouseover=alert(1)>new cable</b>');
  await visit.press('form[data-action=maintenance] button');
  checks.same('maintenance leads home', new URL(visit.page.url()).pathname, '/');
  checks.that('it is told', await visit.page.$('[data-finding=maintenance]'), await visit.text('main'));
  checks.that('and can be ended', await visit.page.$('form[action="/maintenance/end"]'));
  await look(visit, 'maintenance');
  await visit.press('form[action="/maintenance/end"] button');
  checks.same('then it is over', await visit.page.$('[data-finding=maintenance]'), null);
  checks.that('and can be begun again', await visit.page.$('form[data-action=maintenance]'));
}

async function forged(visit, checks) {
  const { url } = visit.stage.args;
  const cookie = (await visit.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const post = (headers, body) => fetch(`${url}/identify`, {
    method: 'POST', redirect: 'manual', body, headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
  const csrf = await visit.page.$eval('form[data-action=identify] input[name=csrf]', (input) => input.value);
  const begun = ({ status, headers }) => status === 303 && headers.get('location')?.startsWith('/job/');
  checks.that('a form with its token is taken', begun(await post({ cookie, origin: url }, `csrf=${csrf}`)));
  for (const [what, headers, body] of [
    ['without its token', { cookie, origin: url }, ''],
    ['with another token', { cookie, origin: url }, `csrf=${'0'.repeat(csrf.length)}`],
    ['without a session', { origin: url }, `csrf=${csrf}`],
    ['from elsewhere', { cookie, origin: 'http://evil.example' }, `csrf=${csrf}`],
    ['from nowhere', { cookie, origin: 'null' }, `csrf=${csrf}`],
  ]) {
    const answer = await post(headers, body);
    checks.that(`a form ${what} is refused`, !begun(answer), `${answer.status} ${answer.headers.get('location')}`);
  }
  const got = await fetch(`${url}/identify`, { redirect: 'manual', headers: { cookie } });
  checks.same('looking does nothing', got.status, 405);
}
