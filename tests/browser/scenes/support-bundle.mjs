// One file for support: made with progress, saved, readable without a network, and no secret in it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { shoot } from '../look.mjs';
import { ended, signed } from '../signed.mjs';

export default async function supportBundle(stage) {
  const { checks, args } = stage;
  const visit = await signed(stage);
  await visit.open('/');
  await visit.press('form[data-action=bundle] button');
  checks.same('it comes to its end', await ended(visit, 'the bundle', 90000), 'done');
  await shoot(visit, 'support-bundle');
  const path = await visit.attribute('a[href^="/support-bundle/"]', 'href');
  if (!checks.that('it can be saved', path, await visit.text('main'))) return;
  const cookie = (await visit.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const answer = await fetch(args.url + path, { headers: { cookie } });
  const text = await answer.text();
  checks.same('it is there', answer.status, 200);
  checks.that('it is saved, not run', answer.headers.get('content-disposition')?.startsWith('attachment'), answer.headers.get('content-disposition'));
  checks.that('it is one page', text.startsWith('<!DOCTYPE html>') && text.length > 2000, text.slice(0, 200));
  for (const [name, secret] of Object.entries(args.secrets)) checks.that(`it does not hold ${name}`, !text.includes(secret));
  checks.that('it names the devices', args.devices.every(({ id }) => text.includes(id)));
  checks.that('it loads nothing', !/(src|href)=["']?https?:/i.test(text));
  const stranger = await fetch(args.url + path, { redirect: 'manual' });
  checks.that('nobody gets it without a session', stranger.status === 303, stranger.status);
  await read(stage, text);
}

async function read(stage, text) {
  const file = join(stage.args.shots, 'support-bundle.html');
  writeFileSync(file, text);
  const context = await stage.browser.createBrowserContext();
  const page = await context.newPage();
  const elsewhere = [];
  page.on('request', (request) => { if (!request.url().startsWith('file:')) elsewhere.push(request.url()); });
  await page.setViewport({ width: 360, height: 780 });
  await page.goto(`file://${file}`);
  stage.checks.that('it asks nobody for anything', elsewhere.length === 0, elsewhere);
  stage.checks.that('it is readable', (await page.evaluate(() => document.body.innerText.length)) > 500);
  stage.checks.screenshots += 1;
  await page.screenshot({ path: join(stage.args.shots, `${String(stage.checks.screenshots).padStart(2, '0')}-support-bundle-read.png`) });
  await context.close();
}
