#!/usr/bin/env python3
"""Speaks to a room with nothing but the `websockets` package: room.py ws://127.0.0.1:7700 ROOM USER TEXT"""
import asyncio, json, sys, uuid
import websockets


async def main(base, room, user, text):
    # route=proxy: whichever node this is, it brings us to the room's owner.
    url = f"{base}/v1/rooms/{room}/ws?route=proxy"
    async with websockets.connect(url, subprotocols=["roomkeeper.v1.json"]) as socket:
        pushes = []

        async def ask(number, command):
            await socket.send(json.dumps({"id": number, **command}))
            while (frame := json.loads(await socket.recv())).get("id") != number:
                pushes.append(frame)
            return frame["ok"] if "ok" in frame else sys.exit(f"refused: {frame['error']['message']}")

        await ask(1, {"hello": {"user": user}})
        joined = await ask(2, {"join": {"from": "beginning", "presence": True}})
        print(f"{room} is owned by node {joined['owner']} and has {joined['members']} here")
        message = {"id": str(uuid.uuid4()), "data": {"text": text}}
        stored = await ask(3, {"publish": {"messages": [message]}})
        print(f"stored at offset {stored['offsets'][0]}, on disk on a majority of its replicas")
        while True:
            push = pushes.pop(0) if pushes else json.loads(await socket.recv())
            for item in push.get("messages", {}).get("items", []):
                print(f"{item['offset']} {item['from']}: {item['data']}")
                if item["id"] == message["id"]:
                    return


asyncio.run(main(*sys.argv[1:5]))
