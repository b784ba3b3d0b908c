// All that the home page brings, over a shop's bad link: below 100 KB the first time, its own files not again.

import { Visit } from '../visit.mjs';

const BYTES_MAX = 100000;

export default async function weight(stage) {
  const { checks } = stage;
  const visit = await Visit.begin(stage);
  const network = await visit.page.createCDPSession();
  await network.send('Network.enable');
  let loaded = [];
  const addresses = new Map();
  network.on('Network.requestWillBeSent', ({ requestId, request }) => addresses.set(requestId, request.url));
  network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => loaded.push([addresses.get(requestId), encodedDataLength]));
  const bytes = () => loaded.reduce((sum, [, each]) => sum + each, 0);
  await visit.page.goto(`${stage.args.url}/`, { waitUntil: 'networkidle0' });
  const first = bytes();
  checks.that(`the home page brings ${first} bytes, at most ${BYTES_MAX}`, first > 1000 && first <= BYTES_MAX, loaded);
  console.log(`  the home page: ${loaded.length} requests, ${first} bytes`);
  loaded = [];
  await visit.page.goto(`${stage.args.url}/`, { waitUntil: 'networkidle0' });
  const files = loaded.filter(([address, each]) => /style|page\.js/.test(address) && each > 0);
  checks.that('its files are kept', files.length === 0, files);
  await visit.end();
}
