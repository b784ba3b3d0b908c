// Forms: a label for each field, what is wrong beside it, and no second request while the first is on its way.

/** Which field a refusal is about, by its code. */
const FAULTS = {
  code_wrong: 'code', codes_closed: 'code', user_exists: 'user_name', tenant_exists: 'tenant_id',
};
const TENANT_ID = '[a-z0-9]([a-z0-9\\-]{0,48}[a-z0-9])?';
const AS_TYPED = { autocapitalize: 'none', spellcheck: false };

let ids = 0;

/** `bad` is said of a value that cannot be taken; `{least}` in it is the number of characters that the service wants. */
function field(name, says, { hint, bad, options, ...properties } = {}) {
  const id = `field-${(ids += 1)}`;
  const described = `${hint ? `${id}-hint ` : ''}${id}-error`;
  const input = make(options ? 'select' : 'input', { id, name, required: true, 'aria-describedby': described, ...properties }, ...(options ?? []));
  // Until now there was nothing to choose.
  if (options) input.value = properties.value;
  const box = make('div', { className: 'box' }, input);
  if (properties.type === 'password') {
    const show = make('button', { type: 'button', says: '@show', 'aria-controls': id });
    show.onclick = () => {
      input.type = input.type === 'password' ? 'text' : 'password';
      say(show, input.type === 'password' ? '@show' : '@hide');
    };
    box.append(show);
  }
  const error = make('p', { className: 'error', id: `${id}-error`, 'aria-live': 'polite' });
  const row = make('div', { className: 'row' }, make('label', { htmlFor: id, says }), box);
  if (hint) row.append(make('p', { className: 'hint', id: `${id}-hint`, says: hint }));
  row.append(error);
  const fail = (what) => {
    say(error, what);
    input.setAttribute('aria-invalid', String(Boolean(what)));
  };
  const value = () => (properties.type === 'password' ? input.value : input.value.trim()) || undefined;
  return { name, row, input, bad, fail, value };
}

function tenantField(name = 'tenant', more = {}) {
  const lower = ({ target }) => (target.value = target.value.trim().toLowerCase());
  return field(name, '@tenant', {
    hint: '@tenant_hint', bad: '@bad_tenant', autocomplete: 'organization', pattern: TENANT_ID, onchange: lower, ...AS_TYPED, ...more,
  });
}

const passwordField = (name = 'password', says = '@password') =>
  field(name, says, { type: 'password', autocomplete: 'current-password' });

const newPasswordField = () =>
  field('password', '@new_password', { type: 'password', autocomplete: 'new-password', hint: '@new_password_hint', bad: '@bad_password' });

/** Any code at all, or six digits only. */
const codeField = (hint = '@code_hint') =>
  field('code', '@code', { hint, autocomplete: 'one-time-code', inputMode: hint === '@code_hint' ? 'text' : 'numeric', ...AS_TYPED });

/** Who somebody will be: how she signs in, and how she is shown to others. */
const nameFields = () => [
  field('user_name', '@user_name', {
    hint: '@user_name_hint', bad: '@bad_user_name', autocomplete: 'username',
    pattern: '[A-Za-z0-9]([A-Za-z0-9._\\-]{0,62}[A-Za-z0-9])?', ...AS_TYPED,
  }),
  field('name', '@shown_name', { hint: '@shown_name_hint', bad: '@bad_name', autocomplete: 'name', required: false, maxLength: 200 }),
];

function tick(name, says, value) {
  const input = make('input', { type: 'checkbox', name, value });
  return { name, input, row: make('label', { className: 'check' }, input, make('span', { says })), fail() {}, value: () => input.checked || undefined };
}

/** Keeps a part of the page from asking twice. */
async function keepBusy(part, work) {
  const buttons = [...part.querySelectorAll('button:enabled')];
  const focused = document.activeElement;
  for (const button of buttons) button.disabled = true;
  part.setAttribute('aria-busy', 'true');
  try {
    return await work();
  } finally {
    for (const button of buttons) button.disabled = false;
    part.removeAttribute('aria-busy');
    if (document.activeElement === document.body && focused?.isConnected) focused.focus();
  }
}

/** Does it, and says of a problem what is said; what is no problem of the service's is a fault of this script. */
async function attempt(part, tellProblem, work) {
  try {
    await keepBusy(part, work);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    tellProblem(problem);
  }
}

/** `faults` says of a code which field it is about here, and in which words. */
function form(fields, submit, send, { faults = {}, more = [] } = {}) {
  const error = make('p', { className: 'error', 'aria-live': 'assertive' });
  const element = make('form', { noValidate: true, method: 'post' });
  element.append(...fields.map((each) => each.row ?? each), error, make('button', { className: 'primary', says: submit }), ...more);
  const shown = () => fields.filter((each) => each.row && !each.row.hidden);
  const tellProblem = (problem) => {
    const told = faults[problem.code] ?? [];
    const name = told[0] ?? FAULTS[problem.code] ?? (problem.code === 'bad_value' && /^\w+/.exec(problem.detail)?.[0]);
    const about = shown().find((each) => each.name === name);
    const least = /allowed are (\d+)/.exec(problem.detail)?.[1];
    const bad = problem.code === 'bad_value' && about?.bad && (least || about.bad !== '@bad_password');
    const what = told[1] ?? (bad ? { key: about.bad, values: { least } } : problem.says());
    if (about) {
      about.fail(what);
      about.input.focus();
    } else {
      say(error, what);
    }
  };
  element.onsubmit = (event) => {
    event.preventDefault();
    if (element.hasAttribute('aria-busy')) return;
    say(error);
    tellNews();
    const values = {};
    let first;
    for (const each of shown()) {
      const { validity } = each.input;
      each.fail(validity.valueMissing ? '@missing' : validity.valid ? undefined : each.bad);
      if (!validity.valid) first ??= each.input;
      values[each.name] = each.value();
    }
    if (first) first.focus();
    else attempt(element, tellProblem, () => send(values));
  };
  return Object.assign(element, { tell: (what) => say(error, what) });
}

/** Puts this on the page instead of what is there; the first field that is empty is the next to be typed in. */
function showPage(title, ...inside) {
  const heading = make('h1', { says: title, tabIndex: -1 });
  page.replaceChildren(make('section', { className: 'card first' }, heading, ...inside));
  speak();
  const empty = [...page.querySelectorAll('.row:not([hidden]) input')].find((input) => !input.value);
  (empty ?? heading).focus();
}

/** Shows what is in the way where there is no form to say it. */
async function guard(work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showPage('@not_now', make('p', { className: 'error', role: 'alert', says: problem.says() }), wayTo(addressOf('/sign-in'), '@sign_in'));
  }
}

/** What can be done next: a way to another page. */
const wayTo = (address, says) => make('a', { className: 'button primary', href: address, says });
