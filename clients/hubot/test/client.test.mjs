import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'

import { Client, Refused, parsed } from '../src/client.mjs'
import { addressed, shown, speaker } from '../src/phoneops.mjs'
import { signedHeaders } from '../src/signing.mjs'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const credentials = { key: privateKey, keyName: 'hubot' }

/** Whether a request is signed as the protocol says, for this address. */
function isSigned (headers, url, body) {
  const [, keyName, signature] = /^Signature keyid=([^,]+),signature=(.+)$/.exec(headers['chatops-signature'])
  const text = [url, headers['chatops-nonce'], headers['chatops-timestamp'], body].join('\n')
  return keyName === 'hubot' && verify('sha256', Buffer.from(text), publicKey, Buffer.from(signature, 'base64'))
}

/** A server that answers with `answer(request, body, response)`. */
async function serving (t, answer) {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    answer(request, body, response)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${server.address().port}`
}

test('a line is posted signed, and the reply comes back', async t => {
  let heard
  const url = await serving(t, (request, body, response) => {
    heard = { ok: isSigned(request.headers, `${url}/chatops/_chatops/line`, body), path: request.url, body: JSON.parse(body) }
    response.end(JSON.stringify({ result: 'Paged Yannick Schutz: Incident PAAAAAA', color: 'c53030' }))
  })
  const client = new Client(`${url}/`, credentials)
  const reply = await client.say({ user: 'ys', room: '#ops', line: 'page @yannick All your apps are down', message: '7' })
  assert.equal(reply.result, 'Paged Yannick Schutz: Incident PAAAAAA')
  const params = { line: 'page @yannick All your apps are down' }
  const body = { user: 'ys', room_id: '#ops', method: 'line', params, message_id: '7' }
  assert.deepEqual(heard, { ok: true, path: '/chatops/_chatops/line', body })
})

test('no two calls are signed alike', () => {
  const now = new Date()
  const [one, two] = [1, 2].map(() => signedHeaders('http://x/', '', credentials, now))
  assert.notEqual(one['Chatops-Nonce'], two['Chatops-Nonce'])
  assert.notEqual(one['Chatops-Signature'], two['Chatops-Signature'])
})

test('a refusal says what the server said', async t => {
  const url = await serving(t, (request, body, response) => {
    response.statusCode = 400
    response.end(JSON.stringify({ error: { code: -32602, message: 'params.line: expected the line that was said' } }))
  })
  const said = new Client(url, credentials).say({ user: 'ys', room: '#ops', line: 'x' })
  await assert.rejects(said, error => error instanceof Refused && /400: params\.line/.test(error.message))
})

test('what became of it is followed over breaks, none twice and none lost', async t => {
  const asked = []
  const url = await serving(t, (request, body, response) => {
    asked.push([isSigned(request.headers, `${url}/chatops/_events`, ''), request.headers['last-event-id']])
    response.setHeader('Content-Type', 'text/event-stream')
    const posts = name => `data: ${JSON.stringify({ posts: [{ room_id: '#ops', result: name }] })}\n\n`
    if (asked.length === 1) {
      response.write(`: 4\nid: 4\n\nid: 5\nevent: posts\n${posts('one')}`)
      // The second is cut off before it is whole.
      response.write('id: 6\nevent: posts\ndata: {"posts"')
      setTimeout(() => response.destroy(), 50)
    } else {
      response.write(`id: 6\nevent: posts\n${posts('two')}`)
    }
  })
  const stop = new AbortController()
  const [told, cursors] = [[], []]
  await new Client(url, credentials).follow({
    cursor: undefined,
    told: async post => { told.push(post.result) },
    moved: cursor => { cursors.push(cursor); if (cursor === '6') stop.abort() },
    trouble: () => {},
    signal: stop.signal
  })
  assert.deepEqual(told, ['one', 'two'])
  assert.deepEqual(cursors, ['4', '5', '6'])
  assert.deepEqual(asked, [[true, undefined], [true, '5']])
})

test('a room that cannot be told keeps nothing from the others', async t => {
  const url = await serving(t, (request, body, response) => {
    const posts = ['gone', '#ops'].map(room => ({ room_id: room, result: `to ${room}` }))
    response.write(`id: 3\nevent: posts\ndata: ${JSON.stringify({ posts })}\n\n`)
  })
  const stop = new AbortController()
  const [told, troubles] = [[], []]
  await new Client(url, credentials).follow({
    cursor: '2',
    told: async post => {
      if (post.room_id === 'gone') throw new Error('no such room')
      told.push(post.result)
    },
    moved: cursor => { if (cursor === '3') stop.abort() },
    trouble: error => troubles.push(error.message),
    signal: stop.signal
  })
  assert.deepEqual([told, troubles], [['to #ops'], ['gone was not told: no such room']])
})

test('whoever the chat does not name is nobody, and not everybody else whom it does not name', () => {
  assert.equal(speaker({ user: { name: 'ys', reply_to: 'ys' } }), undefined)
  assert.deepEqual(speaker({ user: { id: 'ys' }, room: '#ops' }), { user: 'ys', room: '#ops', direct: false })
  assert.deepEqual(speaker({ user: { id: 7, room: '#ops' } }), { user: '7', room: '#ops', direct: false })
  assert.deepEqual(speaker({ user: { id: 'ys' } }), { user: 'ys', room: 'ys', direct: true })
  assert.deepEqual(speaker({ user: { id: 'ys' }, room: 'ys' }), { user: 'ys', room: 'ys', direct: true })
})

test('only what is said to the bot is forwarded', () => {
  const robot = { name: 'bot', alias: '!' }
  assert.equal(addressed(robot, 'bot page @yannick All your apps are down'), 'page @yannick All your apps are down')
  assert.equal(addressed(robot, '@Bot: ack!'), 'ack!')
  assert.equal(addressed(robot, '!incidents'), 'incidents')
  assert.equal(addressed(robot, 'the bot is down'), undefined)
  assert.equal(addressed(robot, 'bottle of water'), undefined)
  assert.equal(addressed({ name: 'bot' }, '!incidents'), undefined)
})

test('a text says what its buttons would say', () => {
  const reply = { result: 'Paged Yannick Schutz: Incident PAAAAAA', buttons: [{ label: 'Acknowledge', command: 'ack PAAAAAA' }, { label: 'Resolve', command: 'resolve PAAAAAA' }] }
  const lines = 'Paged Yannick Schutz: Incident PAAAAAA\nAcknowledge: bot ack PAAAAAA | Resolve: bot resolve PAAAAAA'
  assert.equal(shown({ name: 'bot', alias: false }, reply), lines)
  assert.equal(shown({ name: 'bot', alias: '!' }, reply), lines.replaceAll('bot ', '!'))
  assert.equal(shown({ name: 'bot' }, { result: 'Incident PAAAAAA resolved' }), 'Incident PAAAAAA resolved')
})

test('a heartbeat moves the cursor and tells nothing', () => {
  assert.deepEqual(parsed(': 9\nid: 9'), { posts: [], id: '9' })
  assert.deepEqual(parsed(': 9'), { posts: [], id: undefined })
})
