// Setting a shop up: what should be there and what is, the guided steps for drawer and scale, the label for the box.

import { look, shoot } from '../look.mjs';
import { ended, signed } from '../signed.mjs';

export default async function setup(stage) {
  const { checks, args } = stage;
  const visit = await signed(stage);
  await visit.open('/setup');
  const expected = Object.fromEntries(await visit.all('li[data-expected]', (all) => (
    all.map((each) => [each.dataset.expected, each.dataset.found]))));
  for (const { id, state } of args.devices) {
    const found = expected[id] === 'answers';
    checks.that(`${id} is expected, and found or not`, id in expected && found === (state === 'ok'), expected);
  }
  checks.same('a port that is not there is missing', expected['till-printer'], 'missing');
  await look(visit, 'setup', { dark: true });
  await drawer(visit, stage);
  await scale(visit, stage);
  await label(visit, stage);
}

async function drawer(visit, stage) {
  const { checks } = stage;
  await stage.wish('drawer closed');
  await visit.open('/setup/drawer/printer-1');
  await look(visit, 'drawer-1');
  await visit.press('form[data-action=drawer] button');
  checks.same('the closed drawer is read', await ended(visit, 'the closed drawer'), 'done');
  checks.that('then it is to be opened', await visit.page.$('[data-step=open] form'), await visit.text('main'));
  await look(visit, 'drawer-2');
  await stage.wish('drawer open');
  await visit.press('[data-step=open] form button');
  checks.same('the open drawer is read', await ended(visit, 'the open drawer'), 'done');
  checks.same('which level means open', await visit.attribute('[data-open-when]', 'data-open-when'), 'high');
  checks.that('with what to write into the configuration', (await visit.text('main')).includes('open_when: high'), await visit.text('main'));
  await look(visit, 'drawer-3');
  await stage.wish('drawer closed');
}

async function scale(visit, stage) {
  const { checks } = stage;
  await stage.wish('weigh 0.000');
  await visit.open('/setup/scale/scale-1');
  await look(visit, 'scale-1');
  await visit.press('form[data-action=scale] button');
  checks.same('the empty scale is read', await ended(visit, 'the empty scale'), 'done');
  checks.same('its zero is good', await visit.attribute('[data-step=zero]', 'data-good'), 'true');
  await look(visit, 'scale-2');
  await stage.wish('weigh 2.000');
  await visit.page.type('[data-step=weight] input[name=weight]', '2');
  await visit.press('[data-step=weight] form button');
  checks.same('the weight is read', await ended(visit, 'the weight'), 'done');
  checks.same('it weighs right', await visit.attribute('[data-step=weighed]', 'data-good'), 'true');
  await look(visit, 'scale-3');
  await stage.wish('weigh 2.100');
  await visit.page.type('[data-step=weight] input[name=weight]', '2');
  await visit.press('[data-step=weight] form button');
  checks.same('a wrong weight is read', await ended(visit, 'a wrong weight'), 'done');
  checks.same('and told', await visit.attribute('[data-step=weighed]', 'data-good'), 'false');
  await look(visit, 'scale-4');
  await stage.wish('weigh 0.000');
}

async function label(visit, stage) {
  const { checks, args } = stage;
  await visit.open('/label');
  const text = await visit.text('#label');
  for (const part of [args.store, args.key_id]) checks.that(`the label names ${part}`, text?.includes(part), text);
  await look(visit, 'label');
  await visit.page.emulateMediaType('print');
  const shown = await visit.all('.on-screen, header, nav', (all) => (
    all.filter((each) => each.getClientRects().length > 0).map((each) => each.innerText.slice(0, 40))));
  checks.same('on paper there is nothing but labels', shown, []);
  await shoot(visit, 'label-printed');
  await visit.page.emulateMediaType('screen');
}
