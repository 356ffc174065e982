// Sends pushes with @parse/node-apn, and measures itself. Told what to do by PUSH_BENCH_TASK.
import apn from "@parse/node-apn";

const task = JSON.parse(process.env.PUSH_BENCH_TASK);
const device = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
const options = {
  token: { key: task.key_file, keyId: task.key_id, teamId: task.team_id },
  address: "localhost",
  port: task.port,
  production: true,
};
const provider = task.connections === 1
  ? new apn.Provider(options)
  : new apn.MultiProvider({ ...options, clientCount: task.connections });

function notification() {
  return new apn.Notification({
    topic: task.topic,
    pushType: "alert",
    priority: 10,
    expiry: Math.floor(Date.now() / 1000) + 3600,
    collapseId: "ntf_0199e5d0",
    rawPayload: {
      aps: {
        alert: { title: "All your apps are down", body: task.body },
        sound: "default",
        "interruption-level": "time-sensitive",
        "relevance-score": 1.0,
        "thread-id": "inc_0199e5d0",
        category: "phoneops.page",
        "mutable-content": 1,
      },
      data: {
        kind: "page", navigate: "https://phoneops.example/i/PIHXOC6", tag: "ntf_0199e5d0",
        subject: "inc_0199e5d0", ref: "PIHXOC6", round: 1,
      },
    },
  });
}

async function send(pushes) {
  let left = pushes;
  const sender = async () => {
    while (left-- > 0) {
      const { failed } = await provider.send(notification(), device);
      if (failed.length > 0) throw new Error(JSON.stringify(failed[0]));
    }
  };
  await Promise.all(Array.from({ length: task.at_once }, sender));
}

await send(Math.floor(task.pushes / 10) + task.at_once);
const [began, before] = [process.hrtime.bigint(), process.cpuUsage()];
await send(task.pushes);
const used = process.cpuUsage(before);
const wall = Number(process.hrtime.bigint() - began) / 1e9;
console.log(JSON.stringify({ pushes: task.pushes, wall_seconds: wall, cpu_seconds: (used.user + used.system) / 1e6 }));
await provider.shutdown();
process.exit(0);
