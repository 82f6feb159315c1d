// Two OpenID servers on ports of their own. Their addresses are the first line on stdout; every line on stdin is an
// instruction to the second, answered with a line; the end of stdin is the end of both.

import { createPrivateKey, createSign, generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import { OAuth2Server } from "oauth2-mock-server";
import Provider from "oidc-provider";

console.info = console.log = console.error; // what libraries have to say
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const { home, secret } = JSON.parse(process.argv[2]);

const listening = (answer) =>
  new Promise((resolve) => {
    const server = createServer((request, response) => answer(request, response));
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });

const key = (kind, options, alg) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }),
  use: "sig",
  alg,
  kid: randomUUID(),
});

// --- oidc-provider: certified, asks for PKCE, names itself in every answer, rotates refresh tokens ---------------------

let certified;
const issuer = await listening((request, response) => certified(request, response));
const client = (client_id, more = {}) => ({
  client_id,
  client_secret: secret,
  redirect_uris: [home],
  grant_types: ["authorization_code", "refresh_token"],
  token_endpoint_auth_method: "client_secret_basic",
  ...more,
});
const keys = [
  key("rsa", { modulusLength: 2048 }, "RS256"),
  key("ec", { namedCurve: "P-256" }, "ES256"),
  key("ed25519", {}, "EdDSA"),
];
const provider = new Provider(issuer, {
  clients: [
    client("rsa"),
    client("ec", { id_token_signed_response_alg: "ES256" }),
    client("ed", { id_token_signed_response_alg: "EdDSA" }),
    client("shared", { id_token_signed_response_alg: "HS256", token_endpoint_auth_method: "client_secret_post" }),
  ],
  jwks: { keys },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA", "HS256"] },
  cookies: { keys: [randomUUID()] },
  pkce: { required: () => true },
  features: { revocation: { enabled: true }, devInteractions: { enabled: true } },
  rotateRefreshToken: true,
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
});
certified = provider.callback();

// --- oauth2-mock-server: does as it is told -----------------------------------------------------------------------------

let told = {};
const mock = new OAuth2Server();
await mock.issuer.keys.generate("RS256");
const stranger = createPrivateKey({ key: key("rsa", { modulusLength: 2048 }, "RS256"), format: "jwk" });
const ours = await listening((request, response) => {
  const instead = told.instead?.[new URL(request.url, ours).pathname];
  if (!instead) return mock.service.requestHandler(request, response);
  response.writeHead(instead.status, { "content-type": instead.type });
  response.end(instead.body);
});
mock.issuer.url = ours;

const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const claims = (jwt) => JSON.parse(Buffer.from(jwt.split(".")[1], "base64url").toString());
const forged = {
  // Not signed at all.
  none: (jwt) => `${part({ alg: "none", typ: "JWT" })}.${jwt.split(".")[1]}.`,
  // Signed with a key that it does not publish.
  stranger: (jwt) => {
    const text = jwt.split(".").slice(0, 2).join(".");
    return `${text}.${createSign("RSA-SHA256").update(text).sign(stranger).toString("base64url")}`;
  },
  // Another body under the same signature.
  changed: (jwt) => {
    const [header, , signature] = jwt.split(".");
    return `${header}.${part({ ...claims(jwt), sub: "somebody-else" })}.${signature}`;
  },
};

mock.service.on("beforeTokenSigning", (token) => {
  if (!("aud" in token.payload)) return; // the access token, which is nobody's business
  const now = Math.floor(Date.now() / 1000);
  for (const [name, value] of Object.entries(told.claims ?? {})) {
    if (value === null) delete token.payload[name];
    else token.payload[name] = ["exp", "iat", "nbf"].includes(name) ? now + value : value;
  }
});
mock.service.on("beforeResponse", (answer) => {
  if (told.forge) answer.body.id_token = forged[told.forge](answer.body.id_token);
  for (const [name, value] of Object.entries(told.answer ?? {})) {
    if (value === null) delete answer.body[name];
    else answer.body[name] = value;
  }
  if (told.body !== undefined) answer.body = told.body;
  if (told.status) answer.statusCode = told.status;
});
mock.service.on("beforeAuthorizeRedirect", (there) => {
  for (const [name, value] of Object.entries(told.callback ?? {})) {
    if (value === null) there.url.searchParams.delete(name);
    else there.url.searchParams.append(name, value);
  }
});

say({ certified: issuer, told: ours });
for await (const line of createInterface({ input: process.stdin })) {
  told = JSON.parse(line);
  say({});
}
process.exit(0);
