// What somebody may have to do before anything else, right after signing in or on her account's page: choose a password that nobody
// else knows, and set up an authenticator. Each step is over when its promise is.

/** For whoever keeps passwords: whose it is. */
const ownName = (me) => make('input', { type: 'text', autocomplete: 'username', value: me.user_name ?? '', hidden: true, readOnly: true });

/** Changes the password; asks for the old one where the page does not know it. */
function passwordForm(me, old, done) {
  const fields = [ownName(me), ...(old ? [] : [passwordField('old', '@old_password')]), newPasswordField()];
  const send = async (values) => {
    const change = { old: old ?? values.old, new: values.password };
    if (change.old === change.new) throw new Problem({ code: 'same_password' });
    await ask('PUT', '/v1/me/password', change);
    await done(change.new);
  };
  const faults = { same_password: ['password'], sign_in_failed: ['old', '@wrong_password'] };
  return form(fields, '@change_password', send, { faults });
}

async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    tellNews('@copied');
  } catch {
    getSelection().selectAllChildren(shown);
  }
}

/** Something that is shown once. */
function secretBox(text, fileName) {
  const shown = make('code', { className: 'secret' }, text);
  const buttons = make('div', { className: 'buttons' }, make('button', { type: 'button', says: '@copy', onclick: () => copy(text, shown) }));
  if (fileName) {
    const save = () => {
      const href = URL.createObjectURL(new Blob([`${text}\n`], { type: 'text/plain' }));
      make('a', { href, download: fileName }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    };
    buttons.append(make('button', { type: 'button', says: '@download', onclick: save }));
  }
  return [shown, buttons];
}

/** Sets an authenticator up in this part of the page, and is over when its recovery codes are kept. */
async function setUpAuthenticator(me, password, show) {
  const begin = (given) => ask('POST', '/v1/me/authenticator', { password: given });
  // Whatever is in the way is said by the form that asks for it.
  let told = password && (await begin(password).catch(() => undefined));
  told ||= await new Promise((resolve) => {
    const send = async (values) => resolve(await begin(values.password));
    const faults = { sign_in_failed: ['password', '@wrong_password'] };
    show(make('p', { says: '@authenticator_why' }), form([ownName(me), passwordField()], '@go_on', send, { faults }));
  });
  const groups = told.secret.match(/.{1,4}/g).join(' ');
  const confirmed = await new Promise((resolve) => {
    const link = make('a', { says: '@authenticator_open' });
    if (told.uri.startsWith('otpauth://')) link.href = told.uri;
    const send = async ({ code }) => resolve(await ask('POST', '/v1/me/authenticator/confirmation', { code }));
    show(
      make('p', { says: '@authenticator_how' }), ...secretBox(groups), make('p', {}, link),
      form([codeField('@first_code_hint')], '@confirm', send, { faults: { bad_value: ['code', '@wrong_code'] } }),
    );
  });
  await new Promise((resolve) => {
    const kept = make('button', { type: 'button', className: 'primary', says: '@codes_kept', onclick: resolve });
    show(make('p', { says: '@codes_why' }), ...secretBox(confirmed.recovery_codes.join('\n'), 'storepulse-codes.txt'), kept);
  });
}

/** Goes through the steps that are left, and says whether there were any; `password` is what she has just signed in with. */
async function becomeReady(me, password) {
  let current = password;
  const changes = me.first === 'change_password';
  if (changes) {
    await new Promise((resolve) => {
      const done = (changed) => resolve((current = changed));
      showPage('@choose_password', make('p', { says: '@choose_password_why' }), passwordForm(me, password, done));
    });
  }
  const now = changes ? await ask('GET', '/v1/me') : me;
  const lacks = now.first === 'set_up_authenticator';
  if (lacks) await setUpAuthenticator(me, current, (...inside) => showPage('@authenticator_wanted', ...inside));
  return lacks || changes;
}
