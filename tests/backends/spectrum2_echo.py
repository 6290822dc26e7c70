#!/usr/bin/env python3
"""A backend in another language, written against Spectrum 2's protocol and nothing else.

Started like Spectrum 2's own: spectrum2_echo.py --host H --port N --service.backend_id=K -j JID FILE.cfg
The INI file is read for [service] jid and [echo] contacts, room, features, log. Standard library only.

The network: contacts echo, friend1, friend2, ... who send back what they get; one room with an occupant "echo" who does
the same. The password "wrong" is refused. "!die" ends the process without a word, "!hang" stops it from answering.
"""
import argparse
import configparser
import os
import socket
import struct
import sys
import time

# WrapperMessage.Type
CONNECTED, DISCONNECTED, LOGIN, LOGOUT, BUDDY_CHANGED, BUDDY_REMOVED, CONV_MESSAGE, PING, PONG = 1, 2, 3, 4, 6, 7, 8, 9, 10
JOIN_ROOM, LEAVE_ROOM, PARTICIPANT_CHANGED, ROOM_NICKNAME_CHANGED, ROOM_SUBJECT_CHANGED, VCARD = 11, 12, 13, 14, 15, 16
STATUS_CHANGED, BUDDY_TYPING, BUDDY_STOPPED_TYPING, BUDDY_TYPED, ATTENTION, STATS, EXIT = 17, 18, 19, 20, 22, 23, 29
BACKEND_CONFIG, ROOM_LIST, CONV_MESSAGE_ACK = 30, 32, 33
ONLINE, AWAY, NONE = 0, 1, 5
MODERATOR, ME = 1, 16
AUTHENTICATION_FAILED = 2
# A PNG of one pixel.
PHOTO = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000"
                      "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
                      "0000000049454e44ae426082")


def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(fields):
    """{number: value or list of values} as a protobuf message."""
    out = b""
    for number, values in sorted(fields.items()):
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, (bool, int)):
                out += varint(number << 3) + varint(int(value))
            else:
                data = value if isinstance(value, bytes) else value.encode()
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def decode(data):
    """A protobuf message as {number: [values]}; strings stay bytes."""
    fields, at = {}, 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = read_varint()
        kind = key & 7
        if kind == 0:
            value = read_varint()
        elif kind == 2:
            size = read_varint()
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {kind}: not part of this protocol")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def text(fields, number):
    return fields.get(number, [b""])[-1].decode()


