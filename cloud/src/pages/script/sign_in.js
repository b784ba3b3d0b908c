// Signing in. The tenant is remembered in this browser, the user and the password are not.

const REMEMBERED = 'storepulse.tenant';

function rememberedTenant() {
  try {
    return localStorage.getItem(REMEMBERED) ?? '';
  } catch {
    return '';
  }
}

function remember(tenant) {
  try {
    localStorage.setItem(REMEMBERED, tenant);
  } catch {
    // Whose browser keeps nothing types it again.
  }
}

function signIn() {
  const tenant = tenantField('tenant', { value: asked.get('tenant') ?? rememberedTenant() });
  const user = field('user', '@user', { autocomplete: 'username', ...AS_TYPED });
  const password = passwordField();
  const code = codeField();
  const asksForCode = (does) => {
    code.row.hidden = !does;
    for (const each of [tenant, user, password]) each.row.hidden = does;
    for (const each of others) each.hidden = does;
    again.hidden = !does;
    (does ? code : password).input.focus();
  };
  const send = async () => {
    const names = { tenant: tenant.value(), user: user.value() };
    const asks = { ...names, password: password.value(), code: code.row.hidden ? undefined : code.value(), page: true, device: device() };
    csrfToken = undefined;
    try {
      await ask('POST', '/v1/session', asks);
    } catch (problem) {
      if (problem.code === 'code_required') return asksForCode(true);
      if (problem.code === 'sign_in_failed') asksForCode(false);
      throw problem;
    }
    remember(names.tenant);
    await becomeReady(await askMe(), asks.password);
    return leaveFor(returnTo());
  };
  const provide = () => {
    tenant.fail(tenant.input.validity.valid ? undefined : '@bad_tenant');
    if (!tenant.input.validity.valid) return tenant.input.focus();
    const query = new URLSearchParams({ return_to: returnTo() });
    return leaveFor(`/v1/providers/${encodeURIComponent(tenant.value())}/sign-in?${query}`);
  };
  const again = make('button', { type: 'button', className: 'second', says: '@begin_again', hidden: true, onclick: () => asksForCode(false) });
  const others = [
    make('button', { type: 'button', className: 'second', says: '@sign_in_company', onclick: provide }),
    make('button', { type: 'button', className: 'plain', says: '@forgotten', onclick: () => forgotten(tenant.value(), user.value()) }),
  ];
  code.row.hidden = true;
  const signingIn = form([tenant, user, password, code], '@sign_in', send, { more: [again, ...others] });
  showPage('@sign_in', signingIn);
  const problem = `@problem_${asked.get('problem')}`;
  if (hasWord(problem)) signingIn.tell(problem);
}

function forgotten(tenant, user) {
  const fields = [tenantField('tenant', { value: tenant ?? '' }), field('user', '@user', { autocomplete: 'username', value: user ?? '', ...AS_TYPED })];
  const back = make('button', { type: 'button', className: 'second', says: '@back', onclick: signIn });
  const send = async (values) => {
    await ask('POST', '/v1/password-resets', values);
    // The same words whether there is such a user or not.
    showPage('@forgotten', make('p', { says: '@forgotten_sent' }), back);
  };
  showPage('@forgotten', make('p', { says: '@forgotten_how' }), form(fields, '@send_link', send, { more: [back] }));
}
