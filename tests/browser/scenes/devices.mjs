// The page of each device: its state, its last good reading, its values with their ages, its errors with what to do.

import { look } from '../look.mjs';
import { Visit } from '../visit.mjs';

const PICTURED = ['printer-2', 'freezer', 'fridge', 'pos-01'];

export default async function devices(stage) {
  const { checks, args } = stage;
  const visit = await Visit.begin(stage);
  for (const { id, state, value } of args.devices) {
    await visit.open(`/device/${id}`);
    checks.same(`${id}: its state`, await visit.attribute(`[data-device="${id}"]`, 'data-state'), state);
    const values = await visit.all('.value', (all) => all.map((each) => ({ text: each.textContent.trim(), stale: each.hasAttribute('data-stale') })));
    if (value) checks.that(`${id}: it has values`, values.some(({ text }) => /\d|\p{L}/u.test(text)), values);
    if (state !== 'ok') checks.that(`${id}: no value passes for a present one`, values.every(({ stale }) => stale), values);
    if (['fault', 'unreachable'].includes(state)) {
      checks.that(`${id}: an error with what to do`, (await visit.text('.next'))?.length > 10, await visit.text('main'));
      checks.that(`${id}: the error as it was`, (await visit.text('#errors .verbatim'))?.length > 5, await visit.text('#errors'));
    }
    if (PICTURED.includes(id)) await look(visit, `device-${id}`, { dark: id === 'freezer' });
  }
  await visit.end();
}
