// The account of whoever is signed in: her password, her authenticator, her sessions, her programs' tokens, and her other tenants.
// Each part draws itself, and again when it has changed something.

const part = () => make('section', { className: 'card' });
const heading = (says) => make('h2', { says, tabIndex: -1 });
const fold = (says, ...inside) => make('details', {}, make('summary', { says }), ...inside);

/** One thing of a list, what is told of it, and what can be done with it. */
function item(title, told, button) {
  const id = `item-${(ids += 1)}`;
  const name = make('strong', { id, says: title });
  button?.setAttribute('aria-describedby', id);
  const lines = told.map((says) => make('p', { className: 'hint', says }));
  return make('li', {}, make('div', {}, name, ...lines), ...(button ? [button] : []));
}

/** A button that asks for something; what is wrong is said in its part of the page. */
function deed(says, inside, error, work, sure) {
  const onclick = () => {
    tellNews();
    say(error);
    if (!sure || confirm(read(sure))) attempt(inside, (problem) => say(error, problem.says()), work);
  };
  return make('button', { type: 'button', says, onclick });
}

const errorOf = () => make('p', { className: 'error', 'aria-live': 'assertive' });

/** Draws a part again, and says what was done; whoever was at a button that is gone is at its heading. */
async function redraw(inside, draw, news) {
  await draw();
  inside.querySelector('h1, h2').focus();
  tellNews(news);
}

const redrawAll = (news) => guard(() => redraw(page, drawAccount, news));

function drawPassword(inside, me) {
  const done = () => redrawAll('@password_changed');
  inside.replaceChildren(heading('@password'), fold('@change_password', passwordForm(me, undefined, done)));
}

function drawAuthenticator(inside, me) {
  if (!me.has_authenticator) {
    const show = (...steps) => {
      inside.replaceChildren(heading('@authenticator'), ...steps);
      inside.querySelector('input, .primary').focus();
    };
    const begin = make('button', { type: 'button', says: '@authenticator_set_up' });
    begin.onclick = async () => {
      tellNews();
      await setUpAuthenticator(me, undefined, show);
      await redrawAll('@authenticator_on');
    };
    inside.replaceChildren(heading('@authenticator'), make('p', { says: '@authenticator_off' }), begin);
    return;
  }
  const send = async (values) => {
    await ask('POST', '/v1/me/authenticator/removal', values);
    await redrawAll('@authenticator_removed');
  };
  const faults = { sign_in_failed: ['password', '@wrong_password'] };
  const removal = form([ownName(me), passwordField(), codeField()], '@authenticator_remove', send, { faults });
  inside.replaceChildren(heading('@authenticator'), make('p', { says: '@authenticator_on' }), fold('@authenticator_remove', removal));
}

async function drawSessions(inside) {
  const { sessions } = await ask('GET', '/v1/me/sessions');
  const error = errorOf();
  const end = ({ session_id: id }) => async () => {
    await ask('DELETE', `/v1/me/sessions/${encodeURIComponent(id)}`);
    await redraw(inside, () => drawSessions(inside), '@session_ended');
  };
  const shown = sessions.map((session) => {
    const used = { key: '@last_used', values: { when: when(session.refreshed_at) } };
    const button = session.current ? undefined : deed('@end', inside, error, end(session));
    return item({ text: session.device }, session.current ? ['@this_session', used] : [used], button);
  });
  inside.replaceChildren(heading('@sessions'), make('ul', { className: 'list' }, ...shown), error);
  speak();
}

/** A permission in words, where it is known. */
const scopeSays = (scope) => {
  const key = `@scope_${scope.replace('.', '_')}`;
  return hasWord(key) ? key : { text: scope };
};

function tokenForm(me, made) {
  const name = field('name', '@token_name', { hint: '@token_name_hint', maxLength: 100, autocomplete: 'off' });
  const days = field('days', '@token_days', {
    type: 'number', min: 1, max: 3650, step: 1, value: 90, required: false, hint: '@token_days_hint', bad: '@bad_days', inputMode: 'numeric',
  });
  const ticks = me.permissions.map((scope) => tick('scope', scopeSays(scope), scope));
  const set = make('fieldset', {}, make('legend', { says: '@scopes' }), ...ticks.map((each) => each.row));
  const send = async (values) => {
    const scopes = ticks.filter((each) => each.input.checked).map((each) => each.input.value);
    if (!scopes.length) throw new Problem({ code: 'no_scopes' });
    await made(await ask('POST', '/v1/me/tokens', { name: values.name, days: values.days && Number(values.days), scopes }));
  };
  return form([name, set, days], '@token_make', send);
}

