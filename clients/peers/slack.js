// Drives the simulator of Slack with the official Bolt, by a socket and by HTTP, to show that an app of Slack's own making takes it for Slack:
// commands and buttons arrive and are acknowledged, messages are posted and changed, a socket that ends is replaced, a signature that is not
// right is refused.
//
// usage: slack.js ORIGIN FOLDER PORT
//   ORIGIN  of the simulator; FOLDER  with its tokens; PORT  where it calls when there is no socket

"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { App, HTTPReceiver, LogLevel } = require("@slack/bolt");

const [origin, folder, port] = process.argv.slice(2);
const secret = (name) => fs.readFileSync(path.join(folder, name), "utf8").trim();
const clientOptions = { slackApiUrl: `${origin}/api/` };
const user = "U0YANNICK";
const channel = "C0OPS";

async function call(method, place, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const reply = await fetch(`${origin}/admin${place}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  assert(reply.ok, `${method} ${place}: ${reply.status}`);
  return reply.status === 204 ? null : reply.json();
}

/** What there is once it is there; a minute is too long. */
async function until(what, look) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 50))) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error(`${what} did not come`);
}

const messages = async () => (await call("GET", "/messages")).messages;
const whispers = async () => (await call("GET", "/whispers")).whispers;

/** An app as Slack's documents have one: a command that posts a card, a button that changes it, a mention that is answered. */
function teach(app) {
  app.command("/phoneops", async ({ ack, command, client, respond }) => {
    await ack({ response_type: "in_channel" });
    assert.strictEqual(command.user_id, user);
    const button = { type: "button", action_id: "say_0", value: "ack P7K3M2X", text: { type: "plain_text", text: "Acknowledge" } };
    const blocks = [
      { type: "section", text: { type: "mrkdwn", text: `<https://phoneops.example/i/P7K3M2X|${command.text}>` } },
      { type: "actions", elements: [button] },
    ];
    const said = await client.chat.postMessage({ channel: command.channel_id, text: `Paged: ${command.text}`, attachments: [{ color: "#c53030", blocks }] });
    assert(said.ok && said.ts);
    await client.chat.postEphemeral({ channel: command.channel_id, user: command.user_id, text: "Your code is 482913" });
    await respond({ response_type: "ephemeral", text: "It rings" });
  });
  app.action("say_0", async ({ ack, body, action, client }) => {
    await ack();
    assert.strictEqual(body.team.id, body.user.team_id);
    await client.chat.update({ channel: body.channel.id, ts: body.message.ts, text: `${action.value} by ${body.user.id}`, attachments: [] });
  });
  app.event("app_mention", async ({ event, say }) => {
    await say({ text: "No incident is open.", thread_ts: event.thread_ts ?? event.ts });
  });
  app.error(async (error) => {
    console.error(error);
    process.exit(1);
  });
}

async function talk(text) {
  const typed = await call("POST", "/command", { user, channel, text });
  assert.deepStrictEqual(typed, { acknowledged: true, with: { response_type: "in_channel" } });
  const posted = await until("the card", async () => (await messages()).find((message) => message.text === `Paged: ${text}`));
  for (const said of ["Your code is 482913", "It rings"]) {
    await until(said, async () => (await whispers()).find((whisper) => whisper.user === user && whisper.text === said));
  }
  const pressed = await call("POST", "/press", { user, channel, ts: posted.ts, label: "Acknowledge" });
  assert.strictEqual(pressed.acknowledged, true);
  const changed = await until("the change", async () => (await messages()).find(({ ts, edits }) => ts === posted.ts && edits === 1));
  assert.deepStrictEqual([changed.text, changed.attachments], [`ack P7K3M2X by ${user}`, []]);
  const mentioned = await call("POST", "/mention", { user, channel, text: "incidents" });
  assert.strictEqual(mentioned.acknowledged, true);
  await until("the answer", async () => (await messages()).some(({ text, thread_ts }) => text === "No incident is open." && thread_ts));
}

async function main() {
  const bySocket = new App({ token: secret("bot-token"), appToken: secret("app-token"), socketMode: true, clientOptions, logLevel: LogLevel.ERROR });
  teach(bySocket);
  await bySocket.start();
  await talk("by a socket");
  console.log("Bolt takes commands, buttons and mentions by a socket, posts, whispers and changes messages");
  await call("POST", "/disconnect", { reason: "refresh_requested" });
  await until("another socket", async () => {
    const typed = await call("POST", "/command", { user, channel, text: "by another socket" });
    return typed.acknowledged;
  });
  await until("a card", async () => (await messages()).some((message) => message.text === "Paged: by another socket"));
  console.log("Bolt replaces a socket that is about to end");
  await bySocket.stop();
  await until("that it is gone", async () => (await call("GET", "/sockets")).open === 0);

  const receiver = new HTTPReceiver({
    signingSecret: secret("signing-secret"), logLevel: LogLevel.ERROR,
    endpoints: ["/slack/commands", "/slack/interactivity", "/slack/events"],
  });
  const byHttp = new App({ token: secret("bot-token"), receiver, clientOptions, logLevel: LogLevel.ERROR });
  teach(byHttp);
  await byHttp.start(Number(port));
  await talk("by http");
  console.log("Bolt believes what the simulator signs");
  await byHttp.stop();
  const strict = new HTTPReceiver({ signingSecret: "another", logLevel: LogLevel.ERROR, endpoints: ["/slack/commands"] });
  const other = new App({ token: secret("bot-token"), receiver: strict, clientOptions, logLevel: LogLevel.ERROR });
  await other.start(Number(port));
  const refused = await call("POST", "/command", { user, channel, text: "x" });
  assert.deepStrictEqual(refused, { acknowledged: false, status: 401 });
  console.log("and refuses what is signed with another secret");
  await other.stop();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
