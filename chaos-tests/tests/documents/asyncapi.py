"""Checks the AsyncAPI document against a server: asyncapi.py DOCUMENT ws://127.0.0.1:7700

Sends every command's example over a session socket, in order, beside a second client in the same room. Requests,
replies and pushes have to fit their schemas, and every push but `moved` and `redirect` has to come."""
import asyncio, json, sys
import jsonschema_rs, websockets, yaml

DOCUMENT = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))


def check(schema, value):
    root = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    problem = next(jsonschema_rs.validator_for(root).iter_errors(value), None)
    if problem:
        sys.exit(f"{schema}: {problem.message}\nin {json.dumps(value, ensure_ascii=False)}")


class Client:
    def __init__(self, socket):
        self.socket, self.pushes = socket, []

    async def next(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), 15))

    async def ask(self, frame):
        await self.socket.send(json.dumps(frame))
        while "id" not in (got := await self.next()):
            self.keep(got)
        return got

    def keep(self, push):
        check("Push", push)
        self.pushes.append(push)

    async def until(self, kind):
        while not any(kind in push for push in self.pushes):
            self.keep(await self.next())


async def main(base):
    connect = lambda: websockets.connect(base + "/v1/ws", subprotocols=["roomkeeper.v1.json"])
    async with connect() as first, connect() as second:
        client, other = Client(first), Client(second)
        commands = DOCUMENT["components"]["schemas"]["Command"]["examples"]
        kinds = set()
        for frame in commands:
            kind = next(name for name in frame if name != "id")
            check("Command", frame)
            if kind == "leave":
                # All of the others have been answered; what they caused is waited for here.
                for push in ("messages", "signal", "held", "rolled_back", "presence"):
                    await client.until(push)
                beat = {"talk": {"seen": []}}
                for number in (101, 102):
                    await client.ask({"id": number, "heartbeat": {"rooms": beat}})
                await client.until("sync")
            got = await client.ask(frame)
            check("Reply", got)
            if got["id"] != frame["id"] or "ok" not in got:
                sys.exit(f"{json.dumps(frame)} was answered {json.dumps(got)}")
            check(f"ok_{kind}", got["ok"])
            kinds.add(kind)
            if kind == "join":
                await other.ask({"id": 1, "hello": {"user": "bob"}})
                await other.ask({"id": 2, "join": {"room": "talk", "presence": True}})
        missing = set(DOCUMENT["components"]["schemas"]["Command"]["properties"]) - kinds - {"id"}
        if missing:
            sys.exit(f"no example of {missing}")
        for frame in ({"id": 1, "join": {}}, {"id": 1, "publish": {"room": "gone", "messages": []}}):
            got = await other.ask(frame)
            check("Reply", got)
            assert "error" in got, got
        print(f"{len(commands)} commands and {len(client.pushes)} pushes fit {sys.argv[1]}")


asyncio.run(main(sys.argv[2]))
