// xmpp.js behind one JSON object per line; the protocol is that of slixmpp_client.py, without "call".
// First argument: the folder that has node_modules.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const load = createRequire(path.join(process.argv[2], "package.json"));
const { client, xml } = await import(pathToFileURL(load.resolve("@xmpp/client")).href);
const parse = (await import(pathToFileURL(load.resolve("@xmpp/xml/lib/parse.js")).href)).default;

const say = (event, rest = {}) => console.log(JSON.stringify({ event, ...rest }));
let xmpp;
let settled = false;
const settle = (event, rest) => {
  if (!settled) {
    settled = true;
    say(event, rest);
  }
};

async function connect(order) {
  const [bare, resource] = order.jid.split("/");
  const at = bare.lastIndexOf("@");
  xmpp = client({
    service: `${order.tls === "direct" ? "xmpps" : "xmpp"}://127.0.0.1:${order.port}`,
    domain: bare.slice(at + 1),
    username: bare.slice(0, at),
    password: order.password,
    resource,
  });
  // The test decides whether there is another attempt.
  xmpp.reconnect.stop();
  xmpp.on("error", (error) => settle("failed", { text: String(error) }));
  xmpp.on("online", (jid) => settle("online", { jid: jid.toString() }));
  xmpp.on("offline", () => say("closed"));
  xmpp.on("stanza", (stanza) => say("stanza", { xml: stanza.toString() }));
  await xmpp.start();
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.do === "connect") connect(order).catch((error) => settle("failed", { text: String(error) }));
  else if (order.do === "send") xmpp.send(parse(order.xml)).catch((error) => say("raised", { id: null, text: String(error) }));
  else if (order.do === "close") break;
}
if (xmpp) await xmpp.stop().catch(() => {});
process.exit(0);
