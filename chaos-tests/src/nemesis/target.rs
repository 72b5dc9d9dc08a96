//! Which nodes a fault is done to.

use anyhow::{Result, ensure};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

use super::Field;

/// Whom a fault is done to. Of several choices the seed decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The owner of one of the rooms with load.
    Owner,
    /// A node that does not own that room.
    Follower,
    /// Any one.
    One,
    /// One more than half of all, the owner of a room among them.
    Majority,
    /// All.
    All,
    /// This one.
    Node(usize),
    /// None: the fault is done by clients.
    Nobody,
}

impl Target {
    /// Chooses among the nodes that run.
    ///
    /// # Errors
    /// There are none such, or no owner is known.
    pub async fn pick(self, field: &mut Field) -> Result<Vec<usize>> {
        let mut running: Vec<usize> = (0..field.cluster.size()).filter(|k| field.cluster.runs(*k)).collect();
        ensure!(!running.is_empty(), "no node runs");
        Ok(match self {
            Self::Owner => vec![owner(field).await?],
            Self::Follower => {
                let owner = owner(field).await?;
                running.retain(|k| *k != owner);
                running.choose(&mut field.rng).copied().into_iter().collect()
            }
            Self::One => running.choose(&mut field.rng).copied().into_iter().collect(),
            Self::Majority => {
                let owner = owner(field).await?;
                let count = running.len() / 2;
                running.retain(|k| *k != owner);
                running.shuffle(&mut field.rng);
                running.truncate(count);
                running.push(owner);
                running.sort_unstable();
                running
            }
            Self::All => running,
            Self::Node(k) => vec![k],
            Self::Nobody => Vec::new(),
        })
    }
}

async fn owner(field: &mut Field) -> Result<usize> {
    ensure!(!field.rooms.is_empty(), "there is no room with load");
    let room = field.rooms[field.rng.random_range(0..field.rooms.len())].clone();
    field.cluster.owner_of(&room).await
}
