//! What each command asks for.

use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{Command, Error};
use roomkeeper_types::RoomName;

use super::forbidden;

/// Whether a client may send this command, on a socket that is bound to `bound`. What asks for nothing it may. Says
/// nothing of rooms that are there or not.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check(identity: &Identity, command: &Command, bound: Option<&RoomName>) -> Result<(), Error> {
    let allowed = |action: Action, room: &Option<RoomName>| match room.as_ref().or(bound) {
        Some(room) if !identity.allows(action, room) => Err(forbidden(room)),
        // Without a room the command is refused as it is.
        _ => Ok(()),
    };
    match command {
        // A list has only what its client may see; to leave, or say who one is, takes no permission.
        Command::Hello(_) | Command::Leave(_) | Command::Rooms(_) => Ok(()),
        Command::Join(join) => allowed(Action::Subscribe, &join.room.room),
        Command::Commit(commit) => allowed(Action::Subscribe, &commit.room.room),
        Command::Credit(credit) => allowed(Action::Subscribe, &credit.room.room),
        Command::Heartbeat(heartbeat) => {
            heartbeat.rooms.iter().try_for_each(|(room, _)| allowed(Action::Subscribe, room))
        }
        Command::Publish(publish) => allowed(Action::Publish, &publish.room.room),
        Command::Signal(signal) => allowed(Action::Publish, &signal.room.room),
        Command::Confirm(hold) | Command::Rollback(hold) => allowed(Action::Publish, &hold.room.room),
        Command::History(history) => allowed(Action::History, &history.room.room),
        Command::Presence(room) => allowed(Action::Presence, &room.room),
        Command::Create(create) => allowed(Action::Create, &create.room),
        Command::Delete(room) => allowed(Action::Delete, &room.room),
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_auth::Scope;
    use roomkeeper_protocol::{
        Commit, Create, Credit, ErrorCode, From, Heartbeat, Hello, History, HoldRef, Isolation, Join,
        Publish, RoomRef, Rooms, Seen, Signal,
    };
    use roomkeeper_types::Offset;

    use super::*;

    fn commands(room: Option<&str>) -> Vec<(Command, Option<Action>)> {
        let name: Option<RoomName> = room.map(|room| room.parse().unwrap());
        let room = RoomRef { room: name.clone(), life: None };
        let hold = HoldRef { room: room.clone(), ids: Vec::new() };
        let seen = Seen { here: true, seen: Vec::new(), upto: None };
        let data = roomkeeper_protocol::Data::Json("1".into());
        let consumer = "c".parse().unwrap();
        vec![
            (Command::Hello(Hello::default()), None),
            (Command::Rooms(Rooms::default()), None),
            (Command::Leave(room.clone()), None),
            (Command::Join(Join { room: room.clone(), ..Join::default() }), Some(Action::Subscribe)),
            (
                Command::Commit(Commit { room: room.clone(), consumer, offset: Offset(1) }),
                Some(Action::Subscribe),
            ),
            (Command::Credit(Credit { room: room.clone(), more: 1 }), Some(Action::Subscribe)),
            (Command::Heartbeat(Heartbeat { rooms: vec![(name.clone(), seen)] }), Some(Action::Subscribe)),
            (
                Command::Publish(Publish {
                    room: room.clone(),
                    messages: Vec::new(),
                    expect: None,
                    hold_ms: None,
                    timeout_ms: None,
                }),
                Some(Action::Publish),
            ),
            (Command::Signal(Signal { room: room.clone(), data }), Some(Action::Publish)),
            (Command::Confirm(hold.clone()), Some(Action::Publish)),
            (Command::Rollback(hold), Some(Action::Publish)),
            (
                Command::History(History {
                    room: room.clone(),
                    from: From::Beginning,
                    limit: None,
                    isolation: Isolation::Committed,
                }),
                Some(Action::History),
            ),
            (Command::Presence(room.clone()), Some(Action::Presence)),
            (Command::Create(Create { room: name, ..Create::default() }), Some(Action::Create)),
            (Command::Delete(room), Some(Action::Delete)),
        ]
    }

    #[test]
    fn command_needs_its_action_in_the_room_it_names_or_the_socket_is_bound_to() {
        let bound: RoomName = "chat".parse().unwrap();
        for granted in Action::ALL {
            let scope = Scope { rooms: "chat".parse().unwrap(), actions: [granted].into_iter().collect() };
            let ann = Identity::new("ann".parse().unwrap(), vec![scope], None);
            for (room, bound) in [(Some("chat"), None), (None, Some(&bound))] {
                for (command, needed) in commands(room) {
                    let checked = check(&ann, &command, bound);
                    let expected = needed.is_none_or(|needed| needed == granted);
                    assert_eq!(checked.is_ok(), expected, "{} with {granted}", command.name());
                    assert!(checked.is_ok() || checked.unwrap_err().code == ErrorCode::Forbidden);
                }
            }
            for (command, needed) in commands(Some("~bob:notes")) {
                assert_eq!(
                    check(&ann, &command, Some(&bound)).is_ok(),
                    needed.is_none(),
                    "{}",
                    command.name()
                );
            }
        }
    }
}
