// Where the links of mails lead.

/** The token of this kind that the page was opened with. */
const tokenOf = (kind) => (linked.startsWith(`${kind}_`) ? linked : undefined);
/** `<kind>_<tenant>_<token>` */
const tenantOf = (token) => token.split('_')[1];

const wantsLink = (title) => showPage(title, make('p', { says: '@link_missing' }));

async function acceptInvitation() {
  const token = tokenOf('invite');
  if (!token) return wantsLink('@invitation');
  const tenant = tenantOf(token);
  const me = await askMe().catch(() => undefined);
  const fields = [...nameFields(), newPasswordField()];
  if (me?.user_name && me.tenant !== tenant) {
    fields.push(tick('join', { key: '@join', values: { tenant: me.tenant, user: me.user_name } }, 'join'));
  }
  const send = async (values) => {
    const { joined } = await ask('POST', '/v1/invitations/accept', { token, ...values });
    const says = { key: '@welcome', values: { tenant } };
    // Who is joined goes on from where she is signed in.
    const way = joined ? wayTo('/account', '@go_on') : wayTo(addressOf('/sign-in', { tenant }), '@sign_in');
    showPage('@done', make('p', { says }), way);
  };
  const says = { key: '@invitation_how', values: { tenant } };
  return showPage('@invitation', make('p', { says }), form(fields, '@accept', send));
}

function redeemReset() {
  const token = tokenOf('reset');
  if (!token) return wantsLink('@choose_password');
  const tenant = tenantOf(token);
  const send = async ({ password }) => {
    await ask('POST', '/v1/password-resets/redemption', { token, password });
    showPage('@done', make('p', { says: '@password_set' }), wayTo(addressOf('/sign-in', { tenant }), '@sign_in'));
  };
  const says = { key: '@reset_how', values: { tenant } };
  return showPage('@choose_password', make('p', { says }), form([newPasswordField()], '@set_password', send));
}

const nobodySignsUp = () => showPage('@sign_up', make('p', { says: '@no_sign_up' }), wayTo(addressOf('/sign-in'), '@sign_in'));

function signUp() {
  const token = tokenOf('signup');
  if (token) return confirmSignUp(token);
  const names = { en: 'English', es: 'Español', pt: 'Português' };
  const options = Object.entries(names).map(([value, name]) => make('option', { value, lang: value }, name));
  const fields = [
    field('company', '@company', { bad: '@bad_name', autocomplete: 'organization', maxLength: 200 }),
    tenantField('tenant_id', { hint: '@tenant_wanted_hint', autocomplete: 'off' }),
    field('email', '@email', { type: 'email', bad: '@bad_email', autocomplete: 'email', ...AS_TYPED }),
    field('language', '@language', { options, value: language }),
  ];
  const send = async (values) => {
    try {
      await ask('POST', '/v1/sign-ups', values);
    } catch (problem) {
      if (problem.status === 404) return nobodySignsUp();
      throw problem;
    }
    return showPage('@look_at_mail', make('p', { says: { key: '@sign_up_sent', values: { email: values.email } } }));
  };
  // Of what is sent only the id is read so strictly that it may not be understood.
  const faults = { bad_body: ['tenant_id', '@bad_tenant'] };
  return showPage('@sign_up', make('p', { says: '@sign_up_how' }), form(fields, '@sign_up', send, { faults }));
}

function confirmSignUp(token) {
  const other = tenantField('tenant_id', { hint: '@tenant_wanted_hint', autocomplete: 'off' });
  other.row.hidden = true;
  const send = async (values) => {
    let signedUp;
    try {
      signedUp = await ask('POST', '/v1/sign-ups/confirmation', { token, ...values });
    } catch (problem) {
      if (problem.code === 'not_found') return nobodySignsUp();
      if (problem.code === 'tenant_exists') other.row.hidden = false;
      throw problem;
    }
    const tenant = signedUp.tenant_id;
    const says = { key: '@welcome', values: { tenant } };
    return showPage('@done', make('p', { says }), wayTo(addressOf('/sign-in', { tenant }), '@sign_in'));
  };
  const fields = [other, ...nameFields(), newPasswordField()];
  const faults = { bad_body: ['tenant_id', '@bad_tenant'] };
  showPage('@sign_up_finish', make('p', { says: '@sign_up_finish_how' }), form(fields, '@sign_up_finish', send, { faults }));
}
