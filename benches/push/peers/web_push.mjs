// Sends pushes with web-push, and measures itself. Told what to do by PUSH_BENCH_TASK.
import crypto from "node:crypto";
import https from "node:https";
import webpush from "web-push";

const task = JSON.parse(process.env.PUSH_BENCH_TASK);
const vapid = webpush.generateVAPIDKeys();
// It speaks HTTP/1.1: kept connections, as many as there are pushes under way.
const options = {
  vapidDetails: { subject: "mailto:ops@example.com", publicKey: vapid.publicKey, privateKey: vapid.privateKey },
  TTL: 3600,
  urgency: "high",
  topic: "0KmJvzV9cYpC1mXn3rT5wQ2bZ8aLhF4d",
  agent: new https.Agent({ keepAlive: true, maxSockets: task.at_once }),
};

function browser() {
  const key = crypto.createECDH("prime256v1");
  const keys = { p256dh: key.generateKeys("base64url"), auth: crypto.randomBytes(16).toString("base64url") };
  return { endpoint: `https://localhost:${task.port}/push/${crypto.randomBytes(20).toString("base64url")}`, keys };
}

function payload() {
  return JSON.stringify({
    web_push: 8030,
    notification: {
      title: "All your apps are down", body: task.body, navigate: "https://phoneops.example/i/PIHXOC6", tag: "ntf_0199e5d0",
      lang: "en", silent: false, data: { kind: "page", subject: "inc_0199e5d0", ref: "PIHXOC6", round: 1 },
    },
    mutable: true,
  });
}

async function send(pushes) {
  let left = pushes;
  const sender = async () => {
    const to = browser();
    while (left-- > 0) await webpush.sendNotification(to, payload(), options);
  };
  await Promise.all(Array.from({ length: task.at_once }, sender));
}

await send(Math.floor(task.pushes / 10) + task.at_once);
const [began, before] = [process.hrtime.bigint(), process.cpuUsage()];
await send(task.pushes);
const used = process.cpuUsage(before);
const wall = Number(process.hrtime.bigint() - began) / 1e9;
console.log(JSON.stringify({ pushes: task.pushes, wall_seconds: wall, cpu_seconds: (used.user + used.system) / 1e6 }));
process.exit(0);
