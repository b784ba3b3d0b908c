// Wrong PINs are refused; after five of an address it waits, whatever it tries then. The wait passes while other scenes play.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

const FREE = 5;

export default async function wrongPin(stage) {
  const { checks, args } = stage;
  const visit = await Visit.begin(stage);
  [401, 429].forEach((status) => visit.forgiven.add(status));
  await visit.open('/sign-in?then=/setup');
  const wrong = args.pin.replace(/./g, (digit) => String((Number(digit) + 3) % 10));
  for (let n = 1; n <= FREE; n += 1) {
    const answer = await attempt(visit, wrong);
    checks.that(`wrong PIN ${n} is refused`, [401, 429].includes(answer.status()), answer.status());
    checks.that(`wrong PIN ${n}: why is told`, (await visit.text('.problem'))?.length > 5);
    checks.same(`wrong PIN ${n}: nobody is signed in`, await session(visit), undefined);
    checks.same(`wrong PIN ${n}: nothing typed comes back`, await visit.page.$eval('input[name=pin]', (input) => input.value), '');
    if (n === 1) await look(visit, 'wrong-pin');
  }
  stage.remembered.waitsUntil = Date.now() + 31000;
  const answer = await attempt(visit, args.pin);
  checks.same('after five even the right one has to wait', answer.status(), 429);
  const seconds = Number(answer.headers()['retry-after']);
  checks.that('how long is told to programs', seconds > 0 && seconds <= 31, answer.headers());
  checks.that('and to people', /\d/.test(await visit.text('.problem')), await visit.text('.problem'));
  checks.same('nobody is signed in', await session(visit), undefined);
  await look(visit, 'too-many-pins');
  await visit.end();
}

async function attempt(visit, pin) {
  await visit.page.$eval('form#sign-in input[name=pin]', (input) => { input.value = ''; });
  await visit.page.type('form#sign-in input[name=pin]', pin);
  return visit.press('form#sign-in button');
}

async function session(visit) {
  return (await visit.cookies()).find(({ name }) => name === 'storepulse_session')?.value;
}
