#!/bin/sh
# A room's life with curl alone: room.sh http://127.0.0.1:7700 ROOM
# -L: whichever node this is, curl follows to the room's owner.
set -eu
room=$1/v1/rooms/$2
ask() { curl --silent --show-error --fail-with-body --location "$@"; echo; }

echo "create";   ask --request PUT "$room" --data '{"options": {"retain_messages": 1000}}'
echo "publish";  ask "$room/messages?user=ann" --data '{"messages": [
    {"id": "0191d2c4-7a10-7a3e-9d51-1c1f6a0b7e11", "data": {"text": "hello"}}]}'
echo "again";    ask "$room/messages?user=ann" --data '{"messages": [
    {"id": "0191d2c4-7a10-7a3e-9d51-1c1f6a0b7e11", "data": {"text": "hello"}}]}'
echo "history";  ask "$room/messages?from=beginning&limit=10"
echo "presence"; ask "$room/presence"
echo "commit";   ask "$room/cursors" --data '{"consumer": "curl", "offset": 1}'
echo "cursor";   ask "$room/cursors/curl"
echo "delete";   ask --request DELETE "$room"
