// Somebody with a phone: a browser context of its own, with one page, and everything noted that no visit may bring about:
// errors in the console, refusals by the policy, dialogs, requests to elsewhere, secrets in an answer.

const PATIENCE = 15000;

export class Visit {
  forgiven = new Set();

  static async begin(stage, { javascript = true, width = 360, language = 'en' } = {}) {
    const visit = new Visit();
    visit.stage = stage;
    visit.javascript = javascript;
    visit.context = await stage.browser.createBrowserContext();
    const page = await visit.context.newPage();
    visit.page = page;
    page.setDefaultTimeout(PATIENCE);
    await page.setViewport({ width, height: 780, deviceScaleFactor: 1, isMobile: true, hasTouch: true });
    await page.setExtraHTTPHeaders({ 'Accept-Language': language });
    if (!javascript) await page.setJavaScriptEnabled(false);
    visit.#watch();
    return visit;
  }

  #watch() {
    const { checks, args } = this.stage;
    const bad = (what, found) => checks.that(what, false, found);
    this.page.on('pageerror', (error) => bad('no script fails', String(error)));
    this.page.on('dialog', async (dialog) => {
      bad('no dialog opens', dialog.message());
      await dialog.dismiss();
    });
    this.page.on('console', (message) => {
      if (message.type() !== 'error') return;
      const status = /status of (\d+)/.exec(message.text())?.[1];
      // What was asked for is told of already.
      if (status && (this.forgiven.has(Number(status)) || message.location().url?.startsWith('chrome-error:'))) return;
      if (this.isOffline) return;
      bad('the console has no error', `${message.text()} at ${message.location().url ?? ''}`);
    });
    this.page.on('request', (request) => {
      const to = request.url();
      // Chromium's own page for what cannot be had.
      if (request.frame()?.url().startsWith('chrome-error:') && to.startsWith('data:')) return;
      if (!to.startsWith(`${args.url}/`)) bad('every request stays with the agent', to);
    });
    this.page.on('response', async (response) => {
      if (response.status() >= 300 && response.status() < 400) return;
      // What was left before it had come has nobody to see it.
      const body = await response.text().catch(() => '');
      this.holdsNoSecret(`the answer of ${new URL(response.url()).pathname}`, body);
    });
  }

  // Counted once for all answers of a visit, if it holds.
  holdsNoSecret(what, text) {
    const found = Object.entries(this.stage.args.secrets).filter(([, secret]) => text.includes(secret));
    if (found.length) this.stage.checks.that(`${what} holds no secret`, false, found.map(([name]) => name).join(', '));
  }

  async open(path) {
    const answer = await this.page.goto(this.stage.args.url + path, { waitUntil: 'load' });
    const status = answer?.status() ?? 'no answer';
    if (!this.forgiven.has(status)) this.stage.checks.that(`${path} is there`, status === 200, String(status));
    return answer;
  }

  // Presses, and waits for the page that it leads to.
  async press(selector) {
    await this.page.waitForSelector(selector);
    const gone = this.page.waitForNavigation({ waitUntil: 'load' });
    await this.page.$eval(selector, (element) => element.click());
    return gone;
  }

  async all(selector, read) {
    return this.page.$$eval(selector, read);
  }

  // The text of an element, `null` if there is none.
  async text(selector) {
    return this.page.evaluate((s) => document.querySelector(s)?.innerText.trim() ?? null, selector);
  }

  async attribute(selector, name) {
    return this.page.evaluate((s, n) => document.querySelector(s)?.getAttribute(n) ?? null, selector, name);
  }

  // Waits, on this side, until the page is so; whether it became so in time.
  async until(what, is, patience = PATIENCE, ...args) {
    const begun = Date.now();
    while (Date.now() - begun < patience) {
      // The page may just be changing.
      if (await this.page.evaluate(is, ...args).catch(() => false)) return true;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return this.stage.checks.that(what, false, `not within ${patience / 1000} s: ${(await this.text('main'))?.replace(/\s+/g, ' ').slice(0, 300)}`);
  }

  async signIn(then = '/') {
    await this.open(`/sign-in?then=${encodeURIComponent(then)}`);
    await this.page.type('form#sign-in input[name=pin]', this.stage.args.pin);
    await this.press('form#sign-in button');
    const { pathname } = new URL(this.page.url());
    return this.stage.checks.same('the right PIN leads to where one wanted to', pathname, then);
  }

  async cookies() {
    return this.context.cookies();
  }

  async end() {
    this.stage.checks.that('a visit brought nothing about that it may not', true);
    await this.context.close();
  }
}
