// Description:
//   Pages, incidents and approvals on the phone, by PhoneOps. This script knows no command: it signs, forwards and prints.
//
// Configuration:
//   HUBOT_PHONEOPS_URL - PhoneOps' public_url
//   HUBOT_PHONEOPS_KEY_FILE - the bot's private RSA key, in PEM
//   HUBOT_PHONEOPS_KEY_NAME - what PhoneOps knows the key by
//   HUBOT_PHONEOPS_WHISPER - "dm" where messaging the room of a user's id reaches that user alone
//   HUBOT_PHONEOPS_CURSOR_FILE - where to keep how far rooms were told, when the bot's brain forgets with every restart
//
// Commands:
//   hubot commands - what PhoneOps understands

import { readFileSync, renameSync, writeFileSync } from 'node:fs'

import { Client, Refused } from './client.mjs'
import { privateKey } from './signing.mjs'

const CURSOR = 'phoneops.cursor'
const DOWN = 'PhoneOps does not answer. Page and acknowledge on your phone, or with `phoneops page` and `phoneops ack`.'
const NOBODY = 'This chat does not tell me who you are here, so I did nothing. Speak to me in a room.'
const NOT_WHISPERED = 'There is more that is for you alone, and I cannot whisper here: say it to me in a direct message.'

// How long a brain that is kept elsewhere may take to be read, before what comes is followed without knowing where it was left.
const BRAIN_WITHIN = 1_000
// How long the first line waits for the stream, so that what becomes of it is heard.
const STREAM_WITHIN = 2_000

export default function phoneops (robot) {
  const client = configured(robot)
  if (!client) return
  const stop = new AbortController()
  const trouble = error => robot.logger.warning?.(`phoneops: ${error.message}`) ?? robot.logger.warn(`phoneops: ${error.message}`)

  const cursor = kept(robot)
  let following
  /** Follows what rooms have to be told, from the first call on; done once the stream is open, or does not open for now. */
  const follow = () => {
    following ??= new Promise(resolve => {
      setTimeout(resolve, STREAM_WITHIN).unref()
      client.follow({
        cursor: cursor.read(),
        told: post => robot.messageRoom(post.room_id, shown(robot, post)),
        moved: at => { cursor.write(at); resolve() },
        trouble: error => { trouble(error); resolve() },
        signal: stop.signal
      })
    })
    return following
  }

  /** What PhoneOps answers to a line in that message. */
  const asked = async (message, line) => {
    const by = speaker(message)
    if (!by) return NOBODY
    await follow()
    let reply
    try {
      const id = message.id === undefined ? undefined : String(message.id)
      reply = await client.say({ user: by.user, room: by.room, line, message: id })
    } catch (error) {
      robot.logger.error(`phoneops: ${error.message}`)
      return error instanceof Refused ? `PhoneOps refused: ${error.message}` : DOWN
    }
    const text = shown(robot, reply)
    if (!reply.whisper) return text
    if (by.direct) return `${text}\n${reply.whisper}`
    return await whispered(by.user, reply.whisper) ? text : `${text}\n${NOT_WHISPERED}`
  }

  /** Whether somebody was told something alone. */
  const whispered = async (user, text) => {
    if (process.env.HUBOT_PHONEOPS_WHISPER !== 'dm') return false
    try {
      await robot.messageRoom(user, text)
      return true
    } catch (error) {
      trouble(error)
      return false
    }
  }

  // What no other script of this bot took.
  robot.catchAll(async res => {
    const message = res.message.message ?? res.message
    const line = addressed(robot, message.text)
    if (line) await res.send(await asked(message, line))
  })
  // Since Hubot 14 `help` is its own and lists what is registered: whoever asks there finds the way.
  robot.commands?.register({
    id: 'phoneops',
    description: `Pages, incidents and approvals on the phone; ${called(robot)}commands lists what can be said`,
    confirm: 'never',
    handler: ({ context }) => asked(context.message, 'commands')
  })

  // Whichever comes first. A brain says that it is loaded when it was read, and "scripts have loaded" is said in Hubot 14 before external
  // scripts like this one are.
  robot.on('scripts have loaded', follow)
  robot.brain.on('loaded', follow)
  setTimeout(follow, BRAIN_WITHIN).unref()
  robot.on('phoneops stop', () => stop.abort())
  const shutdown = robot.shutdown?.bind(robot)
  if (shutdown) robot.shutdown = () => { stop.abort(); return shutdown() }
}

/** The client, or nothing with a word in the log of what is missing. */
function configured (robot) {
  const { HUBOT_PHONEOPS_URL: url, HUBOT_PHONEOPS_KEY_FILE: file, HUBOT_PHONEOPS_KEY_NAME: keyName } = process.env
  if (!url || !file || !keyName) {
    robot.logger.error('phoneops: set HUBOT_PHONEOPS_URL, HUBOT_PHONEOPS_KEY_FILE and HUBOT_PHONEOPS_KEY_NAME')
    return undefined
  }
  return new Client(url, { key: privateKey(readFileSync(file)), keyName })
}

/** Who says something, and where; nothing when the chat does not say who. Some chats name no room where two speak alone. */
export function speaker ({ user, room }) {
  if (user?.id === undefined || user.id === null || user.id === '') return undefined
  const id = String(user.id)
  const place = room ?? user.room
  const direct = place === undefined || place === null || String(place) === id
  return { user: id, room: direct ? id : String(place), direct }
}

/** Where it is kept how far rooms were told: in a file where there is one, else in the brain, which needs a script that stores it. */
function kept (robot) {
  const file = process.env.HUBOT_PHONEOPS_CURSOR_FILE
  if (!file) return { read: () => robot.brain.get(CURSOR) ?? undefined, write: at => robot.brain.set(CURSOR, at) }
  return {
    read () {
      try {
        return readFileSync(file, 'utf8').trim() || undefined
      } catch (error) {
        if (error.code === 'ENOENT') return undefined
        throw error
      }
    },
    write (at) {
      writeFileSync(`${file}.new`, at)
      renameSync(`${file}.new`, file)
    }
  }
}

/** What begins a line that is for the bot: its alias where that is a sign, else its name. */
function called ({ name, alias }) {
  return typeof alias === 'string' && alias && !/\w$/.test(alias) ? alias : `${name} `
}

/** What is said of a reply: its text, and below it what each of its buttons would say. */
export function shown (robot, { result, buttons = [] }) {
  if (buttons.length === 0) return result
  return `${result}\n${buttons.map(({ label, command }) => `${label}: ${called(robot)}${command}`).join(' | ')}`
}

/** The line behind the bot's name or alias; nothing when the message is not for the bot. */
export function addressed (robot, text) {
  const names = [robot.name, robot.alias].filter(name => typeof name === 'string' && name)
  names.sort((a, b) => b.length - a.length)
  for (const name of names) {
    const quoted = name.replace(/[-[\]{}()*+?.,\\^$|#\s]/g, '\\$&')
    const separator = /\w$/.test(name) ? '(?:[:,]\\s*|\\s+)' : '\\s*'
    const found = new RegExp(`^\\s*@?${quoted}${separator}([\\s\\S]+)$`, 'i').exec(text ?? '')
    if (found) return found[1].trim()
  }
  return undefined
}
