//! How many sockets each user has on this node.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::Arc;

use parking_lot::Mutex;
use roomkeeper_types::UserId;

/// Counts the sockets of each user, up to a number.
#[derive(Debug)]
pub(crate) struct UserConnections {
    most: NonZeroU32,
    /// Users without a socket are not kept.
    users: Mutex<HashMap<UserId, u32>>,
}

/// One of a user's sockets. Dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct UserConnection {
    of: Arc<UserConnections>,
    user: UserId,
}

impl UserConnections {
    pub(crate) fn new(most: NonZeroU32) -> Arc<Self> {
        Arc::new(Self { most, users: Mutex::default() })
    }

    /// How many a user may have.
    pub(crate) fn most(&self) -> u32 {
        self.most.get()
    }

    /// One more socket of a user; `None`: it has as many as it may have.
    pub(crate) fn open(self: &Arc<Self>, user: &UserId) -> Option<UserConnection> {
        let mut users = self.users.lock();
        match users.entry(user.clone()) {
            Entry::Occupied(open) if *open.get() >= self.most.get() => return None,
            Entry::Occupied(mut open) => *open.get_mut() += 1,
            Entry::Vacant(none) => {
                none.insert(1);
            }
        }
        Some(UserConnection { of: self.clone(), user: user.clone() })
    }
}

impl UserConnection {
    /// Whose it is.
    pub(crate) fn user(&self) -> &UserId {
        &self.user
    }
}

impl Drop for UserConnection {
    fn drop(&mut self) {
        let mut users = self.of.users.lock();
        if let Entry::Occupied(mut open) = users.entry(self.user.clone()) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_has_so_many_sockets_and_room_for_another_when_one_goes() {
        let connections = UserConnections::new(NonZeroU32::new(2).unwrap());
        let [ann, bob]: [UserId; 2] = ["ann", "bob"].map(|user| user.parse().unwrap());
        let first = connections.open(&ann).unwrap();
        let second = connections.open(&ann).unwrap();
        assert!(connections.open(&ann).is_none());
        let of_bob = connections.open(&bob).unwrap();
        assert_eq!(of_bob.user(), &bob);
        drop(first);
        let third = connections.open(&ann).unwrap();
        assert!(connections.open(&ann).is_none());
        drop((second, third, of_bob));
        assert!(connections.users.lock().is_empty(), "users without a socket are forgotten");
    }
}
