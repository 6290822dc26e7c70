"""slixmpp behind one JSON object per line, so that a Rust test can drive a client that we did not write.

In (stdin):   {"do": "connect", "jid", "password", "port", "tls": "starttls"|"direct", "ca": FILE or null}
              {"do": "send", "xml"}
              {"do": "call", "id", "plugin": "xep_0045", "method", "args": [...], "kwargs": {...}}
              {"do": "close"}
Out (stdout): {"event": "online", "jid"} | {"event": "failed", "text"} | {"event": "stanza", "xml"}
              {"event": "result", "id", "value"} | {"event": "raised", "id", "text"} | {"event": "closed"}
Log (stderr): slixmpp's own, with --debug.
"""
import asyncio
import inspect
import json
import logging
import ssl
import sys
from pathlib import Path
from xml.etree import ElementTree

from slixmpp import ClientXMPP
from slixmpp.xmlstream import tostring

PLUGINS = ["xep_0004", "xep_0030", "xep_0045", "xep_0054", "xep_0060", "xep_0077", "xep_0084", "xep_0085", "xep_0092", "xep_0153",
           "xep_0184", "xep_0199", "xep_0202", "xep_0224", "xep_0313", "xep_0402"]


def say(event, **rest):
    print(json.dumps({"event": event, **rest}), flush=True)


class Client(ClientXMPP):
    def __init__(self, order):
        super().__init__(order["jid"], order["password"])
        # Given a host and a port, slixmpp tries TLS from the first byte before STARTTLS: choose one.
        self.enable_direct_tls = order["tls"] == "direct"
        self.enable_starttls = order["tls"] == "starttls"
        self.enable_plaintext = False
        if order.get("ca"):
            self.ca_certs = Path(order["ca"])
        else:
            self.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.ssl_context.check_hostname = False
            self.ssl_context.verify_mode = ssl.CERT_NONE
        # The test answers subscription requests itself.
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.settled = False
        self.add_event_handler("session_start", lambda _: self.settle("online", jid=str(self.boundjid)))
        self.add_event_handler("failed_auth", self.auth_failed)
        self.add_event_handler("connection_failed", lambda e: self.fail(f"connection failed: {e}"))
        self.add_event_handler("stream_error", lambda e: self.fail(f"stream error: {e}"))
        self.add_event_handler("disconnected", lambda _: say("closed"))
        self.add_filter("in", self.seen)

    def settle(self, event, **rest):
        if not self.settled:
            self.settled = True
            say(event, **rest)

    def auth_failed(self, failure):
        self.fail(tostring(failure.xml))

    def fail(self, text):
        self.settle("failed", text=text)
        # slixmpp would try for ever; the test decides whether there is another attempt.
        self.cancel_connection_attempt()
        self.abort()

    def seen(self, stanza):
        say("stanza", xml=tostring(stanza.xml, xmlns="", top_level=True))
        return stanza

    async def call(self, order):
        target = self.plugin[order["plugin"]] if order.get("plugin") else self
        try:
            value = getattr(target, order["method"])(*order.get("args", []), **order.get("kwargs", {}))
            if inspect.isawaitable(value):
                value = await value
            say("result", id=order["id"], value=str(value))
        except Exception as error:  # noqa: BLE001: whatever it is, the test wants to know
            say("raised", id=order["id"], text=f"{type(error).__name__}: {error}")


async def main():
    if "--debug" in sys.argv:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    else:
        logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    client, calls = None, set()
    while line := await reader.readline():
        order = json.loads(line)
        if order["do"] == "connect":
            client = Client(order)
            client.connect("127.0.0.1", order["port"])
        elif order["do"] == "send":
            # Not send_raw: this goes the way of the library's own stanzas.
            client.send_xml(ElementTree.fromstring(order["xml"]))
        elif order["do"] == "call":
            task = asyncio.ensure_future(client.call(order))
            calls.add(task)
            task.add_done_callback(calls.discard)
        elif order["do"] == "close":
            await client.disconnect(wait=1)
            break


asyncio.run(main())
