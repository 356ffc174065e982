// The platform's passkeys (WebAuthn Level 3). Their JSON is written here: browsers do that themselves only since iOS 18.4.

import { b64u, unb64u } from "./bytes.js";

/** The person closed the prompt, or was not recognised. Nothing was signed. */
export class Declined extends Error {
  constructor() {
    super("The passkey prompt was closed or did not recognise you. Nothing was signed.");
    this.name = "Declined";
  }
}

/** @returns {Promise<boolean>} whether this device can make a passkey that recognises its person */
export async function possible() {
  if (!("PublicKeyCredential" in self)) return false;
  return PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable();
}

/**
 * @param {() => Promise<Credential | null>} prompt
 * @returns {Promise<any>} the credential as JSON
 */
async function asked(prompt) {
  let credential;
  try {
    credential = await prompt();
  } catch (failure) {
    if (failure instanceof DOMException && ["NotAllowedError", "AbortError"].includes(failure.name)) throw new Declined();
    throw failure;
  }
  if (!(credential instanceof PublicKeyCredential)) throw new Declined();
  return written(credential);
}

/** The credential in JSON form (WebAuthn Level 3, section 5.1.4). @param {PublicKeyCredential} credential */
export function written(credential) {
  const response = /** @type {any} */ (credential.response);
  const binary = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const members = binary.filter((name) => response[name]).map((name) => [name, b64u(response[name])]);
  return {
    id: credential.id,
    rawId: b64u(credential.rawId),
    type: credential.type,
    ...(credential.authenticatorAttachment && { authenticatorAttachment: credential.authenticatorAttachment }),
    clientExtensionResults: {},
    response: { ...Object.fromEntries(members), ...(response.getTransports && { transports: response.getTransports() }) },
  };
}

/** @param {any} descriptor */
const known = (descriptor) => ({ ...descriptor, id: unb64u(descriptor.id) });

/** What JSON cannot say in options is base64url there. @param {any} options */
export const read = (options) => ({
  ...options,
  challenge: unb64u(options.challenge),
  ...(options.user && { user: { ...options.user, id: unb64u(options.user.id) } }),
  ...(options.excludeCredentials && { excludeCredentials: options.excludeCredentials.map(known) }),
  ...(options.allowCredentials && { allowCredentials: options.allowCredentials.map(known) }),
});

/** @param {any} options `PublicKeyCredentialCreationOptions` as JSON @returns {Promise<any>} */
export const make = (options) => asked(() => navigator.credentials.create({ publicKey: read(options) }));

/** @param {any} options `PublicKeyCredentialRequestOptions` as JSON @returns {Promise<any>} */
export const use = (options) => asked(() => navigator.credentials.get({ publicKey: read(options) }));
