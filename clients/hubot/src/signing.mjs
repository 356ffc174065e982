// What ChatOps RPC signs, and with which headers it says so.

import { createPrivateKey, randomBytes, sign } from 'node:crypto'

/** The headers of a signed call of `url`, which must be the address that PhoneOps knows itself by. */
export function signedHeaders (url, body, { key, keyName }, now = new Date()) {
  const nonce = randomBytes(32).toString('base64')
  const timestamp = now.toISOString()
  const text = [url, nonce, timestamp, body].join('\n')
  const signature = sign('sha256', Buffer.from(text), key).toString('base64')
  return {
    'Chatops-Nonce': nonce,
    'Chatops-Timestamp': timestamp,
    'Chatops-Signature': `Signature keyid=${keyName},signature=${signature}`
  }
}

/** Reads a private RSA key in PEM. */
export function privateKey (pem) {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error('the key must be an RSA key')
  return key
}
