// Description:
//   Pages, incidents and approvals on the phone, by PhoneOps. This script knows no command: it signs, forwards and prints.
//
// Configuration:
//   HUBOT_PHONEOPS_URL - PhoneOps' public_url
//   HUBOT_PHONEOPS_KEY_FILE - the bot's private RSA key, in PEM
//   HUBOT_PHONEOPS_KEY_NAME - what PhoneOps knows the key by
//   HUBOT_PHONEOPS_WHISPER - "dm" where messaging the room of a user's id reaches that user alone
//
// Commands:
//   hubot help me - what PhoneOps understands

import { readFileSync } from 'node:fs'

import { Client, Refused } from './client.mjs'
import { privateKey } from './signing.mjs'

const CURSOR = 'phoneops.cursor'
const DOWN = 'PhoneOps does not answer. Page and acknowledge on your phone, or with `phoneops page` and `phoneops ack`.'

export default function phoneops (robot) {
  const client = configured(robot)
  if (!client) return
  const stop = new AbortController()

  // What no other script of this bot took.
  robot.catchAll(async res => {
    const { text, user, room, id } = res.message.message ?? res.message
    const line = addressed(robot, text)
    if (!line) return
    try {
      const said = { user: String(user.id), room: String(room ?? user.room), line, message: id === undefined ? undefined : String(id) }
      const reply = await client.say(said)
      if (reply.whisper && process.env.HUBOT_PHONEOPS_WHISPER === 'dm') await robot.messageRoom(String(user.id), reply.whisper)
      await res.send(reply.result)
    } catch (error) {
      robot.logger.error(`phoneops: ${error.message}`)
      await res.send(error instanceof Refused ? `PhoneOps refused: ${error.message}` : DOWN)
    }
  })

  const follow = () => client.follow({
    cursor: robot.brain.get(CURSOR) ?? undefined,
    told: post => robot.messageRoom(post.room_id, post.result),
    moved: cursor => robot.brain.set(CURSOR, cursor),
    trouble: error => robot.logger.warning?.(`phoneops: ${error.message}`) ?? robot.logger.warn(`phoneops: ${error.message}`),
    signal: stop.signal
  })
  // What the brain kept is there when the scripts are.
  robot.on('scripts have loaded', follow)
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