async function drawTokens(inside, me, made) {
  const { tokens } = await ask('GET', '/v1/me/tokens');
  const error = errorOf();
  const revoke = ({ token_id: id }) => async () => {
    await ask('DELETE', `/v1/me/tokens/${encodeURIComponent(id)}`);
    await redraw(inside, () => drawTokens(inside, me), '@token_revoked');
  };
  const shown = tokens.map((token) => {
    const told = [
      token.scopes.flatMap((scope, no) => (no ? [{ text: '·' }, scopeSays(scope)] : [scopeSays(scope)])),
      token.last_used_at ? { key: '@last_used', values: { when: when(token.last_used_at) } } : '@never_used',
      token.expires_at ? { key: '@good_until', values: { when: when(token.expires_at) } } : '@good_forever',
    ];
    const sure = { key: '@token_sure', values: { name: token.name } };
    return item({ text: token.name }, told, deed('@revoke', inside, error, revoke(token), sure));
  });
  const once = made ? [make('p', { says: '@token_once' }), ...secretBox(made.token)] : [];
  const list = shown.length ? make('ul', { className: 'list' }, ...shown) : make('p', { className: 'hint', says: '@no_tokens' });
  const making = fold('@token_new', tokenForm(me, (token) => drawTokens(inside, me, token)));
  inside.replaceChildren(heading('@tokens'), make('p', { says: '@tokens_why' }), ...once, list, error, making);
  speak();
  if (made) inside.querySelector('.buttons button').focus();
}

/** Where she can go without signing in again; nothing where that is nowhere. */
async function drawTenants(inside) {
  const { tenants } = await ask('GET', '/v1/me/tenants');
  inside.hidden = tenants.length < 2;
  const error = errorOf();
  const below = make('div');
  const go = ({ tenant_id: tenant, company }) => async ({ code } = {}) => {
    try {
      await ask('POST', '/v1/session/switch', { tenant, page: true, device: device(), code });
    } catch (problem) {
      if (problem.code !== 'code_required') throw problem;
      below.replaceChildren(make('p', {}, make('strong', {}, company)), form([codeField()], '@go_on', go({ tenant_id: tenant, company })));
      below.querySelector('input').focus();
      return undefined;
    }
    location.reload();
    return new Promise(() => {});
  };
  const shown = tenants.map((tenant) => {
    const button = tenant.current ? undefined : deed('@go_there', inside, error, () => go(tenant)());
    return item({ text: tenant.company }, [{ text: tenant.tenant_id }, tenant.current && '@this_tenant'], button);
  });
  inside.replaceChildren(heading('@tenants'), make('ul', { className: 'list' }, ...shown), error, below);
}

function drawMe(me) {
  const error = errorOf();
  const card = make('section', { className: 'card first' });
  const told = [
    ['@tenant', { text: me.tenant }], ['@user_name', { text: me.user_name }], ['@email', { text: me.email ?? '–' }],
    ['@role', hasWord(`@role_${me.role}`) ? `@role_${me.role}` : { text: me.role }],
  ];
  const list = make('dl', {}, ...told.flatMap(([name, says]) => [make('dt', { says: name }), make('dd', { says })]));
  const leave = async () => {
    await ask('DELETE', '/v1/session');
    return leaveFor(addressOf('/sign-in', { tenant: me.tenant }));
  };
  card.append(make('h1', { says: { text: me.name }, tabIndex: -1 }), list, deed('@sign_out', card, error, leave), error);
  return card;
}

async function drawAccount() {
  const me = await askMe();
  remember(me.tenant);
  // What was true before is not any more.
  if (await becomeReady(me)) return drawAccount();
  const [password, authenticator, sessions, tokens, tenants] = [part(), part(), part(), part(), part()];
  drawPassword(password, me);
  await Promise.all([drawSessions(sessions), drawTokens(tokens, me), drawTenants(tenants)]);
  drawAuthenticator(authenticator, me);
  document.body.className = 'wide';
  // Whom only the tenant's provider signs in has neither.
  const own = me.has_password ? [password, authenticator] : [];
  page.replaceChildren(drawMe(me), tenants, ...own, sessions, tokens);
  speak();
  return page.querySelector('h1').focus();
}
