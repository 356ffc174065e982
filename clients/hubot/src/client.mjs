// The two calls: a line is posted, and what became of it is followed.

import { signedHeaders } from './signing.mjs'

const ANSWER_WITHIN = 30_000
const SILENT_AT_MOST = 60_000
const WAIT_AT_FIRST = 1_000
const WAIT_AT_MOST = 60_000

/** What the server refused, or why it did not answer. */
export class Refused extends Error {}

export class Client {
  /** `url` is PhoneOps' `public_url`; `credentials` are `{ key, keyName }`. */
  constructor (url, credentials) {
    this.url = url.replace(/\/+$/, '')
    this.credentials = credentials
  }

  /** Posts a line; the reply as `{ result, whisper?, title?, title_link?, buttons? }`. */
  async say ({ user, room, line, message }) {
    const url = `${this.url}/chatops/_chatops/line`
    const body = JSON.stringify({ user, room_id: room, method: 'line', params: { line }, message_id: message })
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: { ...signedHeaders(url, body, this.credentials), 'Content-Type': 'application/json', Accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_WITHIN)
    })
    const text = await response.text()
    if (response.ok) return JSON.parse(text)
    throw new Refused(`${response.status}: ${explained(text)}`)
  }

  /**
   * Calls `told(post)` for each thing that a room has to be told, and `moved(cursor)` behind it; comes back after every break, from the
   * cursor, until `signal` ends it.
   */
  async follow ({ cursor, told, moved, trouble, signal }) {
    let wait = WAIT_AT_FIRST
    while (!signal.aborted) {
      try {
        for await (const event of this.#events(cursor, signal)) {
          wait = WAIT_AT_FIRST
          for (const post of event.posts) {
            // A room that is gone keeps nothing from the others, nor from itself when it is back.
            try {
              await told(post)
            } catch (error) {
              trouble(new Error(`${post.room_id} was not told: ${error.message}`))
            }
          }
          if (event.id !== undefined) {
            cursor = event.id
            moved(cursor)
          }
        }
      } catch (error) {
        if (signal.aborted) return
        trouble(error)
      }
      // Not all at once when the server comes back.
      await sleep(wait * (0.5 + Math.random()), signal)
      wait = Math.min(wait * 2, WAIT_AT_MOST)
    }
  }

  async * #events (cursor, signal) {
    const url = `${this.url}/chatops/_events`
    const headers = { ...signedHeaders(url, '', this.credentials), Accept: 'text/event-stream' }
    if (cursor !== undefined) headers['Last-Event-ID'] = String(cursor)
    const silence = new AbortController()
    let timer = setTimeout(() => silence.abort(), SILENT_AT_MOST)
    try {
      const response = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.any([signal, silence.signal]) })
      if (!response.ok) throw new Refused(`${response.status}: ${explained(await response.text())}`)
      const decoder = new TextDecoder()
      let text = ''
      for await (const bytes of response.body) {
        clearTimeout(timer)
        timer = setTimeout(() => silence.abort(), SILENT_AT_MOST)
        text += decoder.decode(bytes, { stream: true })
        const blocks = text.split('\n\n')
        text = blocks.pop()
        for (const block of blocks) yield parsed(block)
      }
    } finally {
      clearTimeout(timer)
    }
  }
}

/** One event of the stream. */
export function parsed (block) {
  const event = { posts: [], id: undefined }
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) event.id = line.slice(4)
    if (line.startsWith('data: ')) event.posts = JSON.parse(line.slice(6)).posts
  }
  return event
}

function explained (text) {
  try {
    return JSON.parse(text).error.message
  } catch {
    return text.trim().slice(0, 300)
  }
}

function sleep (milliseconds, signal) {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
  })
}
