// Asking the service. What it refuses is a `Problem`, said in the language of the page where its code is known, else as it was told.

const TIMEOUT_MS = 30_000;

/** Of the session; repeated with whatever changes something. */
let csrfToken;

class Problem {
  constructor({ status, code, title, detail }, waitSeconds) {
    Object.assign(this, { status, code, detail: detail ?? title, waitSeconds });
  }

  says() {
    const key = `@problem_${this.code}`;
    const what = hasWord(key) ? key : this.detail ? { text: this.detail } : { key: '@failed', values: { status: this.status } };
    if (!this.waitSeconds) return what;
    const wait = this.waitSeconds > 90 ? `${Math.ceil(this.waitSeconds / 60)}\u00a0min` : `${this.waitSeconds}\u00a0s`;
    return [what, { key: '@come_back', values: { wait } }];
  }
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return undefined;
  }
}

async function ask(method, path, body) {
  const headers = body ? { 'Content-Type': 'application/json' } : {};
  if (csrfToken && method !== 'GET') headers['X-CSRF-Token'] = csrfToken;
  let response, answer;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), credentials: 'same-origin', cache: 'no-store', redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    answer = parse(await response.text());
  } catch {
    throw new Problem({ code: 'unreachable' });
  }
  // A page of somebody else on the way, such as a hotel's, says 200, too.
  if (response.ok && answer === undefined) throw new Problem({ code: 'unreachable' });
  if (response.ok) return answer;
  if (location.pathname === '/account' && response.status === 401 && answer?.code === 'unauthorized') {
    // Nobody is signed in, or not any more.
    return leaveFor(addressOf('/sign-in', { return_to: returnTo() }));
  }
  throw new Problem({ ...answer, status: response.status }, Number(response.headers.get('Retry-After')) || undefined);
}

/** Who is signed in; `undefined` for nobody. */
async function askMe() {
  try {
    const me = await ask('GET', '/v1/me');
    csrfToken = me.csrf_token;
    return me;
  } catch (problem) {
    if (problem.status === 401) return undefined;
    throw problem;
  }
}

/** Where whoever has signed in wants to go: a path of this service, and nothing that a browser could take for another host. */
function returnTo() {
  const path = asked.get('return_to') ?? '';
  return /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/.test(path) && path.length <= 500 ? path : addressOf('/account');
}

/** What signs in, as the list of sessions shows it. */
function device() {
  const first = (names) => names.find(([sign]) => sign.test(navigator.userAgent))?.[1];
  const browser = first([
    [/Edg/, 'Edge'], [/OPR\//, 'Opera'], [/SamsungBrowser/, 'Samsung Internet'], [/Firefox|FxiOS/, 'Firefox'],
    [/Chrom|CriOS/, 'Chrome'], [/Safari/, 'Safari'],
  ]);
  const system = first([
    [/Android/, 'Android'], [/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Windows/, 'Windows'], [/CrOS/, 'ChromeOS'],
    [/Mac OS/, 'macOS'], [/Linux/, 'Linux'],
  ]);
  return [browser, system].filter(Boolean).join(', ') || 'browser';
}
