//! How a lane finds its room's owner.

use std::time::Instant;

use roomkeeper_protocol::{Error, Push};

use super::{Lane, LocalSeat, Seat};
use crate::failure;
use crate::host::{Owner, Route, Tenure};
use crate::local::LocalRoom;
use crate::relay::Upstreams;
use crate::route::{find_route, owner_hint, route_after};

impl Lane {
    /// Finds out where the room's commands go, if that is not known.
    ///
    /// # Errors
    /// `unavailable`: nowhere for now.
    pub(super) async fn take_seat(&mut self, stale: Option<Tenure>, deadline: Instant) -> Result<(), Error> {
        match self.seat {
            Some(_) => Ok(()),
            None => Box::pin(self.find_seat(stale, deadline)).await,
        }
    }

    async fn find_seat(&mut self, mut stale: Option<Tenure>, deadline: Instant) -> Result<(), Error> {
        let edge = self.conn.edge.clone();
        loop {
            let relayed = self.relays_no_more();
            let route = find_route(&edge, &self.room, relayed, stale, deadline).await;
            let asked = route.tenure();
            let owner = match route {
                Route::Owned(owned) => {
                    let room = LocalRoom::new(edge, owned, self.room.clone());
                    self.seat = Some(Seat::Local(LocalSeat::new(room)));
                    return Ok(());
                }
                elsewhere if relayed => {
                    // Never relayed twice: the relay learns who it should ask.
                    let hint = owner_hint(&edge, &self.room, &elsewhere);
                    self.conn.push(Push::Moved(hint));
                    return Err(failure::not_owner(edge.host.identity().node));
                }
                Route::Elsewhere(owner) => owner,
                Route::Electing(_) => return Err(failure::no_owner()),
            };
            match self.reach(owner).await {
                Ok(()) => return Ok(()),
                // It may be stopped or gone: somebody else will own the room.
                Err(_) if Instant::now() < deadline => stale = Some(asked),
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the way to another owner, unless it is overtaken meanwhile: one that is stopped does not answer.
    async fn reach(&mut self, owner: Owner) -> Result<(), Error> {
        let host = self.conn.edge.host.clone();
        let (shard, epoch) = (owner.shard, owner.epoch);
        let upstreams = self.upstreams.get_or_insert_with(|| Upstreams::new(self.conn.clone()));
        let seat = tokio::select! {
            seat = upstreams.seat(&self.room, owner) => seat?,
            () = route_after(host.as_ref(), shard, epoch) => return Err(failure::no_owner()),
        };
        self.seat = Some(Seat::Remote(seat));
        Ok(())
    }

    /// Whether another node is to find the next owner: a session's relay knows each command. A room socket's
    /// passes on frames, so the former owner brings what it had taken on to its successor.
    pub(super) fn relays_no_more(&self) -> bool {
        self.conn.relayed && !self.conn.single
    }
}
