"""Carries out the examples of a document against a server, in order: examples.py DOCUMENT ws://127.0.0.1:7700

An example is a line that begins with an arrow:

    → {"id": 1, "join": {…}}      sent over the socket
    ← {"id": 1, "ok": {…}}        received from it

`…` in what is received stands for any value, or as the last thing of an object for any further fields; in what is sent
it stands for what `…` was in the last frame received under the same field name. `(ann)` before an arrow names the socket,
which is opened when it is first used: a session socket by default, `(ann @ ROOM)` a room socket the first time. Frames
come in the order in which the document has them, per socket; frames that are not in the document fail the test, but for
presence pushes that say nothing new."""
import asyncio, json, re, sys
import websockets

LINE = re.compile(r"^\s*(?:\((?P<name>\w+)(?: @ (?P<room>\S+))?\) )?(?P<arrow>[→←]) (?P<frame>\{.*\})\s*$")


def pattern(text):
    """The frame as JSON, with `…` as the text "…"."""
    text = re.sub(r",\s*…\s*([}\]])", r', "…": "…"\1', text)
    text = re.sub(r"\{\s*…\s*\}", '{"…": "…"}', text)
    text = re.sub(r"\[\s*…\s*\]", '"…"', text)
    text = re.sub(r'(?<!")…(?!")', '"…"', text)
    return json.loads(text)


def matches(expected, got):
    if expected == "…":
        return True
    if isinstance(expected, dict) and isinstance(got, dict):
        rest = expected.get("…") == "…"
        names = {name for name in expected if name != "…"}
        return (names <= set(got) if rest else names == set(got)) and all(
            matches(expected[name], got[name]) for name in names
        )
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(matches, expected, got))
    return type(expected) is type(got) and expected == got


def remember(known, got):
    if isinstance(got, dict):
        for name, value in got.items():
            if not isinstance(value, (dict, list)):
                known[name] = value
            remember(known, value)
    for value in got if isinstance(got, list) else []:
        remember(known, value)


def filled(known, frame):
    if isinstance(frame, dict):
        return {k: known[k] if v == "…" else filled(known, v) for k, v in frame.items()}
    return [filled(known, v) for v in frame] if isinstance(frame, list) else frame


async def main(document, base):
    sockets, known, done = {}, {}, 0
    for number, line in enumerate(open(document, encoding="utf-8"), 1):
        found = LINE.match(line)
        if not found:
            continue
        name, frame = found["name"] or "", pattern(found["frame"])
        if name not in sockets:
            path = f"/v1/rooms/{found['room']}/ws" if found["room"] else "/v1/ws"
            sockets[name] = await websockets.connect(base + path, subprotocols=["roomkeeper.v1.json"])
        if found["arrow"] == "→":
            await sockets[name].send(json.dumps(filled(known, frame)))
        else:
            try:
                got = json.loads(await asyncio.wait_for(sockets[name].recv(), 15))
            except TimeoutError:
                sys.exit(f"{document}:{number}: nothing came")
            if not matches(frame, got):
                sys.exit(f"{document}:{number}: expected {line.strip()}\ngot {json.dumps(got, ensure_ascii=False)}")
            remember(known, got)
        done += 1
    if done < 40:
        sys.exit(f"{document}: only {done} examples were found")
    print(f"{done} frames are as {document} says")


asyncio.run(main(*sys.argv[1:3]))
