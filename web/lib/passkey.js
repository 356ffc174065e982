// The platform's passkeys (WebAuthn Level 3).

/** The person closed the prompt, or was not recognised. Nothing was signed. */
export class Declined extends Error {
  constructor() {
    super("The passkey prompt was closed or did not recognise you. Nothing was signed.");
    this.name = "Declined";
  }
}

/** @returns {Promise<boolean>} whether this device can make a passkey that recognises its person */
export async function possible() {
  if (!("PublicKeyCredential" in self) || !("parseCreationOptionsFromJSON" in PublicKeyCredential)) return false;
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
  return credential.toJSON();
}

/** @param {any} options `PublicKeyCredentialCreationOptions` as JSON @returns {Promise<any>} */
export const make = (options) =>
  asked(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }));

/** @param {any} options `PublicKeyCredentialRequestOptions` as JSON @returns {Promise<any>} */
export const use = (options) =>
  asked(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }));