class Backend:
    def __init__(self, host, port, settings):
        self.contacts = ["echo"] + [f"friend{n}" for n in range(1, int(settings.get("contacts", "3")))]
        self.features = settings.get("features", "")
        self.room = settings.get("room", "lobby")
        self.log = open(settings["log"], "a", buffering=1) if "log" in settings else sys.stderr
        self.nicks = {}
        self.socket = socket.create_connection((host, port))
        self.note(f"pid {os.getpid()}")

    def note(self, what):
        print(what, file=self.log)

    def send(self, kind, fields=None):
        wrapper = {1: kind}
        if fields is not None:
            wrapper[2] = encode(fields)
        data = encode(wrapper)
        self.socket.sendall(struct.pack("!I", len(data)) + data)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                self.note("connection closed")
                sys.exit(0)
            data += more
        return data

    def run(self):
        config = "[registration]\nneedPassword=1\nneedRegistration=1\n[features]\nmuc=1\nreceipts=1\n" + self.features
        self.send(BACKEND_CONFIG, {1: config})
        while True:
            (size,) = struct.unpack("!I", self.read(4))
            wrapper = decode(self.read(size))
            kind, fields = wrapper[1][-1], decode(wrapper.get(2, [b""])[-1])
            self.note(f"type {kind}")
            handler = self.HANDLERS.get(kind)
            if handler:
                handler(self, fields)

    def ping(self, _):
        self.send(PONG)
        self.send(STATS, {1: 1024, 2: 1024, 3: 512, 4: str(os.getpid())})

    def login(self, fields):
        user, password = text(fields, 1), text(fields, 3)
        self.note(f"login {user} as {text(fields, 2)}")
        if password == "wrong":
            self.send(DISCONNECTED, {1: user, 2: AUTHENTICATION_FAILED, 3: "The network says: wrong password"})
            return
        self.send(CONNECTED, {1: user})
        for contact in self.contacts:
            self.send(BUDDY_CHANGED, {1: user, 2: contact, 3: f"{contact.capitalize()} of the network", 4: ["Echoes"],
                                      5: ONLINE if contact == "echo" else AWAY, 6: f"{contact} is here"})
        self.send(ROOM_LIST, {1: [self.room], 2: ["The lobby"], 3: user})

    def logout(self, fields):
        self.note(f"logout {text(fields, 1)}")

    def message(self, fields):
        user, to, body, id_ = text(fields, 1), text(fields, 2), text(fields, 3), text(fields, 8)
        if body == "!die":
            os._exit(9)
        if body == "!hang":
            time.sleep(3600)
        room, _, nick = to.partition("/")
        if room == self.room and not nick:
            mine = self.nicks.get(user, "me")
            self.send(CONV_MESSAGE, {1: user, 2: room, 3: body, 4: mine})
            self.send(CONV_MESSAGE, {1: user, 2: room, 3: body, 4: "echo"})
        elif room == self.room:
            self.send(CONV_MESSAGE, {1: user, 2: room, 3: body, 4: nick, 9: True})
        else:
            if id_:
                self.send(CONV_MESSAGE_ACK, {1: user, 2: to, 3: "", 8: id_})
            self.send(CONV_MESSAGE, {1: user, 2: to, 3: body})

    def join(self, fields):
        user, nick, room = text(fields, 1), text(fields, 2), text(fields, 3)
        self.nicks[user] = nick
        self.send(PARTICIPANT_CHANGED, {1: user, 2: room, 3: "echo", 4: MODERATOR, 5: ONLINE})
        self.send(PARTICIPANT_CHANGED, {1: user, 2: room, 3: nick, 4: ME, 5: ONLINE})
        self.send(ROOM_SUBJECT_CHANGED, {1: user, 2: room, 3: "Nothing but echoes", 4: "echo"})

    def leave(self, fields):
        user, room = text(fields, 1), text(fields, 3)
        nick = self.nicks.pop(user, None)
        if nick:
            self.send(PARTICIPANT_CHANGED, {1: user, 2: room, 3: nick, 4: ME, 5: NONE})

    def typing(self, kind):
        return lambda fields: self.send(kind, {1: text(fields, 1), 2: text(fields, 2)})

    def vcard(self, fields):
        user, name, number = text(fields, 1), text(fields, 2), fields.get(3, [0])[-1]
        if 6 not in fields:
            self.send(VCARD, {1: user, 2: name, 3: number, 4: f"{name.capitalize()} of the network", 5: name, 6: PHOTO})

    def buddy(self, fields):
        self.note(f"buddy {text(fields, 2)}")

    HANDLERS = {
        PING: ping, LOGIN: login, LOGOUT: logout, CONV_MESSAGE: message, JOIN_ROOM: join, LEAVE_ROOM: leave, VCARD: vcard,
        BUDDY_CHANGED: buddy, BUDDY_REMOVED: buddy,
        BUDDY_TYPING: lambda self, fields: self.typing(BUDDY_TYPING)(fields),
        BUDDY_TYPED: lambda self, fields: self.typing(BUDDY_TYPED)(fields),
        BUDDY_STOPPED_TYPING: lambda self, fields: self.typing(BUDDY_STOPPED_TYPING)(fields),
        EXIT: lambda self, fields: sys.exit(0),
    }


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service.backend_id", dest="backend_id")
    parser.add_argument("-j", "--jid")
    parser.add_argument("config")
    arguments = parser.parse_args()
    ini = configparser.ConfigParser(interpolation=None)
    with open(arguments.config) as file:
        ini.read_file(file)
    settings = dict(ini["echo"]) if ini.has_section("echo") else {}
    backend = Backend(arguments.host, arguments.port, settings)
    backend.note(f"started as {arguments.backend_id} of {ini.get('service', 'jid', fallback='?')}, -j {arguments.jid}")
    backend.run()


if __name__ == "__main__":
    main()
