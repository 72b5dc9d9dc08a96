//! Making room where every member that fits is full: copies of other shards move over.

use std::collections::VecDeque;

use crate::place::Plan;

/// What a chain of moves is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// The shard gets one more copy.
    Add { shard: usize },
    /// The member gets rid of one copy; of one that it owns only if `owned`.
    Relieve { member: usize, owned: bool },
}

impl Plan {
    /// Gives the shard one more copy when all members that fit hold as many as they may. `false`: none fits.
    pub(crate) fn make_room(&mut self, shard: usize) -> bool {
        if let Some(chain) = self.find_chain(Purpose::Add { shard }) {
            self.shift(&chain);
            self.held[shard].push(chain.first);
            return true;
        }
        let fitting = (0..self.zones.len()).filter(|&member| self.fits(shard, member, None));
        // The one that is the least above its share; of several the first.
        let Some(member) = fitting.rev().max_by_key(|&member| self.holdable[member]) else { return false };
        self.hold(shard, member);
        true
    }

    /// Takes one copy from a member that holds more than its share to one that may hold more, over as few others as
    /// possible. `false`: there is no such way.
    pub(crate) fn relieve(&mut self, member: usize) -> bool {
        let find = |owned| self.find_chain(Purpose::Relieve { member, owned });
        let Some(chain) = find(false).or_else(|| find(true)) else { return false };
        self.shift(&chain);
        self.holdable[member] += 1;
        true
    }

    fn shift(&mut self, chain: &Chain) {
        for &(moving, from, to) in &chain.steps {
            for held in self.held[moving].iter_mut().filter(|held| **held == from) {
                *held = to;
            }
        }
        self.holdable[chain.last] -= 1;
    }

    /// Looks for a member that may hold one more copy: some shard's copy moves there from another member, to
    /// which another one moves, and so on, until the purpose is fulfilled. The shortest chain.
    fn find_chain(&self, purpose: Purpose) -> Option<Chain> {
        let mut reached = vec![Reached::Not; self.zones.len()];
        let mut queue = VecDeque::new();
        let is_first = |&member: &usize| match purpose {
            Purpose::Add { shard } => self.fits(shard, member, None),
            Purpose::Relieve { member: relieved, .. } => relieved == member,
        };
        for member in (0..self.zones.len()).filter(is_first) {
            reached[member] = Reached::First;
            queue.push_back(member);
        }
        while let Some(member) = queue.pop_front() {
            let chain = Chain::to(member, &reached);
            if self.holdable[member] > 0 {
                return Some(chain);
            }
            for (moving, held) in self.held.iter().enumerate() {
                let (growing, owned) = match purpose {
                    Purpose::Add { shard } => (moving == shard, false),
                    Purpose::Relieve { owned, .. } => (false, owned),
                };
                let movable = if owned { &held[..] } else { held.get(1..).unwrap_or_default() };
                // No shard moves twice: each step was checked against what is, not against what the others leave.
                let stays = growing || !movable.contains(&member) || chain.moves(moving);
                if stays {
                    continue;
                }
                for to in 0..reached.len() {
                    if reached[to] == Reached::Not && self.fits(moving, to, Some(member)) {
                        reached[to] = Reached::By { moving, from: member };
                        if self.holdable[to] > 0 {
                            return Some(Chain::to(to, &reached));
                        }
                        queue.push_back(to);
                    }
                }
            }
        }
        None
    }
}

/// How the search came to a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Not,
    /// The copy that is missing fits there.
    First,
    /// A shard's copy can move there.
    By {
        moving: usize,
        from: usize,
    },
}

/// Moves of copies, each away from where the one before it (or the missing copy) goes to.
struct Chain {
    /// Where the missing copy goes, or the member to relieve.
    first: usize,
    /// Shard, from, to; the last move comes first.
    steps: Vec<(usize, usize, usize)>,
    /// The member that holds one more in the end.
    last: usize,
}

impl Chain {
    fn to(last: usize, reached: &[Reached]) -> Self {
        let mut chain = Self { first: last, steps: Vec::new(), last };
        while let Reached::By { moving, from } = reached[chain.first] {
            chain.steps.push((moving, from, chain.first));
            chain.first = from;
        }
        chain
    }

    fn moves(&self, shard: usize) -> bool {
        self.steps.iter().any(|&(moving, ..)| moving == shard)
    }
}
