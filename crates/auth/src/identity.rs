//! Who a client is.

use std::sync::Arc;

use roomkeeper_types::{RoomName, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{Action, Actions, Scope};

/// Who a client is, and what it may do. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    user: UserId,
    reach: Reach,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// Which rooms, by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reach {
    /// Its user's own, and others as these say.
    Scopes(Arc<[Scope]>),
    /// All but other users' own.
    Shared,
    /// All.
    Everything,
}

impl Identity {
    /// A user who may do what these scopes say, until `expires` at most.
    #[must_use]
    pub fn new(user: UserId, scopes: Vec<Scope>, expires: Option<Timestamp>) -> Self {
        Self { user, reach: Reach::Scopes(scopes.into()), expires }
    }

    /// A user who is taken at its word, where nobody is asked for a token: it may use all rooms but other users'
    /// own.
    #[must_use]
    pub fn at_its_word(user: UserId) -> Self {
        Self { user, reach: Reach::Shared, expires: None }
    }

    /// A node of the cluster, for several of its clients at once: it has looked at what each of them may.
    #[must_use]
    pub fn of_node(name: UserId) -> Self {
        Self { user: name, reach: Reach::Everything, expires: None }
    }

    /// The same without an end: somebody else watches it.
    #[must_use]
    pub fn without_end(self) -> Self {
        Self { expires: None, ..self }
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// When the token runs out, exclusive; `None`: never.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the token has run out.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether that may be done with the room: a user may do everything with its own rooms (`~user:name`), nobody
    /// anything with another user's, whatever the scopes say. With all others what the scopes grant.
    #[must_use]
    pub fn allows(&self, action: Action, room: &RoomName) -> bool {
        self.actions(room).has(action)
    }

    /// Whether the room may be seen in lists, and its place and size asked for.
    #[must_use]
    pub fn sees(&self, room: &RoomName) -> bool {
        let actions = self.actions(room);
        actions.has(Action::Subscribe) || actions.has(Action::History)
    }

    /// All that may be done with the room.
    #[must_use]
    pub fn actions(&self, room: &RoomName) -> Actions {
        match (&self.reach, room.user()) {
            (Reach::Everything, _) | (Reach::Shared, None) => Actions::ALL,
            (_, Some(owner)) if owner == self.user.as_str() => Actions::ALL,
            (_, Some(_)) => Actions::NONE,
            (Reach::Scopes(scopes), None) => {
                let granting = scopes.iter().filter(|scope| scope.rooms.matches(room));
                granting.fold(Actions::NONE, |granted, scope| granted.and(scope.actions))
            }
        }
    }

    /// What the names of all rooms begin with that it may see, in the order of names and none of them within
    /// another: a list of rooms need not look at any others.
    #[must_use]
    pub fn prefixes(&self) -> Vec<String> {
        let Reach::Scopes(scopes) = &self.reach else { return vec![String::new()] };
        let seeing = scopes
            .iter()
            .filter(|scope| scope.actions.has(Action::Subscribe) || scope.actions.has(Action::History));
        let mut prefixes: Vec<String> = seeing.map(|scope| scope.rooms.prefix().to_owned()).collect();
        prefixes.push(format!("~{}:", self.user));
        prefixes.sort_unstable();
        let mut kept: Vec<String> = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            // Whatever begins with the last one kept stands right behind it.
            if kept.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
                kept.push(prefix);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(name: &str) -> RoomName {
        name.parse().unwrap()
    }

    fn scope(rooms: &str, actions: &[Action]) -> Scope {
        Scope { rooms: rooms.parse().unwrap(), actions: actions.iter().copied().collect() }
    }

    fn ann(scopes: Vec<Scope>) -> Identity {
        Identity::new("ann".parse().unwrap(), scopes, None)
    }

    #[test]
    fn identity_may_do_what_any_of_its_scopes_grants() {
        let ann = ann(vec![
            scope("chat.*", &[Action::Publish, Action::Subscribe]),
            scope("chat.log", &[Action::History]),
        ]);
        assert!(ann.allows(Action::Publish, &room("chat.log")));
        assert!(ann.allows(Action::History, &room("chat.log")));
        assert!(!ann.allows(Action::History, &room("chat.other")));
        assert!(!ann.allows(Action::Create, &room("chat.log")));
        assert!(!ann.allows(Action::Publish, &room("Chat.log")));
        assert!(!ann.allows(Action::Publish, &room("chat")));
    }

    #[test]
    fn identity_without_scopes_may_do_nothing_but_with_its_own_rooms() {
        let ann = ann(Vec::new());
        for action in Action::ALL {
            assert!(!ann.allows(action, &room("chat")));
            assert!(ann.allows(action, &room("~ann:notes")));
        }
    }

    #[test]
    fn room_of_another_user_is_out_of_reach_of_any_scope() {
        let scopes = ["*", "~*", "~bob:*", "~bob:notes"].map(|rooms| scope(rooms, &Action::ALL));
        let by_token = ann(scopes.to_vec());
        let at_its_word = Identity::at_its_word("ann".parse().unwrap());
        for identity in [by_token, at_its_word] {
            for name in ["~bob:notes", "~Ann:notes", "~ann.:notes", "~anna:notes", "~..:ann:x"] {
                assert!(identity.actions(&room(name)).is_empty(), "{name}");
                assert!(!identity.sees(&room(name)), "{name}");
            }
            assert!(identity.allows(Action::Delete, &room("~ann:bob:notes")));
            assert!(identity.allows(Action::Delete, &room("a~bob:notes")));
        }
    }

    #[test]
    fn identity_of_a_node_reaches_every_room() {
        let node = Identity::of_node("node 1".parse().unwrap());
        assert!(node.allows(Action::Subscribe, &room("~bob:notes")) && node.sees(&room("chat")));
    }

    #[test]
    fn identity_expires_at_that_very_moment() {
        let until = |expires| Identity::new("ann".parse().unwrap(), Vec::new(), expires);
        assert!(!until(Some(Timestamp(10))).is_expired(Timestamp(9)));
        assert!(until(Some(Timestamp(10))).is_expired(Timestamp(10)));
        assert!(!until(None).is_expired(Timestamp(u64::MAX)));
    }

    #[test]
    fn prefixes_are_sorted_and_none_begins_another() {
        let read = &[Action::History][..];
        let ann = ann(vec![
            scope("chat.*", read),
            scope("chat.log", read),
            scope("a*z", read),
            scope("*", &[Action::Publish]),
        ]);
        assert_eq!(ann.prefixes(), ["a", "chat.", "~ann:"]);
        assert_eq!(Identity::at_its_word("ann".parse().unwrap()).prefixes(), [""]);
    }

    #[test]
    fn identity_is_read_back_from_its_json() {
        let by_token = Identity::new(
            "ann".parse().unwrap(),
            vec![scope("chat.*", &[Action::Publish])],
            Some(Timestamp(7)),
        );
        let node = Identity::of_node("node 1".parse().unwrap());
        for identity in [by_token, Identity::at_its_word("\u{e4}".parse().unwrap()), node] {
            let json = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity, "{json}");
        }
    }

    proptest! {
        #[test]
        fn room_that_is_seen_begins_with_one_of_the_prefixes(
            patterns in prop::collection::vec("[ab~:*]{1,4}", 0..4),
            name in "[ab][ab~:]{0,4}|~(ann|bob):[ab]{1,3}",
        ) {
            let ann = ann(patterns.iter().map(|rooms| scope(rooms, &[Action::History])).collect());
            let within = ann.prefixes().iter().any(|prefix| name.starts_with(prefix.as_str()));
            prop_assert!(within || !ann.sees(&room(&name)));
        }

        #[test]
        fn action_is_allowed_exactly_if_a_matching_scope_names_it(
            scopes in prop::collection::vec(("[ab*]{1,4}", 0_usize..6), 0..4),
            name in "[ab]{1,5}",
            action in 0_usize..6,
        ) {
            let action = Action::ALL[action];
            let granted = scopes.iter().any(|(rooms, granted)| {
                Action::ALL[*granted] == action && rooms.parse::<crate::RoomPattern>().unwrap().matches(&room(&name))
            });
            let scopes = scopes.iter().map(|(rooms, granted)| scope(rooms, &[Action::ALL[*granted]])).collect();
            prop_assert_eq!(ann(scopes).allows(action, &room(&name)), granted);
        }
    }
}
