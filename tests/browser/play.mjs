// Plays the scenes on a running agent, and says what did not hold.
//
// Its argument is JSON: where the agent is, its PIN, the devices and what is the matter with each, secrets that no answer may
// hold, where screenshots go, which Chromium, where the packages are. What is to happen in the shop is wished for on standard
// output, a line `@wish …`; `done` on standard input says that it has happened. The last line is `@verdict {…}`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { Checks } from './checks.mjs';

const SCENES = [
  'home', 'all-well', 'weight', 'outage', 'wrong-pin', 'languages', 'hostile', 'no-javascript', 'devices', 'out-of-reach', 'sign-in',
  'actions', 'support-bundle', 'setup', 'no-javascript-actions', 'cloud-away', 'sign-out',
];

const args = JSON.parse(process.argv[2]);
const require = createRequire(`${args.packages}/`);
const checks = new Checks();

// Who started us is gone when this closes.
const said = createInterface({ input: process.stdin });
const waiting = [];
said.on('line', (line) => waiting.shift()?.(line));
said.on('close', () => process.exit(1));

function wish(what) {
  return new Promise((resolve, reject) => {
    waiting.push((line) => (line === 'done' ? resolve() : reject(new Error(`${what}: ${line}`))));
    console.log(`@wish ${what}`);
  });
}

const chosen = args.scenes.length ? args.scenes : SCENES;
for (const name of chosen) if (!SCENES.includes(name)) throw new Error(`there is no scene ${name}; there are ${SCENES.join(' ')}`);

const browser = await require('puppeteer-core').launch({
  executablePath: args.chromium,
  userDataDir: args.profile,
  pipe: true,
  args: [
    // Root has no other way; the pages are our own.
    ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
    '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars', '--no-proxy-server', '--disable-background-networking',
    // Whoever asks for another name learns that there is none.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});
const stage = { args, browser, checks, wish, axe: readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'), remembered: {} };
for (const name of chosen) {
  checks.begin(name);
  try {
    const { default: play } = await import(`./scenes/${name}.mjs`);
    await play(stage);
  } catch (error) {
    checks.broken(error);
  }
  checks.end();
}
await browser.close();
console.log(`@verdict ${JSON.stringify({ checks: checks.count, failed: checks.failed, screenshots: checks.screenshots })}`);
process.exit(0);
