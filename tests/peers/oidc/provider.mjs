// An OpenID provider to sign in at: `oidc-provider`, whose author has it certified, with its own development forms.
//
//   node provider.mjs --port-file F --client-id X --client-secret Y --redirect-uri U
//                     [--conform-id-token-claims true|false] [--alg RS256|PS256|ES256|EdDSA]
//
// It listens on 127.0.0.1, at a port that nobody has, and writes the port to F once it answers. There is one client, and whoever
// is typed in has an account. Keys are made at the start, so that no two of them have the same. With claims that conform (as they
// do unless told otherwise) the e-mail is only told at the userinfo endpoint; without, it stands in the ID token as well. It ends
// on SIGTERM, or when a pipe at its standard input closes.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { fstatSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import Provider from 'oidc-provider';

const KEYS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
const NEEDED = ['port-file', 'client-id', 'client-secret', 'redirect-uri'];

function options() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(NEEDED.map((name) => [name, text])),
      'conform-id-token-claims': { ...text, default: 'true' },
      alg: { ...text, default: 'RS256' },
    },
  });
  const missing = NEEDED.find((name) => !values[name]);
  if (missing) throw new Error(`--${missing} is missing`);
  if (!['true', 'false'].includes(values['conform-id-token-claims'])) throw new Error('--conform-id-token-claims: true or false');
  if (!(values.alg in KEYS)) throw new Error(`--alg: one of ${Object.keys(KEYS).join(', ')}`);
  return values;
}

function signingKey(alg) {
  const jwk = KEYS[alg]().privateKey.export({ format: 'jwk' });
  return { ...jwk, use: 'sig', alg, kid: randomBytes(8).toString('hex') };
}

/** Whoever is typed in. */
function findAccount(_ctx, login) {
  return {
    accountId: login,
    claims: () => ({
      sub: login,
      email: `${login}@retail.example`,
      email_verified: !login.startsWith('unverified'),
      name: `${login} of the shop`,
      preferred_username: login,
    }),
  };
}

function provider(issuer, given) {
  return new Provider(issuer, {
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    clients: [{
      client_id: given['client-id'],
      client_secret: given['client-secret'],
      redirect_uris: [given['redirect-uri']],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: given.alg,
    }],
    conformIdTokenClaims: given['conform-id-token-claims'] === 'true',
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: true } },
    findAccount,
    jwks: { keys: [signingKey(given.alg)] },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
  });
}

function end() {
  process.exit(0);
}

const given = options();
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  server.on('request', provider(`http://127.0.0.1:${port}`, given).callback());
  // Whoever waits for the file reads a whole one.
  const fresh = `${given['port-file']}.new`;
  writeFileSync(fresh, `${port}\n`);
  renameSync(fresh, given['port-file']);
});
process.on('SIGTERM', end);
// Standard input that is a file or a device is at its end from the start, and says nothing of who has started us.
if (fstatSync(0).isFIFO() || fstatSync(0).isSocket()) process.stdin.on('end', end).on('error', end).resume();
